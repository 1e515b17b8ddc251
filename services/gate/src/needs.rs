//! What a request needs.

use http::{Method, Uri, request::Parts};
use metrifold_model::Namespace;
use url::form_urlencoded;

use crate::Permit;

/// What a request needs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Any credentials at all.
    Credentials,
    /// Credentials here, and the right to the namespace that the message names in the handler, which asks the [`Permit`].
    CheckedByHandler,
    /// To read these namespaces.
    Read(Vec<String>),
    /// To read all of them.
    ReadAll,
    /// To do anything.
    Everything,
}

/// Health is everybody's who has credentials, a scrape needs its namespace, pushes are checked where their message is
/// read, and whatever is not known here needs the most.
pub(crate) fn needs(request: &Parts, default: &Namespace) -> Needs {
    let path = request.uri.path();
    let is_reading = matches!(request.method, Method::GET | Method::HEAD);
    match path {
        "/-/healthy" | "/-/ready" if is_reading => Needs::Credentials,
        "/metrics" if is_reading => Needs::Read(namespaces(&request.uri, default)),
        _ if path.starts_with("/metrifold.v1.Ingest/") => Needs::CheckedByHandler,
        _ if path.starts_with("/grpc.health.") || path.starts_with("/grpc.reflection.") => Needs::Credentials,
        _ if is_reading => Needs::ReadAll,
        _ => Needs::Everything,
    }
}

/// Every namespace that the query names, decoded as the handler will.
fn namespaces(uri: &Uri, default: &Namespace) -> Vec<String> {
    let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let named: Vec<_> =
        pairs.filter(|(name, _)| name == "namespace").map(|(_, value)| value.into_owned()).collect();
    if named.is_empty() { vec![default.to_string()] } else { named }
}

impl Needs {
    /// Whether `permit` gives it; if not, in words for the caller.
    pub(crate) fn check(&self, permit: &Permit) -> Result<(), String> {
        match self {
            Needs::Credentials | Needs::CheckedByHandler => Ok(()),
            Needs::Read(names) => names.iter().try_for_each(|name| match Namespace::new(name) {
                Ok(namespace) => permit.read(&namespace),
                // Nothing is shown under a name that cannot exist.
                Err(_) => permit.read_all(),
            }),
            Needs::ReadAll => permit.read_all(),
            Needs::Everything => permit.everything(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn of(method: &str, uri: &str) -> Needs {
        let (parts, ()) =
            Request::builder().method(method).uri(uri).body(()).expect("a request").into_parts();
        needs(&parts, &Namespace::default())
    }

    fn read(names: &[&str]) -> Needs {
        Needs::Read(names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn each_request_needs_what_it_touches_and_unknown_ones_need_the_most() {
        for (method, uri, expected) in [
            ("GET", "/-/healthy", Needs::Credentials),
            ("HEAD", "/-/ready", Needs::Credentials),
            ("POST", "/-/ready", Needs::Everything),
            ("GET", "/metrics", read(&["metrifold"])),
            ("GET", "/metrics?namespace=shop&name[]=x", read(&["shop"])),
            ("GET", "/metrics?%6eamespace=sh%6fp", read(&["shop"])),
            ("GET", "/metrics?namespace=a&namespace=b", read(&["a", "b"])),
            ("GET", "/metrics?namespace=", read(&[""])),
            ("GET", "/metrics/", Needs::ReadAll),
            ("POST", "/metrics/job/x", Needs::Everything),
            ("GET", "/", Needs::ReadAll),
            ("GET", "/api/v1/workers", Needs::ReadAll),
            ("POST", "/-/reload", Needs::Everything),
            ("POST", "/metrifold.v1.Ingest/Push", Needs::CheckedByHandler),
            ("POST", "/grpc.health.v1.Health/Check", Needs::Credentials),
            ("POST", "/v1/metrics", Needs::Everything),
        ] {
            assert_eq!(of(method, uri), expected, "{method} {uri}");
        }
    }
}

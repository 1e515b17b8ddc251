//! The gate before the routes: rate, headers, credentials, rights, in the order of Prometheus's exporters.

use std::time::{Duration, Instant};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    Gate, Permit,
    credentials::{Origin, Shown, Unchecked},
    needs::needs,
    web::Web,
};

/// Why somebody is turned away.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// More requests than `rate_limit` allows.
    Rate(Duration),
    /// No credentials that can be understood.
    NoCredentials,
    /// Credentials that are wrong.
    WrongCredentials,
    /// Too many of those.
    WrongTooOften(Duration),
    /// Too many passwords wait to be checked.
    Busy,
    /// The credentials are right, and do not give this right.
    Forbidden(String),
}

impl Gate {
    /// Lets only those through to `router` who may come in. Their [`Permit`] stands among the extensions of the request.
    pub fn guard(&self, router: Router) -> Router {
        router.layer(from_fn_with_state(self.clone(), guard))
    }
}

async fn guard(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let rules = gate.rules().await;
    let is_grpc = is_grpc(request.headers());
    let origin = request.extensions().get::<Origin>().copied().unwrap_or_default();
    let path = request.uri().path().to_owned();
    let mut response = match admit(&gate, &rules, request, origin).await {
        Ok(request) => next.run(request).await,
        Err(refusal) => {
            gate.metrics().requests_refused.with_label_values(&[refusal.name()]).inc();
            if gate.may_log() {
                tracing::warn!(reason = refusal.name(), %origin, path, "a request was turned away");
            }
            refusal.answer(is_grpc, &rules)
        }
    };
    for (name, value) in &rules.headers {
        response.headers_mut().insert(name.clone(), value.clone());
    }
    response
}

async fn admit(gate: &Gate, rules: &Web, request: Request, origin: Origin) -> Result<Request, Refusal> {
    gate.admit(rules.rate, Instant::now()).map_err(Refusal::Rate)?;
    let (mut parts, body) = request.into_parts();
    let permit = permit(gate, rules, &parts.headers, origin).await?;
    needs(&parts, gate.namespace()).check(&permit).map_err(Refusal::Forbidden)?;
    parts.extensions.insert(permit);
    Ok(Request::from_parts(parts, body))
}

async fn permit(gate: &Gate, rules: &Web, headers: &HeaderMap, origin: Origin) -> Result<Permit, Refusal> {
    if rules.is_open() {
        let is_known = origin.is_this_host() || rules.verifies_certificates() || gate.allows_anonymous();
        return Ok(if is_known { Permit::full() } else { Permit::anonymous() });
    }
    match Shown::of(headers).ok_or(Refusal::NoCredentials)? {
        Shown::Token(token) => match rules.tokens.find(token.as_bytes()) {
            Some(token) => Ok(Permit::of(token)),
            None => Err(gate
                .wrong_tokens()
                .take(origin, Instant::now())
                .map_or_else(Refusal::WrongTooOften, |()| Refusal::WrongCredentials)),
        },
        Shown::Password { user, password } => {
            let checked =
                gate.passwords().check(&rules.users, &user, &password, origin, gate.wrong_passwords()).await;
            match checked {
                Ok(true) => Ok(Permit::full()),
                Ok(false) => Err(Refusal::WrongCredentials),
                Err(Unchecked::TooOften(wait)) => Err(Refusal::WrongTooOften(wait)),
                Err(Unchecked::Busy) => Err(Refusal::Busy),
            }
        }
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

impl Refusal {
    /// The label `reason` of the counter.
    fn name(&self) -> &'static str {
        match self {
            Refusal::Rate(_) => "rate_limit",
            Refusal::NoCredentials => "no_credentials",
            Refusal::WrongCredentials => "wrong_credentials",
            Refusal::WrongTooOften(_) => "wrong_too_often",
            Refusal::Busy => "busy",
            Refusal::Forbidden(_) => "forbidden",
        }
    }

    /// The status in HTTP, and gRPC's number for it.
    fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Refusal::Rate(_) | Refusal::WrongTooOften(_) => (StatusCode::TOO_MANY_REQUESTS, "8"),
            Refusal::NoCredentials | Refusal::WrongCredentials => (StatusCode::UNAUTHORIZED, "16"),
            Refusal::Busy => (StatusCode::SERVICE_UNAVAILABLE, "14"),
            Refusal::Forbidden(_) => (StatusCode::FORBIDDEN, "7"),
        }
    }

    fn text(&self) -> String {
        match self {
            Refusal::Rate(_) => "more requests than rate_limit allows; try again later".into(),
            Refusal::NoCredentials => {
                "credentials are asked for: send a user's password or a bearer token".into()
            }
            Refusal::WrongCredentials => "the user, the password or the token is wrong".into(),
            Refusal::WrongTooOften(_) => {
                "too many wrong passwords or tokens came from this address; try again later".into()
            }
            Refusal::Busy => "too many passwords wait to be checked; try again later".into(),
            Refusal::Forbidden(reason) => reason.clone(),
        }
    }

    fn wait(&self) -> Option<Duration> {
        match self {
            Refusal::Rate(wait) | Refusal::WrongTooOften(wait) => Some(*wait),
            Refusal::Busy => Some(Duration::from_secs(1)),
            Refusal::NoCredentials | Refusal::WrongCredentials | Refusal::Forbidden(_) => None,
        }
    }

    fn answer(&self, is_grpc: bool, rules: &Web) -> Response {
        let (status, code) = self.status();
        if is_grpc {
            // gRPC wants 200 and its own status, else its clients show only a number.
            let message = utf8_percent_encode(&self.text(), NON_ALPHANUMERIC).to_string();
            let headers =
                [("content-type", "application/grpc"), ("grpc-status", code), ("grpc-message", &message)];
            return headers.into_response();
        }
        let mut response = (status, format!("{}\n", self.text())).into_response();
        let headers = response.headers_mut();
        if let Some(wait) = self.wait() {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            if !rules.users.is_empty() {
                headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
            }
            if !rules.tokens.is_empty() {
                headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
        }
        response
    }
}

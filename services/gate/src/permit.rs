//! What a caller may do.

use std::sync::Arc;

use http::Extensions;
use metrifold_model::Namespace;

use crate::web::{Namespaces, Token};

/// What the caller of a request may do. The gate puts it among the request's extensions; a handler that learns only
/// from the message which namespace is meant asks it.
#[derive(Clone, Debug)]
pub struct Permit(Holder);

#[derive(Clone, Debug)]
enum Holder {
    /// A user, or somebody who is known by other means than credentials.
    Full,
    /// Somebody elsewhere who was not asked for credentials: may read everything, and push nothing.
    Anonymous,
    Token(Arc<Token>),
}

impl Permit {
    pub(crate) fn full() -> Permit {
        Permit(Holder::Full)
    }

    pub(crate) fn anonymous() -> Permit {
        Permit(Holder::Anonymous)
    }

    pub(crate) fn of(token: Arc<Token>) -> Permit {
        Permit(Holder::Token(token))
    }

    /// Whether pushes into this namespace are allowed; if not, in words for the caller.
    ///
    /// # Errors
    /// With the name of the token and what it lacks.
    pub fn push(&self, namespace: &Namespace) -> Result<(), String> {
        if let Holder::Anonymous = self.0 {
            return Err(format!(
                "this server takes pushes into namespace {namespace} from its own host only, since it asks nobody for \
                 credentials; give it tokens (web.config_file), or set ingest.allow_anonymous"
            ));
        }
        self.allows("push into", |token| token.rights.push, Some(namespace))
    }

    /// Whether this namespace may be read; if not, in words for the caller.
    ///
    /// # Errors
    /// With the name of the token and what it lacks.
    pub fn read(&self, namespace: &Namespace) -> Result<(), String> {
        self.allows("read", |token| token.rights.read, Some(namespace))
    }

    /// Whether what concerns all namespaces may be read.
    pub(crate) fn read_all(&self) -> Result<(), String> {
        self.allows("read", |token| token.rights.read, None)
    }

    /// Whether everything is allowed.
    pub(crate) fn everything(&self) -> Result<(), String> {
        self.allows("read and push into", |token| token.rights.read && token.rights.push, None)
    }

    /// The permit among a request's extensions. A request that did not pass the gate has none, and may do nothing.
    ///
    /// # Errors
    /// As [`Permit::push`].
    pub fn push_of(extensions: &Extensions, namespace: &Namespace) -> Result<(), String> {
        match extensions.get::<Permit>() {
            Some(permit) => permit.push(namespace),
            None => Err("the request did not pass the gate".into()),
        }
    }

    fn allows(
        &self,
        what: &str,
        has_right: fn(&Token) -> bool,
        namespace: Option<&Namespace>,
    ) -> Result<(), String> {
        let Holder::Token(token) = &self.0 else { return Ok(()) };
        let covers = match (&token.namespaces, namespace) {
            (Namespaces::All, _) => true,
            (Namespaces::These(names), Some(namespace)) => names.contains(namespace),
            (Namespaces::These(_), None) => false,
        };
        if has_right(token) && covers {
            return Ok(());
        }
        let where_to =
            namespace.map_or("all namespaces".into(), |namespace| format!("namespace {namespace}"));
        Err(format!("the token {} may not {what} {where_to}", token.name))
    }
}

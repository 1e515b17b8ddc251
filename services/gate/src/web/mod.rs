//! The rules, read and checked as a whole.

mod document;
mod headers;
mod problem;
mod read;
mod tls_section;
mod tokens;
mod users;

pub(crate) use document::{Problems, suggestion};
pub use problem::{WebErrors, WebProblem};
pub(crate) use read::{Rate, Reading, Web, read};
pub(crate) use tokens::{Namespaces, Token, Tokens};
pub(crate) use users::Users;

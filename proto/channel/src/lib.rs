//! The way to a collector: plain, over TLS or by a unix socket, with a token; one connection that is made again when it
//! broke.
//!
//! Both sides of the wire use this crate: the pusher in clients and the agent in servers.
//!
//! ```no_run
//! use metrifold_channel::{HttpsAddress, Token, Way};
//!
//! let address: HttpsAddress = "https://collector:9091?ca=/etc/ca.pem".parse()?;
//! let way = Way::https(&address)?.with_token(Token::new(Some("0123456789abcdef".into()), None)?);
//! assert!(!format!("{way:?}").contains("0123456789abcdef"));
//! # Ok::<(), metrifold_channel::ChannelError>(())
//! ```

mod address;
mod connector;
mod error;
mod status;
mod token;
mod way;

pub use address::HttpsAddress;
pub use error::ChannelError;
pub use status::describe;
pub use token::{Bearer, Token};
pub use way::{Ingest, Way};

//! The gRPC contract: generated code and the only conversion between it and the model.
//!
//! `proto/metrifold/v1/ingest.proto` is the contract; [`v1`] is generated from it and checked in. A test regenerates it
//! and compares, with `METRIFOLD_REGENERATE=1` it writes it. Nothing outside this crate names a generated message except
//! to hand it to tonic.
//!
//! ```
//! use metrifold_model::{Incarnation, Namespace, Worker};
//! use metrifold_session::{Instant, Pusher, PusherSettings};
//! use metrifold_model::{DescriptorList, Values};
//!
//! let mut pusher = Pusher::new(Incarnation(7), Worker::default(), PusherSettings::default(), Instant(0));
//! let push = pusher.offer(Instant(0), &DescriptorList::default(), Values::default(), false);
//! let message = metrifold_wire::request(&Namespace::default(), &push);
//! let (namespace, received) = metrifold_wire::parse_request(message, &Namespace::default())?;
//! assert_eq!((namespace, received), (Namespace::default(), push));
//! # Ok::<(), metrifold_wire::WireError>(())
//! ```

mod answer;
mod error;
mod push;

/// Generated from `metrifold/v1/ingest.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated code")]
#[rustfmt::skip]
#[path = "generated/metrifold.v1.rs"]
pub mod v1;

/// The compiled `.proto` files, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/metrifold.v1.bin");

pub use answer::{Reply, parse_response, response, unavailable};
pub use error::WireError;
pub use push::{fits, parse_request, request};

//! A merged view to bytes: every format that Prometheus reads, and which of them a reader gets; pure.
//!
//! - [`negotiate`] and [`negotiate_coding`] read `Accept` and `Accept-Encoding`.
//! - An [`Encoder`] writes views in one [`Variant`]: text [0.0.4 and 1.0.0][text], [OpenMetrics 1.0.0][one], the release
//!   candidate of [OpenMetrics 2.0.0][two], or delimited protobuf.
//! - [`filter`] takes a part of a view.
//!
//! A series has the same name in every format, so that nothing changes for those who read it when the format does; where
//! a format demands another name for a type, the type yields. Numbers are printed as prometheus_client prints them, so
//! that the two compare byte for byte. No sample has a timestamp: with one, Prometheus would not notice when it ends.
//!
//! ```
//! use metrifold_exposition::{encode, negotiate};
//! use metrifold_merge::{Family, FamilyKind, Series, View};
//! use metrifold_model::Labels;
//!
//! let series = Series { name: "req_total".into(), labels: Labels::new([("code", "200")]) };
//! let family = Family::new("req", "Requests", FamilyKind::Counter, [(series, 3.0)]);
//! let view = View { families: vec![family], ..View::default() };
//! let mut text = Vec::new();
//! encode(&view, negotiate("*/*").variant, &mut text);
//! let expected = "# HELP req_total Requests\n# TYPE req_total counter\nreq_total{code=\"200\"} 3.0\n";
//! assert_eq!(String::from_utf8_lossy(&text), expected);
//! ```
//!
//! [text]: https://prometheus.io/docs/instrumenting/exposition_formats/
//! [one]: https://prometheus.io/docs/specs/om/open_metrics_spec/
//! [two]: https://prometheus.io/docs/specs/om/open_metrics_spec_2_0/

mod encoder;
mod escaping;
mod exemplar;
mod filter;
mod format;
mod names;
mod negotiation;
mod number;
mod openmetrics;
mod openmetrics2;
mod protobuf;
mod quality;
mod rows;
mod syntax;
mod template;
mod text;

/// The messages of the protobuf format, generated, for those who read it.
#[expect(missing_docs, reason = "generated from the proto file, which documents the messages")]
pub mod client_model {
    include!("generated/io.prometheus.client.rs");
}

pub use encoder::{Encoder, encode};
pub use escaping::Escaping;
pub use filter::filter;
pub use format::{CONTENT_TYPE_TEXT, Format, Variant};
pub use negotiation::{Coding, Negotiated, negotiate, negotiate_coding};

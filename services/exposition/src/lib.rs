//! A merged view to bytes: Prometheus text format 0.0.4; pure.
//!
//! Source of the format: <https://prometheus.io/docs/instrumenting/exposition_formats/>; numbers and names as
//! prometheus_client prints them, so that the two compare byte for byte.
//!
//! ```
//! use metrifold_exposition::encode_text;
//! use metrifold_merge::{Family, FamilyKind, Series, View};
//! use metrifold_model::Labels;
//!
//! let series = Series { name: "req_total".into(), labels: Labels::new([("code", "200")]) };
//! let family = Family::new("req", "Requests", FamilyKind::Counter, [(series, 3.0)]);
//! let view = View { families: vec![family], ..View::default() };
//! let mut text = Vec::new();
//! encode_text(&view, &mut text);
//! let expected = "# HELP req_total Requests\n# TYPE req_total counter\nreq_total{code=\"200\"} 3.0\n";
//! assert_eq!(String::from_utf8_lossy(&text), expected);
//! ```

mod number;
mod text;

pub use text::{CONTENT_TYPE_TEXT, TextEncoder, encode_text};

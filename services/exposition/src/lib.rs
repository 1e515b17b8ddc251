//! A merged view to bytes: Prometheus text format 0.0.4; pure.
//!
//! Source of the format: <https://prometheus.io/docs/instrumenting/exposition_formats/>; numbers and names as
//! prometheus_client prints them, so that the two compare byte for byte.
//!
//! ```
//! use metrifold_exposition::encode_text;
//! use metrifold_merge::{Family, FamilyKind, Sample, View};
//! use metrifold_model::Labels;
//!
//! let sample = Sample { name: "req_total".into(), labels: Labels::new([("code", "200")]), value: 3.0 };
//! let family =
//!     Family { name: "req".into(), help: "Requests".into(), kind: FamilyKind::Counter, samples: vec![sample] };
//! let view = View { families: vec![family], conflicts: vec![] };
//! let mut text = Vec::new();
//! encode_text(&view, &mut text);
//! let expected = "# HELP req_total Requests\n# TYPE req_total counter\nreq_total{code=\"200\"} 3.0\n";
//! assert_eq!(String::from_utf8_lossy(&text), expected);
//! ```

mod text;

pub use text::{CONTENT_TYPE_TEXT, encode_text};

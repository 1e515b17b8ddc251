//! What a page can be written in.

use crate::Escaping;

/// The `Content-Type` of text format 0.0.4; Prometheus 3 refuses a scrape without a known one.
pub const CONTENT_TYPE_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A format, in the order of preference among equals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// Prometheus text format 0.0.4, which everything reads.
    #[default]
    Text,
    /// Prometheus text format 1.0.0: as 0.0.4, with quotes for UTF-8 names.
    Text1,
    /// OpenMetrics 1.0.0: with units, times of creation and exemplars.
    OpenMetrics1,
    /// OpenMetrics 2.0.0, a release candidate: histograms and summaries on one line, start times beside values.
    OpenMetrics2,
    /// Messages `io.prometheus.client.MetricFamily`, each after its length.
    Protobuf,
}

impl Format {
    /// All formats.
    pub const ALL: [Format; 5] =
        [Format::Text, Format::Text1, Format::OpenMetrics1, Format::OpenMetrics2, Format::Protobuf];

    /// Whether histograms and summaries are one sample and not several with names of their own.
    pub fn is_composite(self) -> bool {
        matches!(self, Format::OpenMetrics2 | Format::Protobuf)
    }
}

/// A format with a scheme for names: what makes two pages of one view differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Variant {
    format: Format,
    escaping: Escaping,
}

impl Variant {
    /// Format 0.0.4 has no quotes for names, so there UTF-8 is replaced by underscores.
    pub fn new(format: Format, escaping: Escaping) -> Variant {
        match (format, escaping) {
            (Format::Text, Escaping::AllowUtf8) => Variant { format, escaping: Escaping::Underscores },
            _ => Variant { format, escaping },
        }
    }

    /// The format.
    pub fn format(self) -> Format {
        self.format
    }

    /// The scheme for names.
    pub fn escaping(self) -> Escaping {
        self.escaping
    }

    /// The exact `Content-Type`; `says_escaping` if the reader named a scheme and should be told.
    pub fn content_type(self, says_escaping: bool) -> String {
        let base = match self.format {
            Format::Text => CONTENT_TYPE_TEXT,
            Format::Text1 => "text/plain; version=1.0.0; charset=utf-8",
            Format::OpenMetrics1 => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::OpenMetrics2 => "application/openmetrics-text; version=2.0.0; charset=utf-8",
            Format::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        };
        let is_plain = self.format == Format::Text && self.escaping == Escaping::Underscores;
        match says_escaping && !is_plain || self.format == Format::Text1 {
            true => format!("{base}; escaping={}", self.escaping.name()),
            false => base.to_owned(),
        }
    }
}

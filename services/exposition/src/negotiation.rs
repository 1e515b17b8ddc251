//! Which format and which compression a reader gets.

use std::cmp::Reverse;

use crate::{
    Escaping, Format, Variant,
    quality::{Entry, entries},
};

/// What a reader gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Negotiated {
    /// The page.
    pub variant: Variant,
    /// Whether the reader named a scheme for names.
    pub says_escaping: bool,
}

impl Negotiated {
    /// The exact `Content-Type` of the answer.
    pub fn content_type(self) -> String {
        self.variant.content_type(self.says_escaping)
    }
}

/// Chooses a format for an `Accept` header; several headers are joined by commas.
///
/// The highest q value wins; of equals the one that stands first, and of formats that one entry allows the older.
/// As HTTP has it, the most specific entry speaks for a format. OpenMetrics 2.0 and protobuf are given only to readers
/// that name them. Nobody is refused: where nothing matches the answer is text 0.0.4.
pub fn negotiate(accept: &str) -> Negotiated {
    let ranges: Vec<Entry> = entries(accept).collect();
    let candidates = Format::ALL.into_iter().filter_map(|format| {
        let (place, range) = speaks_for(format, &ranges)?;
        (range.quality > 0.0).then_some((range.quality, Reverse(place), Reverse(format), range))
    });
    let best = candidates
        .max_by(|one, two| one.0.total_cmp(&two.0).then_with(|| (one.1, one.2).cmp(&(two.1, two.2))));
    let Some((_, _, Reverse(format), range)) = best else { return Negotiated::default() };
    let escaping = range.parameter("escaping").and_then(Escaping::from_name);
    let variant = Variant::new(format, escaping.unwrap_or_default());
    Negotiated { variant, says_escaping: escaping.is_some() }
}

/// The entry that decides about a format, with its place: the most specific, of those the one with the highest q.
fn speaks_for(format: Format, ranges: &[Entry]) -> Option<(usize, &Entry)> {
    let matching = ranges.iter().enumerate().filter_map(|(place, range)| {
        let specificity = specificity(format, range)?;
        Some((specificity, place, range))
    });
    let best = matching.max_by(|(one, one_place, one_range), (two, two_place, two_range)| {
        let quality = one_range.quality.total_cmp(&two_range.quality);
        one.cmp(two).then(quality).then(two_place.cmp(one_place))
    });
    best.map(|(_, place, range)| (place, range))
}

/// How closely an entry describes a format; `None` if it does not.
fn specificity(format: Format, range: &Entry) -> Option<u8> {
    let version = range.parameter("version");
    match (range.value.as_str(), format) {
        ("*/*", Format::Text | Format::Text1 | Format::OpenMetrics1) => Some(0),
        ("text/*", Format::Text | Format::Text1) | ("application/*", Format::OpenMetrics1) => Some(1),
        ("text/plain", Format::Text) | ("application/openmetrics-text", Format::OpenMetrics1)
            if version.is_none() =>
        {
            Some(2)
        }
        ("text/plain", Format::Text) => (version == Some("0.0.4")).then_some(3),
        ("text/plain", Format::Text1) => (version == Some("1.0.0")).then_some(3),
        ("application/openmetrics-text", Format::OpenMetrics1) => (version == Some("1.0.0")).then_some(3),
        ("application/openmetrics-text", Format::OpenMetrics2) => (version == Some("2.0.0")).then_some(3),
        ("application/vnd.google.protobuf", Format::Protobuf) => {
            let is_ours = range.parameter("proto") == Some("io.prometheus.client.MetricFamily")
                && range.parameter("encoding") == Some("delimited");
            is_ours.then_some(3)
        }
        _ => None,
    }
}

/// A compression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Coding {
    /// None.
    #[default]
    Identity,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Coding {
    /// Its name in `Content-Encoding`, if it needs one.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Coding::Identity => None,
            Coding::Gzip => Some("gzip"),
            Coding::Zstd => Some("zstd"),
        }
    }
}

/// Chooses a compression for an `Accept-Encoding` header: only one that is named, by the highest q value; of equals
/// Zstandard before gzip before none.
pub fn negotiate_coding(accept_encoding: &str) -> Coding {
    let mut best = (0.0, Coding::Identity);
    for entry in entries(accept_encoding) {
        let (rank, coding) = match entry.value.as_str() {
            "zstd" => (2, Coding::Zstd),
            "gzip" | "x-gzip" => (1, Coding::Gzip),
            "identity" => (0, Coding::Identity),
            _ => continue,
        };
        let is_better = entry.quality > best.0 || (entry.quality == best.0 && rank > rank_of(best.1));
        if entry.quality > 0.0 && is_better {
            best = (entry.quality, coding);
        }
    }
    best.1
}

fn rank_of(coding: Coding) -> u8 {
    match coding {
        Coding::Identity => 0,
        Coding::Gzip => 1,
        Coding::Zstd => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
    const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    const PROTOBUF: &str =
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

    fn answered(accept: &str) -> String {
        negotiate(accept).content_type()
    }

    /// The headers are those that each version sends, to the letter.
    #[test]
    fn every_prometheus_gets_the_best_that_it_reads() {
        let utf8 = |base: &str| format!("{base}; escaping=allow-utf-8");
        for (version, accept, expected) in [
            (
                "2.45",
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OPENMETRICS.to_owned(),
            ),
            (
                "2.53",
                "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OPENMETRICS.to_owned(),
            ),
            (
                "2.53 with native histograms",
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.5,\
                 application/openmetrics-text;version=1.0.0;q=0.4,application/openmetrics-text;version=0.0.1;q=0.3,\
                 text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                PROTOBUF.to_owned(),
            ),
            (
                "3.0",
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 application/openmetrics-text;version=0.0.1;escaping=allow-utf-8;q=0.4,\
                 text/plain;version=0.0.4;escaping=allow-utf-8;q=0.3,*/*;escaping=allow-utf-8;q=0.2",
                utf8(OPENMETRICS),
            ),
            (
                "3.14",
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                utf8(OPENMETRICS),
            ),
            (
                "3.14 with native histograms",
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                 application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                PROTOBUF.to_owned(),
            ),
        ] {
            assert_eq!(answered(accept), expected, "Prometheus {version}");
        }
    }

    #[test]
    fn everybody_else_gets_text_unless_they_ask() {
        for accept in [
            "",
            "*/*",
            "text/*",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "image/png",
            "application/json",
            "application/openmetrics-text;version=0.0.1",
            "text/plain",
            "text/plain;version=9",
            "application/vnd.google.protobuf",
            "text/plain;q=no",
            ";;,=,\"",
            "text/plain;version=0.0.4;escaping=allow-utf-8",
            "text/plain;version=0.0.4;escaping=nonsense",
        ] {
            assert_eq!(answered(accept), TEXT, "{accept}");
        }
        let second = "application/openmetrics-text; version=2.0.0; charset=utf-8";
        for (accept, expected) in [
            ("application/openmetrics-text", OPENMETRICS.to_owned()),
            ("application/*", OPENMETRICS.to_owned()),
            ("application/openmetrics-text;version=2.0.0", second.to_owned()),
            ("application/openmetrics-text;version=2.0.0;q=0.5,text/plain;q=0.6", TEXT.to_owned()),
            (
                "text/plain;q=0,*/*",
                "text/plain; version=1.0.0; charset=utf-8; escaping=underscores".to_owned(),
            ),
            ("text/plain;version=0.0.4;escaping=dots", format!("{TEXT}; escaping=dots")),
            (
                "TEXT/PLAIN; Version=1.0.0; escaping=values",
                "text/plain; version=1.0.0; charset=utf-8; escaping=values".to_owned(),
            ),
            ("text/plain;q=0.5,application/openmetrics-text;q=0.5", TEXT.to_owned()),
            ("application/openmetrics-text;q=0.5,text/plain;q=0.5", OPENMETRICS.to_owned()),
        ] {
            assert_eq!(answered(accept), expected, "{accept}");
        }
    }

    #[test]
    fn nothing_is_compressed_unasked() {
        for (accept, expected) in [
            ("", Coding::Identity),
            ("*", Coding::Identity),
            ("identity", Coding::Identity),
            ("gzip", Coding::Gzip),
            ("gzip, deflate, br, zstd", Coding::Zstd),
            ("gzip;q=1.0,zstd;q=0.5", Coding::Gzip),
            ("gzip;q=0, identity", Coding::Identity),
            ("gzip;q=0.5,identity;q=0.8", Coding::Identity),
            ("gzip, identity", Coding::Gzip),
            ("br", Coding::Identity),
        ] {
            assert_eq!(negotiate_coding(accept), expected, "{accept}");
        }
    }
}

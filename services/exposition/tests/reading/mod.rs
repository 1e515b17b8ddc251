//! Readers of every format, by the formats' rules and not by the encoder's code: pages to rows.

use std::collections::BTreeMap;

use metrifold_exposition::client_model::{self, MetricFamily, MetricType};
use metrifold_model::format_float;
use prost::Message;

/// One sample with everything that is known about it. Numbers as text, so that NaN equals itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub(crate) sample: String,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: String,
    pub(crate) kind: String,
    pub(crate) help: String,
    pub(crate) unit: String,
    pub(crate) created: Option<String>,
    pub(crate) exemplar: Option<ExemplarRow>,
}

/// Labels, value, time.
pub(crate) type ExemplarRow = (Vec<(String, String)>, String, Option<String>);

pub(crate) fn number(value: f64) -> String {
    // With the sign of zero.
    format!("{value:?}")
}

#[derive(Default)]
struct Metadata {
    name: String,
    kind: String,
    help: String,
    unit: String,
}

/// Reads text 0.0.4 and 1.0.0, and OpenMetrics of either version.
pub(crate) fn read_text(page: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut created: BTreeMap<(String, Vec<(String, String)>), String> = BTreeMap::new();
    let mut metadata = Metadata::default();
    for line in page.strip_suffix('\n').unwrap_or(page).split('\n').filter(|_| !page.is_empty()) {
        let mut reader = Reader(line);
        if line == "# EOF" {
            continue;
        } else if reader.skip("# ") {
            let keyword = reader.until(' ').to_owned();
            let name = reader.name();
            assert!(reader.skip(" "), "{line}");
            if metadata.name != name {
                metadata = Metadata { name, ..Metadata::default() };
            }
            match keyword.as_str() {
                "TYPE" => metadata.kind = reader.0.to_owned(),
                "UNIT" => metadata.unit = reader.0.to_owned(),
                "HELP" => metadata.help = unescape(reader.0),
                other => panic!("{other} in {line}"),
            }
            continue;
        }
        let (sample, labels) = reader.series();
        assert!(reader.skip(" "), "{line}");
        if let Some(stem) = sample.strip_suffix("_created").filter(|stem| *stem == metadata.name) {
            created.insert((stem.to_owned(), labels), number(reader.number()));
            continue;
        }
        let row = |suffix: &str, value: f64| Row {
            sample: format!("{sample}{suffix}"),
            labels: labels.clone(),
            value: number(value),
            kind: metadata.kind.clone(),
            help: metadata.help.clone(),
            unit: metadata.unit.clone(),
            ..Row::default()
        };
        let mut read = Vec::new();
        if reader.skip("{count:") {
            read.push(row("_count", reader.number()));
            assert!(reader.skip(",sum:"), "{line}");
            read.push(row("_sum", reader.number()));
            let (suffix, label) = match reader.skip(",bucket:[") {
                true => ("_bucket", "le"),
                false => {
                    assert!(reader.skip(",quantile:["), "{line}");
                    ("", "quantile")
                }
            };
            while !reader.skip("]}") {
                let bound = reader.number();
                assert!(reader.skip(":"), "{line}");
                let mut part = row(suffix, reader.number());
                part.labels.push((label.into(), format_float(bound)));
                part.labels.sort();
                read.push(part);
                reader.skip(",");
            }
        } else {
            read.push(row("", reader.number()));
        }
        if reader.skip(" st@") {
            let time = number(reader.number());
            read.iter_mut().for_each(|row| row.created = Some(time.clone()));
        }
        while reader.skip(" # ") {
            let (_, labels) = reader.series();
            assert!(reader.skip(" "), "{line}");
            let value = reader.number();
            let time = reader.skip(" ").then(|| number(reader.number()));
            // On one line the value says which bucket it belongs to.
            let bound = |row: &Row| -> Option<f64> {
                row.labels
                    .iter()
                    .find(|(name, _)| name == "le")
                    .map(|(_, bound)| bound.parse().expect("a bound"))
            };
            let holder = read.iter_mut().find(|row| {
                row.exemplar.is_none()
                    && bound(row).is_none_or(|bound| value <= bound)
                    && (row.kind != "histogram" || row.sample.ends_with("_bucket"))
            });
            holder.expect("a holder").exemplar = Some((labels, number(value), time));
        }
        assert_eq!(reader.0, "", "{line}");
        rows.extend(read);
    }
    for row in &mut rows {
        let stem = ["_total", "_bucket", "_sum", "_count", ""]
            .iter()
            .find_map(|suffix| row.sample.strip_suffix(suffix))
            .expect("the empty suffix");
        let own = |name: &str| {
            (row.kind == "histogram" && name == "le") || (row.kind == "summary" && name == "quantile")
        };
        let labels = row.labels.iter().filter(|(name, _)| !own(name)).cloned().collect();
        if let Some(time) = created.get(&(stem.to_owned(), labels)) {
            row.created = Some(time.clone());
        }
    }
    rows
}

/// Reads delimited protobuf.
pub(crate) fn read_protobuf(mut page: &[u8]) -> Vec<Row> {
    let mut rows = Vec::new();
    while !page.is_empty() {
        let family = MetricFamily::decode_length_delimited(&mut page).expect("a family");
        let name = family.name().to_owned();
        let kind = match family.r#type() {
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
            MetricType::Summary => "summary",
            MetricType::Histogram => "histogram",
            other => panic!("{other:?}"),
        };
        for metric in &family.metric {
            let labels = read_labels(&metric.label);
            let mut add = |suffix: &str,
                           extra: Option<(&str, f64)>,
                           value: f64,
                           start: &Option<_>,
                           exemplar: &Option<_>| {
                let mut labels = labels.clone();
                labels.extend(extra.map(|(name, bound)| (name.to_owned(), format_float(bound))));
                labels.sort();
                rows.push(Row {
                    sample: format!("{name}{suffix}"),
                    labels,
                    value: number(value),
                    kind: kind.into(),
                    help: family.help().into(),
                    unit: family.unit().into(),
                    created: start.as_ref().map(seconds),
                    exemplar: exemplar.as_ref().map(read_exemplar),
                });
            };
            if let Some(gauge) = &metric.gauge {
                add("", None, gauge.value(), &None, &None);
            }
            if let Some(counter) = &metric.counter {
                add("", None, counter.value(), &counter.start_timestamp, &counter.exemplar);
            }
            if let Some(histogram) = &metric.histogram {
                let start = &histogram.start_timestamp;
                let count = histogram.sample_count_float.unwrap_or(histogram.sample_count() as f64);
                add("_count", None, count, start, &None);
                add("_sum", None, histogram.sample_sum(), start, &None);
                for bucket in &histogram.bucket {
                    let count = bucket.cumulative_count_float.unwrap_or(bucket.cumulative_count() as f64);
                    add("_bucket", Some(("le", bucket.upper_bound())), count, start, &bucket.exemplar);
                }
            }
            if let Some(summary) = &metric.summary {
                let start = &summary.start_timestamp;
                add("_count", None, summary.sample_count() as f64, start, &None);
                add("_sum", None, summary.sample_sum(), start, &None);
                for quantile in &summary.quantile {
                    add("", Some(("quantile", quantile.quantile())), quantile.value(), start, &None);
                }
            }
        }
    }
    rows
}

fn read_labels(labels: &[client_model::LabelPair]) -> Vec<(String, String)> {
    labels.iter().map(|pair| (pair.name().to_owned(), pair.value().to_owned())).collect()
}

fn read_exemplar(exemplar: &client_model::Exemplar) -> ExemplarRow {
    (read_labels(&exemplar.label), number(exemplar.value()), exemplar.timestamp.as_ref().map(seconds))
}

fn seconds(time: &prost_types::Timestamp) -> String {
    number(time.seconds as f64 + f64::from(time.nanos) / 1e9)
}

struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    fn skip(&mut self, text: &str) -> bool {
        let rest = self.0.strip_prefix(text);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn until(&mut self, end: char) -> &'a str {
        let (text, rest) = self.0.split_once(end).expect("an end");
        self.0 = rest;
        text
    }

    fn number(&mut self) -> f64 {
        let end = self.0.find([' ', ',', ':', ']', '}']).unwrap_or(self.0.len());
        let (text, rest) = self.0.split_at(end);
        self.0 = rest;
        text.parse().unwrap_or_else(|_| panic!("no number: {text:?}"))
    }

    /// In quotes or not.
    fn name(&mut self) -> String {
        if self.skip("\"") {
            return self.quoted();
        }
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
        let end = self.0.bytes().position(|byte| !is_name(byte)).unwrap_or(self.0.len());
        let (name, rest) = self.0.split_at(end);
        self.0 = rest;
        name.to_owned()
    }

    fn quoted(&mut self) -> String {
        let mut end = 0;
        while self.0.as_bytes()[end] != b'"' {
            end += if self.0.as_bytes()[end] == b'\\' { 2 } else { 1 };
        }
        let text = unescape(&self.0[..end]);
        self.0 = &self.0[end + 1..];
        text
    }

    fn series(&mut self) -> (String, Vec<(String, String)>) {
        let (mut name, mut labels) = (self.name(), Vec::new());
        if !self.skip("{") {
            return (name, labels);
        }
        while !self.skip("}") {
            let label = self.name();
            match self.skip("=\"") {
                true => labels.push((label, self.quoted())),
                false => name = label,
            }
            self.skip(",");
        }
        labels.sort();
        (name, labels)
    }
}

fn unescape(text: &str) -> String {
    let mut characters = text.chars();
    let mut raw = String::new();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next().expect("an escaped character") {
                'n' => raw.push('\n'),
                other => raw.push(other),
            },
            other => raw.push(other),
        }
    }
    raw
}

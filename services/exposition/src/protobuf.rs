//! Delimited `io.prometheus.client.MetricFamily` messages.
//!
//! The messages of [`client_model`](crate::client_model) would have to be filled with copies of every label at every
//! scrape; here label bytes are kept, and the rest is written around them.

use metrifold_merge::{Family, FamilyKind};
use metrifold_model::Exemplar;
use prost::encoding::{WireType, encode_key, encode_varint};

use crate::{
    client_model::MetricType,
    escaping::Escaping,
    exemplar,
    names::{self, FamilyNames},
    rows::{Role, metrics, sections},
    template::created,
};

/// From here up whole numbers are not exact, and a float is the honest field.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
const NANOS_PER_SECOND: f64 = 1e9;

/// A family's messages but for what changes.
#[derive(Debug)]
pub(crate) struct Messages {
    escaping: Escaping,
    sections: Vec<Message>,
}

/// One message, without its length.
#[derive(Debug)]
struct Message {
    /// Name, help, type.
    head: Vec<u8>,
    metrics: Vec<MetricBytes>,
    /// The unit.
    tail: Vec<u8>,
}

#[derive(Debug)]
struct MetricBytes {
    labels: Vec<u8>,
    value: Value,
}

/// Which field of a metric has its value, and from which rows.
#[derive(Debug)]
enum Value {
    Counter(usize),
    Gauge(usize),
    Histogram { first: usize, count: Option<usize>, sum: Option<usize>, buckets: Vec<(f64, usize)> },
    Summary { first: usize, count: Option<usize>, sum: Option<usize>, quantiles: Vec<(f64, usize)> },
}

/// Buffers for messages within messages, whose lengths stand before them.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    family: Vec<u8>,
    metric: Vec<u8>,
    value: Vec<u8>,
    part: Vec<u8>,
    inner: Vec<u8>,
}

impl Messages {
    pub(crate) fn new(family: &Family, names: &FamilyNames, escaping: Escaping) -> Messages {
        let message = |name: &str, rows| Message {
            head: head(name, family),
            metrics: rows_to_metrics(family, names, rows),
            tail: string_field(5, &family.unit),
        };
        let sections =
            sections(family, names).into_iter().map(|each| message(each.name, each.rows)).collect();
        Messages { escaping, sections }
    }

    /// Appends the family that this was made for.
    pub(crate) fn append(&self, family: &Family, scratch: &mut Scratch, out: &mut Vec<u8>) {
        for section in &self.sections {
            let mut body = std::mem::take(&mut scratch.family);
            body.clear();
            for metric in &section.metrics {
                scratch.value.clear();
                let tag = self.value(&metric.value, family, scratch);
                scratch.metric.clear();
                length_delimited(tag, &scratch.value, &mut scratch.metric);
                encode_key(4, WireType::LengthDelimited, &mut body);
                encode_varint((metric.labels.len() + scratch.metric.len()) as u64, &mut body);
                body.extend_from_slice(&metric.labels);
                body.extend_from_slice(&scratch.metric);
            }
            encode_varint((section.head.len() + body.len() + section.tail.len()) as u64, out);
            out.extend_from_slice(&section.head);
            out.extend_from_slice(&body);
            out.extend_from_slice(&section.tail);
            scratch.family = body;
        }
    }

    /// Writes a metric's value into the scratch; the number of its field.
    fn value(&self, value: &Value, family: &Family, scratch: &mut Scratch) -> u32 {
        match value {
            Value::Gauge(row) => {
                double(1, family.values[*row], &mut scratch.value);
                2
            }
            Value::Counter(row) => {
                double(1, family.values[*row], &mut scratch.value);
                if let Some(exemplar) = exemplar_of(family, *row) {
                    self.exemplar(exemplar, &mut scratch.inner);
                    length_delimited(2, &scratch.inner, &mut scratch.value);
                }
                start(3, family, *row, &mut scratch.value);
                3
            }
            Value::Histogram { first, count, sum, buckets } => {
                count.iter().for_each(|row| count_field(1, 4, family.values[*row], &mut scratch.value));
                sum.iter().for_each(|row| double(2, family.values[*row], &mut scratch.value));
                for (bound, row) in buckets {
                    scratch.part.clear();
                    count_field(1, 4, family.values[*row], &mut scratch.part);
                    double(2, *bound, &mut scratch.part);
                    if let Some(exemplar) = exemplar_of(family, *row) {
                        self.exemplar(exemplar, &mut scratch.inner);
                        length_delimited(3, &scratch.inner, &mut scratch.part);
                    }
                    length_delimited(3, &scratch.part, &mut scratch.value);
                }
                start(15, family, *first, &mut scratch.value);
                7
            }
            Value::Summary { first, count, sum, quantiles } => {
                // This message has no field for a count that is no whole number.
                if let Some(row) = count {
                    encode_key(1, WireType::Varint, &mut scratch.value);
                    encode_varint(family.values[*row] as u64, &mut scratch.value);
                }
                sum.iter().for_each(|row| double(2, family.values[*row], &mut scratch.value));
                for (quantile, row) in quantiles {
                    scratch.part.clear();
                    double(1, *quantile, &mut scratch.part);
                    double(2, family.values[*row], &mut scratch.part);
                    length_delimited(3, &scratch.part, &mut scratch.value);
                }
                start(4, family, *first, &mut scratch.value);
                4
            }
        }
    }

    fn exemplar(&self, exemplar: &Exemplar, out: &mut Vec<u8>) {
        out.clear();
        for (name, value) in names::exemplar_labels(&exemplar.labels, self.escaping) {
            label(&name, value, out);
        }
        double(2, exemplar.value, out);
        if let Some(time) = exemplar::time(exemplar) {
            timestamp(3, time, out);
        }
    }
}

fn head(name: &str, family: &Family) -> Vec<u8> {
    let kind = match family.kind {
        FamilyKind::Counter => MetricType::Counter,
        FamilyKind::Histogram => MetricType::Histogram,
        FamilyKind::Summary => MetricType::Summary,
        FamilyKind::Gauge | FamilyKind::Info | FamilyKind::StateSet => MetricType::Gauge,
    };
    let mut head = Vec::new();
    length_delimited(1, name.as_bytes(), &mut head);
    length_delimited(2, family.help.as_bytes(), &mut head);
    encode_key(3, WireType::Varint, &mut head);
    encode_varint(kind as u64, &mut head);
    head
}

fn rows_to_metrics(family: &Family, names: &FamilyNames, rows: std::ops::Range<usize>) -> Vec<MetricBytes> {
    let groups = match family.kind {
        // To this format a state is a gauge among others.
        FamilyKind::StateSet => rows.map(|row| vec![row]).collect(),
        _ => metrics(family, rows),
    };
    groups.into_iter().map(|rows| MetricBytes::new(family, names, &rows)).collect()
}

impl MetricBytes {
    fn new(family: &Family, names: &FamilyNames, rows: &[usize]) -> MetricBytes {
        let (first, mut count, mut sum, mut bounds) = (rows[0], None, None, Vec::new());
        for row in rows {
            match Role::of(family, &family.series[*row]) {
                Role::Value => {}
                Role::Count => count = Some(*row),
                Role::Sum => sum = Some(*row),
                Role::Bucket(bound) | Role::Quantile(bound) => bounds.push((bound, *row)),
            }
        }
        let (own, value) = match family.kind {
            FamilyKind::Counter => (None, Value::Counter(first)),
            FamilyKind::Histogram => (Some("le"), Value::Histogram { first, count, sum, buckets: bounds }),
            FamilyKind::Summary => {
                (Some("quantile"), Value::Summary { first, count, sum, quantiles: bounds })
            }
            FamilyKind::Gauge | FamilyKind::Info | FamilyKind::StateSet => (None, Value::Gauge(first)),
        };
        let mut labels = Vec::new();
        for (name, text) in family.series[first].labels.iter().filter(|(name, _)| Some(*name) != own) {
            label(names.label(name), text, &mut labels);
        }
        MetricBytes { labels, value }
    }
}

fn exemplar_of(family: &Family, row: usize) -> Option<&Exemplar> {
    if family.exemplars.is_empty() {
        return None;
    }
    let at = family.exemplars.binary_search_by_key(&row, |(row, _)| *row).ok()?;
    Some(&family.exemplars[at].1)
}

fn label(name: &str, value: &str, out: &mut Vec<u8>) {
    let mut pair = Vec::with_capacity(name.len() + value.len() + 8);
    length_delimited(1, name.as_bytes(), &mut pair);
    length_delimited(2, value.as_bytes(), &mut pair);
    length_delimited(1, &pair, out);
}

fn string_field(tag: u32, text: &str) -> Vec<u8> {
    let mut field = Vec::new();
    if !text.is_empty() {
        length_delimited(tag, text.as_bytes(), &mut field);
    }
    field
}

fn length_delimited(tag: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn double(tag: u32, value: f64, out: &mut Vec<u8>) {
    encode_key(tag, WireType::SixtyFourBit, out);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A count in the field for whole numbers, or in the one for others.
fn count_field(whole: u32, float: u32, value: f64, out: &mut Vec<u8>) {
    if value.fract() == 0.0 && (0.0..=EXACT_MAX).contains(&value) {
        encode_key(whole, WireType::Varint, out);
        encode_varint(value as u64, out);
    } else {
        double(float, value, out);
    }
}

fn start(tag: u32, family: &Family, row: usize, out: &mut Vec<u8>) {
    if let Some(created) = created(family, row) {
        timestamp(tag, created, out);
    }
}

fn timestamp(tag: u32, seconds: f64, out: &mut Vec<u8>) {
    let whole = seconds.floor();
    let nanos = ((seconds - whole) * NANOS_PER_SECOND).round().min(NANOS_PER_SECOND - 1.0);
    let mut message = Vec::with_capacity(16);
    encode_key(1, WireType::Varint, &mut message);
    encode_varint(whole as i64 as u64, &mut message);
    encode_key(2, WireType::Varint, &mut message);
    encode_varint(nanos as u64, &mut message);
    length_delimited(tag, &message, out);
}

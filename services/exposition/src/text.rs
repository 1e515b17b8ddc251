//! The text format 0.0.4.

use std::{collections::HashMap, sync::Arc};

use metrifold_merge::{Family, FamilyKind, Series, View};

use crate::number::append_float;

/// The `Content-Type` of [`encode_text`]'s output; Prometheus 3 refuses a scrape without a known one.
pub const CONTENT_TYPE_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Bytes set aside for a number and its line feed.
const NUMBER_BYTES: usize = 8;

/// Appends the whole view. Names must be valid for this format, which [`metrifold_merge::merge`] sees to.
pub fn encode_text(view: &View, out: &mut Vec<u8>) {
    for family in &view.families {
        FamilyText::new(family).append(&family.values, out);
    }
}

/// Encodes view after view of one [`Merger`](metrifold_merge::Merger): what stands before the values is remembered
/// while a family's series and help stay the same. The bytes are those of [`encode_text`].
#[derive(Debug, Default)]
pub struct TextEncoder {
    families: HashMap<String, FamilyText>,
}

impl TextEncoder {
    /// Appends the whole view.
    pub fn encode(&mut self, view: &View, out: &mut Vec<u8>) {
        let mut former = std::mem::take(&mut self.families);
        for family in &view.families {
            let text = former.remove(&family.name).filter(|text| text.fits(family));
            let text = text.unwrap_or_else(|| FamilyText::new(family));
            text.append(&family.values, out);
            self.families.insert(family.name.clone(), text);
        }
    }
}

/// Everything of a family's lines but the values.
#[derive(Debug)]
struct FamilyText {
    series: Arc<[Series]>,
    help: Arc<str>,
    kind: FamilyKind,
    /// What stands before each value, one after the other; the first begins with the metadata.
    prefixes: String,
    /// Where each prefix ends.
    ends: Vec<usize>,
}

impl FamilyText {
    fn new(family: &Family) -> FamilyText {
        let mut prefixes = String::new();
        let mut ends = Vec::with_capacity(family.series.len());
        let mut former_name = None;
        for series in family.series.iter() {
            // In this format a counter's metadata stands under its samples' name. Clients of other languages may name
            // them without `_total`; then the family has two names here.
            let name = if family.kind == FamilyKind::Counter { &series.name } else { &family.name };
            if former_name != Some(name) {
                metadata(name, family, &mut prefixes);
                former_name = Some(name);
            }
            prefix(series, &mut prefixes);
            ends.push(prefixes.len());
        }
        let (series, help) = (family.series.clone(), family.help.clone());
        FamilyText { series, help, kind: family.kind, prefixes, ends }
    }

    fn fits(&self, family: &Family) -> bool {
        Arc::ptr_eq(&self.series, &family.series) && self.help == family.help && self.kind == family.kind
    }

    fn append(&self, values: &[f64], out: &mut Vec<u8>) {
        out.reserve(self.prefixes.len() + values.len() * NUMBER_BYTES);
        let mut start = 0;
        for (end, value) in self.ends.iter().zip(values) {
            out.extend_from_slice(&self.prefixes.as_bytes()[start..*end]);
            append_float(*value, out);
            out.push(b'\n');
            start = *end;
        }
    }
}

fn metadata(name: &str, family: &Family, text: &mut String) {
    text.push_str("# HELP ");
    text.push_str(name);
    text.push(' ');
    escape(&family.help, false, text);
    text.push_str("\n# TYPE ");
    text.push_str(name);
    text.push(' ');
    text.push_str(family.kind.name());
    text.push('\n');
}

fn prefix(series: &Series, text: &mut String) {
    text.push_str(&series.name);
    for (index, (name, value)) in series.labels.iter().enumerate() {
        text.push(if index == 0 { '{' } else { ',' });
        text.push_str(name);
        text.push_str("=\"");
        escape(value, true, text);
        text.push('"');
    }
    if !series.labels.is_empty() {
        text.push('}');
    }
    text.push(' ');
}

/// Backslash and line feed everywhere, the quote only in label values.
fn escape(raw: &str, is_label: bool, text: &mut String) {
    for character in raw.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' if is_label => text.push_str("\\\""),
            other => text.push(other),
        }
    }
}

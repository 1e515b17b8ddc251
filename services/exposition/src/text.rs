//! The text format 0.0.4.

use metrifold_merge::{Family, FamilyKind, Sample, View};
use metrifold_model::write_float;

/// The `Content-Type` of [`encode_text`]'s output; Prometheus 3 refuses a scrape without a known one.
pub const CONTENT_TYPE_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Appends the whole view. Names must be valid for this format, which [`metrifold_merge::merge`] sees to.
pub fn encode_text(view: &View, out: &mut Vec<u8>) {
    let mut text = String::new();
    for family in &view.families {
        encode_family(family, &mut text);
        out.extend_from_slice(text.as_bytes());
        text.clear();
    }
}

fn encode_family(family: &Family, text: &mut String) {
    match family.kind {
        // In this format a counter's metadata stands under its samples' name. Clients of other languages may name them
        // without `_total`; then the family has two names here.
        FamilyKind::Counter => {
            for group in family.samples.chunk_by(|one, two| one.name == two.name) {
                encode_group(&group[0].name, family, group, text);
            }
        }
        _ => encode_group(&family.name, family, &family.samples, text),
    }
}

fn encode_group(name: &str, family: &Family, samples: &[Sample], text: &mut String) {
    text.push_str("# HELP ");
    text.push_str(name);
    text.push(' ');
    escape(&family.help, false, text);
    text.push_str("\n# TYPE ");
    text.push_str(name);
    text.push(' ');
    text.push_str(family.kind.name());
    text.push('\n');
    for sample in samples {
        encode_sample(sample, text);
    }
}

fn encode_sample(sample: &Sample, text: &mut String) {
    text.push_str(&sample.name);
    for (index, (name, value)) in sample.labels.iter().enumerate() {
        text.push(if index == 0 { '{' } else { ',' });
        text.push_str(name);
        text.push_str("=\"");
        escape(value, true, text);
        text.push('"');
    }
    if !sample.labels.is_empty() {
        text.push('}');
    }
    text.push(' ');
    write_float(sample.value, text);
    text.push('\n');
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

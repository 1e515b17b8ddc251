//! What the text formats have in common: names, labels, quotes.

use metrifold_merge::{FamilyKind, Series};

use crate::{
    escaping::{NameOf, is_legacy},
    names::FamilyNames,
    rows::label_value,
};

/// Appends a name where metadata has it: in quotes if it needs them.
pub(crate) fn name(name: &str, of: NameOf, text: &mut String) {
    match is_legacy(name, of) {
        true => text.push_str(name),
        false => quoted(name, text),
    }
}

/// Appends what stands before a sample's value, but for the label `without`.
pub(crate) fn series(
    names: &FamilyNames,
    kind: FamilyKind,
    sample: &str,
    series: &Series,
    without: Option<&str>,
    text: &mut String,
) {
    let is_plain = is_legacy(sample, NameOf::Metric);
    let mut separator = '{';
    if is_plain {
        text.push_str(sample);
    } else {
        text.push(separator);
        quoted(sample, text);
        separator = ',';
    }
    for (label, value) in series.labels.iter().filter(|(label, _)| Some(*label) != without) {
        text.push(separator);
        separator = ',';
        pair(names.label(label), &label_value(kind, label, value), text);
    }
    if separator == ',' {
        text.push('}');
    }
    text.push(' ');
}

/// Appends `name="value"`.
pub(crate) fn pair(label: &str, value: &str, text: &mut String) {
    name(label, NameOf::Label, text);
    text.push('=');
    quoted(value, text);
}

fn quoted(raw: &str, text: &mut String) {
    text.push('"');
    escaped(raw, true, text);
    text.push('"');
}

/// Backslash and line feed always, the quote where it would end the text.
pub(crate) fn escaped(raw: &str, is_quoted: bool, text: &mut String) {
    let is_special = |byte: u8| byte == b'\\' || byte == b'\n' || (byte == b'"' && is_quoted);
    let mut rest = raw;
    while let Some(at) = rest.bytes().position(is_special) {
        text.push_str(&rest[..at]);
        text.push_str(match rest.as_bytes()[at] {
            b'\\' => "\\\\",
            b'\n' => "\\n",
            _ => "\\\"",
        });
        rest = &rest[at + 1..];
    }
    text.push_str(rest);
}

/// Appends a line of metadata.
pub(crate) fn metadata(keyword: &str, metric: &str, text: &mut String) {
    text.push_str("# ");
    text.push_str(keyword);
    text.push(' ');
    name(metric, NameOf::Metric, text);
    text.push(' ');
}

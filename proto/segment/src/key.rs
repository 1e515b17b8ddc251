//! The JSON text that names a slot in prometheus_client's files.

use std::collections::BTreeMap;

use metrifold_model::{Descriptor, Kind, Labels};

/// Writes `json.dumps([family, sample, labels, help], sort_keys=True)` byte for byte as Python does: ASCII only,
/// `", "` and `": "` as separators, labels sorted by name.
pub fn encode_key(descriptor: &Descriptor) -> String {
    let mut json = String::with_capacity(64 + descriptor.help.len());
    json.push('[');
    push_string(&mut json, &descriptor.family);
    json.push_str(", ");
    push_string(&mut json, &descriptor.sample);
    json.push_str(", {");
    for (index, (name, value)) in descriptor.labels.iter().enumerate() {
        if index > 0 {
            json.push_str(", ");
        }
        push_string(&mut json, name);
        json.push_str(": ");
        push_string(&mut json, value);
    }
    json.push_str("}, ");
    push_string(&mut json, &descriptor.help);
    json.push(']');
    json
}

/// As [`encode_key`], with the unit, if there is one, as a fifth element: only for segments, since prometheus_client
/// reads no such key.
pub(crate) fn encode_segment_key(descriptor: &Descriptor) -> String {
    let mut json = encode_key(descriptor);
    if !descriptor.unit.is_empty() {
        json.truncate(json.len() - 1);
        json.push_str(", ");
        push_string(&mut json, &descriptor.unit);
        json.push(']');
    }
    json
}

/// Reads a key written by [`encode_key`] or by Python, or one of a segment. Label values must be strings.
pub fn decode_key(kind: Kind, json: &[u8]) -> Result<Descriptor, serde_json::Error> {
    let (family, sample, labels, help, unit) =
        fields(json).or_else(|error| fields(&without_lone_surrogates(json)).map_err(|_| error))?;
    Ok(Descriptor { unit, ..Descriptor::new(kind, family, sample, Labels::new(labels), help) })
}

type LabelFields = BTreeMap<String, String>;

fn fields(json: &[u8]) -> Result<(String, String, LabelFields, String, String), serde_json::Error> {
    let without_unit = serde_json::from_slice::<(String, String, LabelFields, String)>(json);
    without_unit
        .map(|(family, sample, labels, help)| (family, sample, labels, help, String::new()))
        .or_else(|error| serde_json::from_slice(json).map_err(|_| error))
}

/// Python writes bytes that were no UTF-8 (`surrogateescape`) as half of a surrogate pair. No text can hold them: each
/// becomes U+FFFD, as a decoder would have made it, and does not cost the file.
fn without_lone_surrogates(json: &[u8]) -> Vec<u8> {
    let mut fixed = json.to_vec();
    let mut at = 0;
    while at < fixed.len() {
        let (first, second) = (unit_at(&fixed, at), unit_at(&fixed, at + 6));
        at += match (first, second) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                fixed[at..at + 6].copy_from_slice(b"\\ufffd");
                6
            }
            _ if fixed[at] == b'\\' => 2,
            _ => 1,
        }
    }
    fixed
}

/// The number in an escape `\uXXXX`.
fn unit_at(json: &[u8], at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Python's `ensure_ascii`: everything outside space to `~` is escaped, beyond the basic plane as a surrogate pair.
fn push_string(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            ' '..='~' => json.push(character),
            _ => push_escaped(json, character),
        }
    }
    json.push('"');
}

fn push_escaped(json: &mut String, character: char) {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    for unit in character.encode_utf16(&mut [0; 2]) {
        json.push_str("\\u");
        for shift in [12, 8, 4, 0] {
            json.push(HEX[usize::from(*unit >> shift & 15)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_the_bytes_that_python_writes() {
        let descriptor = Descriptor::new(
            Kind::Counter,
            "req",
            "req_total",
            Labels::new([("b", "\u{1F600}"), ("a", "q\"\\\n\t\u{1}\u{7f}")]),
            "Requests \u{e9}",
        );
        // Printed by CPython 3.11.
        let python =
            r#"["req", "req_total", {"a": "q\"\\\n\t\u0001\u007f", "b": "\ud83d\ude00"}, "Requests \u00e9"]"#;
        assert_eq!(encode_key(&descriptor), python);
    }

    #[test]
    fn half_a_surrogate_pair_becomes_the_replacement_character() {
        let key = br#"["a", "a\udcff\\udcff", {"p": "\ud83d\ude00\ud83d"}, "x\udc80\udc80"]"#;
        let descriptor = decode_key(Kind::Counter, key).expect("lenient");
        assert_eq!(descriptor.sample, "a\u{fffd}\\udcff");
        assert_eq!(descriptor.labels.get("p"), Some("\u{1F600}\u{fffd}"));
        assert_eq!(descriptor.help, "x\u{fffd}\u{fffd}");
        assert!(decode_key(Kind::Counter, b"[1]").is_err());
    }

    proptest! {
        #[test]
        fn every_descriptor_survives_its_key(
            names in any::<[String; 3]>(),
            labels in prop::collection::btree_map(any::<String>(), any::<String>(), 0..4),
            unit in any::<String>(),
        ) {
            let [family, sample, help] = names;
            let descriptor = Descriptor::new(Kind::Summary, family, sample, Labels::new(labels), help);
            let key = encode_key(&descriptor);
            prop_assert!(key.is_ascii());
            prop_assert_eq!(&encode_segment_key(&descriptor), &key);
            prop_assert_eq!(decode_key(Kind::Summary, key.as_bytes()).expect("own key"), descriptor.clone());
            let descriptor = Descriptor { unit, ..descriptor };
            let key = encode_segment_key(&descriptor);
            prop_assert_eq!(decode_key(Kind::Summary, key.as_bytes()).expect("own key"), descriptor);
        }
    }
}

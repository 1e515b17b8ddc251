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

/// Reads a key written by [`encode_key`] or by Python. Label values must be strings.
pub fn decode_key(kind: Kind, json: &[u8]) -> Result<Descriptor, serde_json::Error> {
    let (family, sample, labels, help): (String, String, BTreeMap<String, String>, String) =
        serde_json::from_slice(json)?;
    Ok(Descriptor::new(kind, family, sample, Labels::new(labels), help))
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

    proptest! {
        #[test]
        fn every_descriptor_survives_its_key(
            names in any::<[String; 3]>(),
            labels in prop::collection::btree_map(any::<String>(), any::<String>(), 0..4),
        ) {
            let [family, sample, help] = names;
            let descriptor = Descriptor::new(Kind::Summary, family, sample, Labels::new(labels), help);
            let key = encode_key(&descriptor);
            prop_assert!(key.is_ascii());
            prop_assert_eq!(decode_key(Kind::Summary, key.as_bytes()).expect("own key"), descriptor);
        }
    }
}

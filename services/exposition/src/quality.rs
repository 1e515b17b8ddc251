//! Lists with q values, as in `Accept` and `Accept-Encoding`.

/// One entry of a list.
#[derive(Debug, PartialEq)]
pub(crate) struct Entry {
    /// What stands before the parameters, in lower case.
    pub(crate) value: String,
    /// Parameters other than `q`: names in lower case, values without quotes.
    pub(crate) parameters: Vec<(String, String)>,
    /// From 0 (never) to 1.
    pub(crate) quality: f64,
}

impl Entry {
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The entries in order. One with a q value that is no number is left out.
pub(crate) fn entries(header: &str) -> impl Iterator<Item = Entry> {
    split(header, ',').into_iter().filter_map(entry)
}

fn entry(text: &str) -> Option<Entry> {
    let mut parts = split(text, ';').into_iter();
    let value = parts.next()?.to_ascii_lowercase();
    let mut entry = Entry { value, parameters: Vec::new(), quality: 1.0 };
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"'));
        match name.as_str() {
            "q" => entry.quality = value.parse().ok().filter(|quality| (0.0..=1.0).contains(quality))?,
            _ => entry.parameters.push((name, value.to_owned())),
        }
    }
    (!entry.value.is_empty()).then_some(entry)
}

/// Splits outside of quotes, and trims.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut is_quoted = false;
    text.split(move |character| {
        is_quoted ^= character == '"';
        character == separator && !is_quoted
    })
    .map(str::trim)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_quotes_and_q_values_are_told_apart() {
        let read: Vec<_> = entries("Text/Plain;Version=\"1,0\" ; q=0.5, ,*/*;q=2, gzip").collect();
        let version = vec![("version".to_owned(), "1,0".to_owned())];
        assert_eq!(
            read,
            [
                Entry { value: "text/plain".into(), parameters: version, quality: 0.5 },
                Entry { value: "gzip".into(), parameters: vec![], quality: 1.0 },
            ]
        );
    }
}

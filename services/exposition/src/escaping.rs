//! Names for readers that only know `[a-zA-Z_:][a-zA-Z0-9_:]*`.

use std::fmt::Write;

/// How names that are not legacy names are written; the schemes of Prometheus 3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Escaping {
    /// As they are, in quotes. Only where the format has quotes for names.
    AllowUtf8,
    /// Every foreign character becomes `_`. What readers get that do not say.
    #[default]
    Underscores,
    /// `.` becomes `_dot_`, `_` becomes `__`, everything else that is foreign `__`.
    Dots,
    /// `U__`, then `_` becomes `__` and a foreign character its code, `_2e_`: can be undone.
    Values,
}

impl Escaping {
    /// The scheme of this name in an `Accept` header.
    pub fn from_name(name: &str) -> Option<Escaping> {
        [Escaping::AllowUtf8, Escaping::Underscores, Escaping::Dots, Escaping::Values]
            .into_iter()
            .find(|scheme| scheme.name() == name)
    }

    /// The scheme's name in `Accept` and `Content-Type`.
    pub fn name(self) -> &'static str {
        match self {
            Escaping::AllowUtf8 => "allow-utf-8",
            Escaping::Underscores => "underscores",
            Escaping::Dots => "dots",
            Escaping::Values => "values",
        }
    }
}

/// What a name is the name of; only metrics may have colons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameOf {
    Metric,
    Label,
}

/// Whether every reader ever knew such names.
pub(crate) fn is_legacy(name: &str, of: NameOf) -> bool {
    !name.is_empty() && name.chars().enumerate().all(|(at, character)| is_legacy_character(character, at, of))
}

fn is_legacy_character(character: char, at: usize, of: NameOf) -> bool {
    match character {
        'a'..='z' | 'A'..='Z' | '_' => true,
        '0'..='9' => at > 0,
        ':' => of == NameOf::Metric,
        _ => false,
    }
}

/// Whether `scheme` shows this name as it is.
pub(crate) fn is_unchanged(name: &str, of: NameOf, scheme: Escaping) -> bool {
    match scheme {
        Escaping::AllowUtf8 => true,
        Escaping::Underscores | Escaping::Values => is_legacy(name, of),
        Escaping::Dots => is_legacy(name, of) && !name.contains('_'),
    }
}

/// The name as `scheme` shows it.
pub(crate) fn escape(name: &str, of: NameOf, scheme: Escaping) -> String {
    if is_unchanged(name, of, scheme) {
        return name.to_owned();
    }
    let mut shown = String::with_capacity(name.len() + 8);
    if scheme == Escaping::Values {
        shown.push_str("U__");
    }
    for (at, character) in name.chars().enumerate() {
        let is_legacy = is_legacy_character(character, at, of);
        match (scheme, character) {
            (Escaping::Dots | Escaping::Values, '_') => shown.push_str("__"),
            (Escaping::Dots, '.') => shown.push_str("_dot_"),
            _ if is_legacy => shown.push(character),
            (Escaping::Dots, _) => shown.push_str("__"),
            (Escaping::Values, _) => {
                let _ = write!(shown, "_{:x}_", u32::from(character));
            }
            _ => shown.push('_'),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expectations are those of prometheus/common and prometheus_client.
    #[test]
    fn every_scheme_writes_what_other_exporters_write() {
        for (name, underscores, dots, values) in [
            ("no:escaping_required", "no:escaping_required", "no:escaping__required", "no:escaping_required"),
            (
                "mysystem.prod.west",
                "mysystem_prod_west",
                "mysystem_dot_prod_dot_west",
                "U__mysystem_2e_prod_2e_west",
            ),
            ("my.sys_tem-1", "my_sys_tem_1", "my_dot_sys__tem__1", "U__my_2e_sys__tem_2d_1"),
            ("1st", "_st", "__st", "U___31_st"),
            ("\u{fc}\u{1f600}", "__", "____", "U___fc__1f600_"),
        ] {
            assert_eq!(escape(name, NameOf::Metric, Escaping::AllowUtf8), name);
            assert_eq!(escape(name, NameOf::Metric, Escaping::Underscores), underscores);
            assert_eq!(escape(name, NameOf::Metric, Escaping::Dots), dots);
            assert_eq!(escape(name, NameOf::Metric, Escaping::Values), values);
        }
    }

    #[test]
    fn a_colon_is_foreign_to_labels() {
        assert_eq!(escape("a:b", NameOf::Label, Escaping::Underscores), "a_b");
        assert_eq!(escape("a:b", NameOf::Metric, Escaping::Underscores), "a:b");
    }
}

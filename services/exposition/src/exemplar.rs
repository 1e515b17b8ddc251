//! Exemplars as text.

use metrifold_model::{Exemplar, limits::EXEMPLAR_CHARACTERS_MAX};

use crate::{
    escaping::Escaping,
    names,
    number::{append_float, append_timestamp},
    syntax,
};

/// What a format allows an exemplar to be.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ExemplarRules {
    /// How its label names are shown.
    pub(crate) escaping: Escaping,
    /// Whether one without a time is left out.
    pub(crate) needs_time: bool,
    /// Whether one with more than [`EXEMPLAR_CHARACTERS_MAX`] characters is left out.
    pub(crate) is_short: bool,
}

impl ExemplarRules {
    /// Appends ` # {labels} value time`, or nothing if the format does not allow it.
    pub(crate) fn append(self, exemplar: &Exemplar, out: &mut Vec<u8>) {
        let time = time(exemplar);
        let labels = names::exemplar_labels(&exemplar.labels, self.escaping);
        let characters = |(name, value): &(_, &str)| -> usize {
            let name: &String = name;
            name.chars().count() + value.chars().count()
        };
        let is_long = labels.iter().map(characters).sum::<usize>() > EXEMPLAR_CHARACTERS_MAX;
        if (self.needs_time && time.is_none()) || (self.is_short && is_long) {
            return;
        }
        let mut text = String::from(" # {");
        for (index, (name, value)) in labels.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            syntax::pair(name, value, &mut text);
        }
        text.push_str("} ");
        out.extend_from_slice(text.as_bytes());
        append_float(exemplar.value, out);
        if let Some(time) = time {
            out.push(b' ');
            append_timestamp(time, out);
        }
    }
}

/// When it happened, if that is known.
pub(crate) fn time(exemplar: &Exemplar) -> Option<f64> {
    (exemplar.timestamp != 0.0 && exemplar.timestamp.is_finite()).then_some(exemplar.timestamp)
}

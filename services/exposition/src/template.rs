//! A family's text with gaps for what changes from scrape to scrape.

use metrifold_merge::Family;

use crate::{
    exemplar::ExemplarRules,
    number::{append_count, append_float, append_timestamp},
};

/// Bytes set aside for a number.
const NUMBER_BYTES: usize = 8;

/// What fills a gap. Numbers are rows of the family.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Gap {
    /// Nothing: the end.
    Nothing,
    /// A row's value.
    Value(usize),
    /// A row's value, without a point if it is whole.
    Count(usize),
    /// When a row began to count. The text before it goes with it where that is not known.
    Created(usize),
    /// A row's exemplar, if it has one.
    Exemplar(usize),
}

/// Everything of a family's lines but the values.
#[derive(Debug, Default)]
pub(crate) struct Template {
    /// What stands before each gap, one after the other.
    text: String,
    /// Where each text ends, and what follows it.
    pieces: Vec<(usize, Gap)>,
    exemplars: ExemplarRules,
}

impl Template {
    pub(crate) fn new(exemplars: ExemplarRules) -> Template {
        Template { exemplars, ..Template::default() }
    }

    /// Adds text.
    pub(crate) fn text(&mut self) -> &mut String {
        &mut self.text
    }

    /// Ends the text with a gap.
    pub(crate) fn gap(&mut self, gap: Gap) {
        self.pieces.push((self.text.len(), gap));
    }

    /// Ends the template.
    pub(crate) fn finish(mut self) -> Template {
        self.gap(Gap::Nothing);
        self.text.shrink_to_fit();
        self.pieces.shrink_to_fit();
        self
    }

    /// Appends the family that this was made for.
    pub(crate) fn append(&self, family: &Family, out: &mut Vec<u8>) {
        out.reserve(self.text.len() + self.pieces.len() * NUMBER_BYTES);
        let (text, values) = (self.text.as_bytes(), family.values.as_slice());
        let mut exemplars = family.exemplars.iter().map(|(row, exemplar)| (*row, &**exemplar)).peekable();
        let mut start = 0;
        for (end, gap) in &self.pieces {
            let piece = &text[start..*end];
            start = *end;
            match *gap {
                Gap::Value(row) => {
                    out.extend_from_slice(piece);
                    append_float(values[row], out);
                }
                Gap::Created(row) => append_created(piece, family, row, out),
                Gap::Count(row) => {
                    out.extend_from_slice(piece);
                    append_count(values[row], out);
                }
                Gap::Exemplar(row) => {
                    out.extend_from_slice(piece);
                    while exemplars.next_if(|(at, _)| *at < row).is_some() {}
                    if let Some((_, exemplar)) = exemplars.next_if(|(at, _)| *at == row) {
                        self.exemplars.append(exemplar, out);
                    }
                }
                Gap::Nothing => out.extend_from_slice(piece),
            }
        }
    }
}

fn append_created(piece: &[u8], family: &Family, row: usize, out: &mut Vec<u8>) {
    if let Some(created) = created(family, row) {
        out.extend_from_slice(piece);
        append_timestamp(created, out);
    }
}

/// When a row began to count, if that is known.
pub(crate) fn created(family: &Family, row: usize) -> Option<f64> {
    family.created.get(row).copied().filter(|created| *created != 0.0 && created.is_finite())
}

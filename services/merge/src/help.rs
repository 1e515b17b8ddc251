//! Which of several help texts (or units) of a family is shown: the newest.

use std::sync::Arc;

use metrifold_model::Incarnation;
use metrifold_session::Instant;

use crate::table::FamilyIndex;

/// How new a help text is; the greatest is shown.
///
/// Among live sources the incarnation decides: by the time of the last push the text would change from scrape to
/// scrape while two versions of a program run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum HelpAge {
    Archive,
    Tombstone { folded: Instant, incarnation: Incarnation },
    Dead(Incarnation),
    Live(Incarnation),
}

/// The newest help text of each family.
#[derive(Default)]
pub(crate) struct Helps(Vec<Option<(HelpAge, Arc<str>)>>);

impl Helps {
    pub(crate) fn offer(&mut self, age: HelpAge, helps: &[(FamilyIndex, Arc<str>)]) {
        for (family, help) in helps {
            if self.0.len() <= *family {
                self.0.resize(family + 1, None);
            }
            let shown = &mut self.0[*family];
            // Of equally new ones (two shards' archives) the greater, so that order does not show.
            if shown.as_ref().is_none_or(|(since, text)| (age, help) > (*since, text)) {
                *shown = Some((age, help.clone()));
            }
        }
    }

    pub(crate) fn get(&self, family: FamilyIndex) -> Arc<str> {
        self.0.get(family).and_then(Option::as_ref).map_or_else(|| Arc::from(""), |(_, help)| help.clone())
    }
}

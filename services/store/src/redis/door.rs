//! What a push may bring whose descriptors came with an earlier one. Redis does not understand descriptors, so that whoever
//! passes pushes on to it keeps their rules in mind.

use std::sync::Arc;

use dashmap::DashMap;
use metrifold_model::{DescriptorList, Incarnation, Namespace, limits};
use metrifold_redis::Judgement;
use metrifold_session::{DescriptorPart, Payload, Push, SlotRules};

type SourceKey = (Namespace, Incarnation);

/// The rules of the sources that push through this process.
#[derive(Default)]
pub(super) struct Door {
    rules: DashMap<SourceKey, Arc<SlotRules>>,
}

/// Sources whose rules are kept in mind at once: some 100 bytes each, of a program with ten histograms.
const SOURCES_MAX: usize = limits::SOURCES_PER_NAMESPACE_MAX;

impl Door {
    /// Judges a push; `read` is what was last read of the source's descriptors. Also returns what is to be kept in mind if
    /// Redis takes the push.
    pub(super) fn judge(
        &self,
        namespace: &Namespace,
        push: &Push,
        read: impl FnOnce() -> Option<DescriptorList>,
    ) -> (Judgement, Option<Arc<SlotRules>>) {
        let known = self.rules.get(&(namespace.clone(), push.incarnation)).map(|known| known.clone());
        let part = &push.descriptors;
        let is_known = |rules: &Arc<SlotRules>| part.entries.is_empty() && rules.fits(part);
        let rules = match known {
            Some(known) if is_known(&known) => Some(known),
            Some(known) => known.after(part).map(Arc::new).or_else(|| whole(part, read)),
            None => whole(part, read),
        };
        let brings_values = matches!(push.payload, Payload::Values(_)) || push.base.is_some();
        let judgement = match &rules {
            None if brings_values => Judgement::Unknown,
            None => Judgement::Sound,
            Some(rules) => rules.check(push).map_or_else(Judgement::Refused, |()| Judgement::Sound),
        };
        (judgement, rules)
    }

    /// Keeps the rules of a source in mind whose push was taken.
    pub(super) fn remember(&self, namespace: &Namespace, source: Incarnation, rules: Arc<SlotRules>) {
        // Most sources end without a word. Whoever is still there is asked once for its descriptors.
        if self.rules.len() >= SOURCES_MAX {
            self.rules.clear();
        }
        self.rules.insert((namespace.clone(), source), rules);
    }
}

/// By what the push itself brings, or what was read of its source.
fn whole(part: &DescriptorPart, read: impl FnOnce() -> Option<DescriptorList>) -> Option<Arc<SlotRules>> {
    let before = match part.from {
        0 => SlotRules::default(),
        from => SlotRules::of_first(&read()?, from)?,
    };
    before.after(part).map(Arc::new)
}

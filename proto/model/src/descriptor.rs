//! What one slot means, and the append-only list of a source's slots.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{Kind, LabelNames, Labels, SlotRule, limits};

/// Names one slot, as one entry of prometheus_client's `.db` layout does: a histogram has one descriptor per bucket
/// (sample `x_bucket`, label `le`, non-cumulative) and one for its sum; a counter one (sample `x_total`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Descriptor {
    /// Type and gauge mode.
    pub kind: Kind,
    /// The family's name, without `_total`, `_bucket`, `_sum` or `_count`.
    pub family: String,
    /// The name on the sample's line.
    pub sample: String,
    /// The sample's labels; `le` included for a bucket.
    pub labels: Labels,
    /// The help text, unescaped.
    pub help: String,
    /// Whether the series ends with its worker instead of being archived.
    pub per_worker: bool,
    /// The unit, such as `seconds`; empty if none was given.
    pub unit: String,
}

impl Descriptor {
    /// A descriptor of a series without unit that outlives its worker (`per_worker` false). Of a help text only what fits into
    /// [`limits::HELP_BYTES_MAX`] is kept: a long one is no reason to do without the metric.
    pub fn new(
        kind: Kind,
        family: impl Into<String>,
        sample: impl Into<String>,
        labels: Labels,
        help: impl Into<String>,
    ) -> Self {
        Descriptor {
            kind,
            family: family.into(),
            sample: sample.into(),
            labels,
            help: cut(help.into()),
            per_worker: false,
            unit: String::new(),
        }
    }

    /// What identifies the series apart from help and unit: slots with equal keys merge into one.
    pub fn key(&self) -> SeriesKey {
        SeriesKey {
            kind: self.kind,
            family: self.family.clone(),
            sample: self.sample.clone(),
            labels: self.labels.clone(),
        }
    }

    /// Whether the series ends with its worker: by its kind, by its flag, or by a label in `per_worker`.
    pub fn ends_with_worker(&self, per_worker: &LabelNames) -> bool {
        self.kind.is_live() || self.per_worker || per_worker.any_of(&self.labels)
    }

    /// Whether a fold moves this slot into the archive.
    pub fn is_archived(&self, per_worker: &LabelNames) -> bool {
        self.kind.is_subtractable() && !self.ends_with_worker(per_worker)
    }

    /// Length of names, labels, help text and unit together.
    pub fn text_bytes(&self) -> usize {
        let labels: usize = self.labels.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.family.len() + self.sample.len() + self.help.len() + self.unit.len() + labels
    }

    /// The hash of a list that ends with this descriptor, given the hash of those before it.
    pub fn hash_onto(&self, previous: DescriptorHash) -> DescriptorHash {
        let mut bytes = vec![self.kind.code(), u8::from(self.per_worker)];
        let mut field = |text: &str| {
            bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        };
        field(&self.family);
        field(&self.sample);
        field(&self.help);
        for (name, value) in self.labels.iter() {
            field(name);
            field(value);
        }
        // One more field than pairs give, so that lists without units keep the hashes they always had.
        if !self.unit.is_empty() {
            field(&self.unit);
        }
        DescriptorHash(xxh3_64_with_seed(&bytes, previous.0))
    }
}

/// The help that is kept of a text.
fn cut(mut help: String) -> String {
    let mut end = help.len().min(limits::HELP_BYTES_MAX);
    while !help.is_char_boundary(end) {
        end -= 1;
    }
    help.truncate(end);
    help
}

/// The identity of a merged series.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesKey {
    /// The family's name. First, so that keys sort by family.
    pub family: String,
    /// Type and gauge mode.
    pub kind: Kind,
    /// The name on the sample's line.
    pub sample: String,
    /// The sample's labels.
    pub labels: Labels,
}

/// Hash of the first n descriptors of a list: xxh3-64 of each descriptor's fields, seeded with the hash before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DescriptorHash(pub u64);

/// A source's slots in order. Append-only, and cheap to clone: clones share everything until one of them grows.
#[derive(Clone, Debug, Default)]
pub struct DescriptorList {
    shared: Arc<Entries>,
}

#[derive(Clone, Debug, Default)]
struct Entries {
    descriptors: Vec<Arc<Descriptor>>,
    /// Of the first one, the first two, and so on.
    hashes: Vec<DescriptorHash>,
    /// What each slot may hold.
    rules: Vec<SlotRule>,
    /// Of all texts.
    text_bytes: usize,
}

impl DescriptorList {
    /// Appends one descriptor.
    pub fn push(&mut self, descriptor: impl Into<Arc<Descriptor>>) {
        let descriptor = descriptor.into();
        let hash = descriptor.hash_onto(self.hash());
        let entries = Arc::make_mut(&mut self.shared);
        entries.hashes.push(hash);
        entries.rules.push(descriptor.rule());
        entries.text_bytes += descriptor.text_bytes();
        entries.descriptors.push(descriptor);
    }

    /// The number of slots.
    pub fn len(&self) -> usize {
        self.shared.descriptors.len()
    }

    /// Whether there is no slot.
    pub fn is_empty(&self) -> bool {
        self.shared.descriptors.is_empty()
    }

    /// The hash over all descriptors; [`DescriptorHash::default`] for an empty list.
    pub fn hash(&self) -> DescriptorHash {
        self.shared.hashes.last().copied().unwrap_or_default()
    }

    /// The hash over the first `count` descriptors; `None` if there are fewer.
    pub fn hash_of_first(&self, count: usize) -> Option<DescriptorHash> {
        match count {
            0 => Some(DescriptorHash::default()),
            _ => self.shared.hashes.get(count - 1).copied(),
        }
    }

    /// Length of all names, labels, help texts and units together.
    pub fn text_bytes(&self) -> usize {
        self.shared.text_bytes
    }

    /// What each slot may hold.
    pub fn rules(&self) -> &[SlotRule] {
        &self.shared.rules
    }

    /// The descriptors in slot order.
    pub fn entries(&self) -> &[Arc<Descriptor>] {
        &self.shared.descriptors
    }

    /// The descriptors in slot order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Descriptor> {
        self.shared.descriptors.iter().map(Arc::as_ref)
    }
}

impl<D: Into<Arc<Descriptor>>> FromIterator<D> for DescriptorList {
    fn from_iter<I: IntoIterator<Item = D>>(descriptors: I) -> Self {
        let mut list = DescriptorList::default();
        descriptors.into_iter().for_each(|descriptor| list.push(descriptor));
        list
    }
}

// The chained hash covers order and every field, so equal hashes and lengths stand for equal lists.
impl PartialEq for DescriptorList {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.hash() == other.hash()
    }
}

impl Eq for DescriptorList {}

impl std::hash::Hash for DescriptorList {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.len(), DescriptorList::hash(self)).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(name: &str) -> Descriptor {
        Descriptor::new(Kind::Counter, name, format!("{name}_total"), Labels::default(), "")
    }

    #[test]
    fn a_long_help_is_cut_between_two_characters_and_the_metric_kept() {
        let help =
            |text: String| Descriptor::new(Kind::Counter, "c", "c_total", Labels::default(), text).help;
        let fits = "x".repeat(limits::HELP_BYTES_MAX);
        assert_eq!(help(fits.clone()), fits);
        assert_eq!(help(format!("{fits}y")), fits);
        let accents = "\u{e9}".repeat(limits::HELP_BYTES_MAX);
        assert_eq!(help(format!("x{accents}")).len(), limits::HELP_BYTES_MAX - 1);
    }

    #[test]
    fn the_hash_of_a_prefix_is_the_hash_of_the_shorter_list() {
        let short: DescriptorList = [counter("a")].into_iter().collect();
        let long: DescriptorList = [counter("a"), counter("b")].into_iter().collect();
        assert_eq!(long.hash_of_first(1), Some(short.hash()));
        assert_eq!(long.hash_of_first(0), Some(DescriptorHash::default()));
        assert_eq!(long.hash_of_first(3), None);
        assert_ne!(long, short);
    }

    #[test]
    fn the_hash_depends_on_order_and_on_every_field() {
        let base = counter("a");
        let mut variants = vec![base.clone()];
        variants.push(Descriptor { per_worker: true, ..base.clone() });
        variants.push(Descriptor { help: "h".into(), ..base.clone() });
        variants.push(Descriptor { unit: "h".into(), ..base.clone() });
        variants.push(Descriptor { labels: Labels::new([("x", "y")]), ..base.clone() });
        variants.push(Descriptor { labels: Labels::new([("xy", "")]), ..base.clone() });
        variants.push(Descriptor { kind: Kind::Summary, ..base.clone() });
        let hashes: std::collections::HashSet<_> = variants
            .into_iter()
            .map(|variant| [variant].into_iter().collect::<DescriptorList>().hash())
            .collect();
        assert_eq!(hashes.len(), 7);
        let ab: DescriptorList = [counter("a"), counter("b")].into_iter().collect();
        let ba: DescriptorList = [counter("b"), counter("a")].into_iter().collect();
        assert_ne!(ab, ba);
    }
}

//! What the ledger knows of one file, and the records that say so.

use std::collections::BTreeMap;

use metrifold_format::{decode_descriptors, decode_values, encode_descriptors, encode_values};
use metrifold_model::{DescriptorHash, DescriptorList, Epoch, Incarnation, Seq, Values};
use metrifold_segment::{DbIdentity, ProcessIdentity};
use metrifold_session::{Instant, PusherState};

/// Number of an entry, random, and the first incarnation of its file's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in super::super) struct EntryId(pub(in super::super) u64);

/// One file.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Entry {
    pub(in super::super) head: Head,
    /// Of a file that may still be pushed; let go at its end.
    pub(in super::super) descriptors: DescriptorList,
    /// What each target was sent, by the target's id.
    pub(in super::super) targets: BTreeMap<u64, TargetState>,
}

/// Which file it is and who writes it.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Head {
    pub(in super::super) name: String,
    pub(in super::super) file: DbIdentity,
    /// The process that was seen to hold it.
    pub(in super::super) owner: Option<ProcessIdentity>,
    /// How often it was written again without a process in sight that holds it.
    pub(in super::super) unseen_writers: u64,
    /// Of an ended file: how many descriptors there were, and their hash.
    pub(in super::super) prefix: Option<(usize, DescriptorHash)>,
}

/// What one target was sent.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct TargetState {
    pub(in super::super) state: PusherState,
    pub(in super::super) end: End,
}

/// How far a target knows that a source has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) enum End {
    /// Not at all.
    #[default]
    Open,
    /// It was told, or may have been. From then on a store may answer `ok` to whatever comes and keep nothing of it, so
    /// only the same values are sent again.
    Sent,
    /// It has the last values for good.
    Known,
}

impl Entry {
    pub(in super::super) fn new(head: Head) -> Self {
        Entry { head, descriptors: DescriptorList::default(), targets: BTreeMap::new() }
    }

    /// The newest values that any target was sent: numbers come from one clock.
    pub(in super::super) fn last_values(&self) -> Values {
        let last = self.targets.values().max_by_key(|of| of.state.sent);
        last.and_then(|of| of.state.values.clone().or_else(|| of.state.base.clone())).unwrap_or_default()
    }

    /// Whether what is in a file may be what became of what was sent: the same series in the same order, and no counter
    /// below what it was.
    pub(in super::super) fn continues_as(&self, descriptors: &DescriptorList, values: &Values) -> bool {
        let (count, hash) = self.head.prefix.unwrap_or((self.descriptors.len(), self.descriptors.hash()));
        let former = self.last_values();
        let rises = |index: usize| {
            descriptors.entries().get(index).is_some_and(|descriptor| {
                !matches!(descriptor.kind, metrifold_model::Kind::Counter)
                    || values.slot(index) >= former.slot(index)
            })
        };
        descriptors.hash_of_first(count) == Some(hash) && (0..former.slots.len()).all(rises)
    }

    /// Everything there is to know, as records.
    pub(in super::super) fn records(&self, id: EntryId) -> Vec<Record> {
        let head = Record::Head(id, self.head.clone());
        let descriptors =
            (!self.descriptors.is_empty()).then(|| Record::Descriptors(id, 0, self.descriptors.clone()));
        let targets = self.targets.iter().map(|(target, of)| {
            let whole = (Some(of.state.values.clone()), Some(of.state.base.clone()));
            Record::Target(id, *target, of.clone(), whole.0, whole.1)
        });
        std::iter::once(head).chain(descriptors).chain(targets).collect()
    }
}

/// A line of the ledger.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "records live for one write; nobody keeps many of them")]
pub(in super::super) enum Record {
    /// An entry begins, or its head has changed.
    Head(EntryId, Head),
    /// More descriptors, after so many.
    Descriptors(EntryId, usize, DescriptorList),
    /// What a target was sent; values and base only if they are others than before.
    Target(EntryId, u64, TargetState, Option<Option<Values>>, Option<Option<Values>>),
    /// Nothing is left to know of an entry.
    Gone(EntryId),
}

impl Record {
    /// The record as bytes.
    pub(in super::super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Bytes::default();
        match self {
            Record::Head(id, head) => {
                bytes.numbers(&[1, id.0, head.file.inode, head.file.born, head.unseen_writers]);
                let owner = head.owner.unwrap_or_default();
                bytes.numbers(&[
                    u64::from(head.owner.is_some()),
                    u64::from(owner.pid),
                    owner.start_ticks,
                    owner.pid_namespace,
                ]);
                let (count, hash) = head.prefix.unwrap_or_default();
                bytes.numbers(&[u64::from(head.prefix.is_some()), count as u64, hash.0]);
                bytes.blob(head.name.as_bytes());
            }
            Record::Descriptors(id, from, list) => {
                bytes.numbers(&[2, id.0]);
                bytes.blob(&encode_descriptors(*from, &list.entries()[*from..], list.hash()));
            }
            Record::Target(id, target, TargetState { state, end }, values, base) => {
                bytes.numbers(&[3, id.0, *target, state.incarnation.0, state.sent.0, state.acked.0]);
                bytes.numbers(&[state.epoch.map_or(0, |epoch| epoch.0), state.answered.0, *end as u64]);
                bytes.column(values);
                bytes.column(base);
            }
            Record::Gone(id) => bytes.numbers(&[4, id.0]),
        }
        bytes.0
    }

    /// Carries bytes that [`Record::encode`] made out on the entries; `None` if they are no record, or none that fits.
    pub(in super::super) fn apply(bytes: &[u8], entries: &mut BTreeMap<EntryId, Entry>) -> Option<()> {
        let mut fields = Fields(bytes);
        let (tag, id) = (fields.number()?, EntryId(fields.number()?));
        match tag {
            1 => Self::apply_head(&mut fields, id, entries)?,
            2 => Self::apply_descriptors(&mut fields, entries.get_mut(&id)?)?,
            3 => Self::apply_target(&mut fields, entries.get_mut(&id)?)?,
            4 => drop(entries.remove(&id)),
            _ => return None,
        }
        Some(())
    }

    fn apply_head(
        fields: &mut Fields<'_>,
        id: EntryId,
        entries: &mut BTreeMap<EntryId, Entry>,
    ) -> Option<()> {
        let file = DbIdentity { inode: fields.number()?, born: fields.number()? };
        let unseen_writers = fields.number()?;
        let has_owner = fields.flag()?;
        let owner = ProcessIdentity {
            pid: u32::try_from(fields.number()?).ok()?,
            start_ticks: fields.number()?,
            pid_namespace: fields.number()?,
        };
        let has_prefix = fields.flag()?;
        let prefix = (usize::try_from(fields.number()?).ok()?, DescriptorHash(fields.number()?));
        let head = Head {
            name: String::from_utf8(fields.blob()?.to_vec()).ok()?,
            file,
            owner: has_owner.then_some(owner),
            unseen_writers,
            prefix: has_prefix.then_some(prefix),
        };
        let entry = entries.entry(id).or_insert_with(|| Entry::new(head.clone()));
        if head.prefix.is_some() {
            entry.descriptors = DescriptorList::default();
        }
        entry.head = head;
        Some(())
    }

    fn apply_descriptors(fields: &mut Fields<'_>, entry: &mut Entry) -> Option<()> {
        let list = &entry.descriptors;
        let known = match list.is_empty() {
            true => Vec::new(),
            false => encode_descriptors(0, list.entries(), list.hash()),
        };
        entry.descriptors = decode_descriptors(&[&known, fields.blob()?].concat()).ok()?;
        Some(())
    }

    fn apply_target(fields: &mut Fields<'_>, entry: &mut Entry) -> Option<()> {
        let target = fields.number()?;
        let targets = &mut entry.targets;
        let former = targets.get(&target).map(|of| of.state.clone());
        let (former_values, former_base) = former.map_or((None, None), |state| (state.values, state.base));
        let (incarnation, sent, acked) =
            (Incarnation(fields.number()?), Seq(fields.number()?), Seq(fields.number()?));
        let epoch = Some(fields.number()?).filter(|epoch| *epoch != 0).map(Epoch);
        let answered = Instant(fields.number()?);
        let end = match fields.number()? {
            0 => End::Open,
            1 => End::Sent,
            2 => End::Known,
            _ => return None,
        };
        let values = fields.column()?.unwrap_or(former_values);
        let base = fields.column()?.unwrap_or(former_base);
        let state = PusherState { incarnation, sent, acked, epoch, values, base, answered };
        targets.insert(target, TargetState { state, end });
        Some(())
    }
}

/// A record under construction.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn numbers(&mut self, numbers: &[u64]) {
        numbers.iter().for_each(|number| self.0.extend_from_slice(&number.to_le_bytes()));
    }

    fn blob(&mut self, bytes: &[u8]) {
        self.numbers(&[bytes.len() as u64]);
        self.0.extend_from_slice(bytes);
    }

    /// 0: as before; 1: none; 2: these.
    fn column(&mut self, column: &Option<Option<Values>>) {
        match column {
            None => self.numbers(&[0]),
            Some(None) => self.numbers(&[1]),
            Some(Some(values)) => {
                self.numbers(&[2]);
                self.blob(&encode_values(values));
            }
        }
    }
}

/// What is left of a record.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn number(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    fn flag(&mut self) -> Option<bool> {
        match self.number()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn blob(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (blob, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(blob)
    }

    fn column(&mut self) -> Option<Option<Option<Values>>> {
        match self.number()? {
            0 => Some(None),
            1 => Some(Some(None)),
            2 => Some(Some(Some(decode_values(self.blob()?).ok()?))),
            _ => None,
        }
    }
}

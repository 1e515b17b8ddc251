//! Which key of which file is which series, told without reading the key's JSON again.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use metrifold_model::{Descriptor, DescriptorList, Kind};
use metrifold_segment::decode_key;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::files::FileError;

/// Slots of a block; one per bit of [`super::sources::Column`]'s mark.
pub(crate) const BLOCK_SLOTS: usize = 64;
/// Keys that are never worth forgetting.
const REMEMBERED_FREE: usize = 1_024;
/// Otherwise as many times as many as the last scrape found may be remembered.
const REMEMBERED_RATIO_MAX: usize = 2;

/// Number of a key, in order of first appearance.
pub(crate) type KeyIndex = u32;
/// Number of a family.
type FamilyIndex = u32;
/// Number of a block.
pub(crate) type BlockIndex = u32;

/// Where a key's value stands among the values of a file.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) block: BlockIndex,
    pub(crate) slot: u8,
}

/// A key that has been read.
pub(crate) struct Key {
    /// What it names; without help, which [`Family::help`] decides about.
    pub(crate) descriptor: Arc<Descriptor>,
    help: Arc<str>,
}

/// What is looked up for each value of each file.
struct State {
    place: Option<Place>,
    family: FamilyIndex,
    /// The last scrape that found it.
    seen: u64,
}

/// A family, as the files of one scrape show it.
pub(crate) struct Family {
    pub(crate) name: String,
    /// Kind and help of its first entry, as prometheus_client decides it.
    pub(crate) kind: Kind,
    pub(crate) help: Arc<str>,
    seen: u64,
}

/// All keys that were met.
///
/// Keys of one kind share blocks of [`BLOCK_SLOTS`], in order of first appearance, whatever file they are in: the values of
/// a file become one column per block, and all files that touch a block share its descriptors. A merge then adds columns,
/// although no two processes need have their keys in one order.
#[derive(Default)]
pub(crate) struct Keys {
    by_hash: HashMap<u128, KeyIndex, BuildHasherDefault<HashedAlready>>,
    keys: Vec<Key>,
    states: Vec<State>,
    pub(crate) blocks: Vec<DescriptorList>,
    /// The block of each kind that takes the next key.
    open: HashMap<Kind, BlockIndex>,
    families: Vec<Family>,
    by_family: HashMap<String, FamilyIndex>,
    scrape: u64,
    /// Found in this scrape: keys, and those of them that have a place.
    found: usize,
    found_placed: usize,
    placed: usize,
}

impl Keys {
    /// Begins a scrape.
    pub(crate) fn begin(&mut self) {
        self.scrape += 1;
        (self.found, self.found_placed) = (0, 0);
    }

    /// Whether blocks have slots that no file of this scrape has: columns would show series that are gone.
    pub(crate) fn are_stale(&self) -> bool {
        self.found_placed < self.placed
    }

    /// Whether most of what is remembered was not found in this scrape.
    pub(crate) fn are_too_many(&self) -> bool {
        self.keys.len() > REMEMBERED_RATIO_MAX * self.found + REMEMBERED_FREE
    }

    /// Whether no key was met yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The number of a key that has been read.
    pub(crate) fn known(&self, kind: Kind, key: &[u8]) -> Option<KeyIndex> {
        self.by_hash.get(&hash(kind, key)).copied()
    }

    /// The number of a key, which is read if it is new.
    pub(crate) fn recognise(&mut self, kind: Kind, key: &[u8]) -> Result<KeyIndex, FileError> {
        if let Some(index) = self.known(kind, key) {
            return Ok(index);
        }
        let mut descriptor = decode_key(kind, key).map_err(|error| FileError::Key(error.to_string()))?;
        let help = std::mem::take(&mut descriptor.help).into();
        let family = self.family(&descriptor.family, kind);
        let index = self.keys.len() as KeyIndex;
        self.keys.push(Key { descriptor: Arc::new(descriptor), help });
        self.states.push(State { place: None, family, seen: 0 });
        self.by_hash.insert(hash(kind, key), index);
        Ok(index)
    }

    /// Notes that a file of this scrape has a key.
    pub(crate) fn find(&mut self, index: KeyIndex) {
        let state = &mut self.states[index as usize];
        if state.seen == self.scrape {
            return;
        }
        state.seen = self.scrape;
        self.found += 1;
        self.found_placed += usize::from(state.place.is_some());
        let family = &mut self.families[state.family as usize];
        if family.seen != self.scrape {
            let Key { descriptor, help } = &self.keys[index as usize];
            family.seen = self.scrape;
            family.kind = descriptor.kind;
            family.help = help.clone();
        }
    }

    /// The place of a key that was found in this scrape; it gets one if it has none.
    pub(crate) fn place(&mut self, index: KeyIndex) -> Place {
        match self.states[index as usize].place {
            Some(place) => place,
            None => self.give_place(index),
        }
    }

    fn give_place(&mut self, index: KeyIndex) -> Place {
        let descriptor = &self.keys[index as usize].descriptor;
        let block = *self.open.entry(descriptor.kind).or_insert(BlockIndex::MAX);
        let is_open =
            self.blocks.get(block as usize).is_some_and(|descriptors| descriptors.len() < BLOCK_SLOTS);
        let block = if is_open { block } else { self.blocks.len() as BlockIndex };
        if !is_open {
            self.blocks.push(DescriptorList::default());
            self.open.insert(descriptor.kind, block);
        }
        let descriptors = &mut self.blocks[block as usize];
        let place = Place { block, slot: descriptors.len() as u8 };
        descriptors.push(descriptor.clone());
        self.states[index as usize].place = Some(place);
        self.placed += 1;
        self.found_placed += 1;
        place
    }

    pub(crate) fn get(&self, index: KeyIndex) -> &Key {
        &self.keys[index as usize]
    }

    /// The families of this scrape.
    pub(crate) fn families(&self) -> impl Iterator<Item = &Family> {
        self.families.iter().filter(|family| family.seen == self.scrape)
    }

    /// A family of this scrape by its name.
    pub(crate) fn family_named(&self, name: &str) -> Option<&Family> {
        self.by_family.get(name).map(|index| &self.families[*index as usize])
    }

    fn family(&mut self, name: &str, kind: Kind) -> FamilyIndex {
        if let Some(index) = self.by_family.get(name) {
            return *index;
        }
        let index = self.families.len() as FamilyIndex;
        self.families.push(Family { name: name.to_owned(), kind, help: "".into(), seen: 0 });
        self.by_family.insert(name.to_owned(), index);
        index
    }
}

/// Stands for a key: among keys of 128 bits no two are alike.
fn hash(kind: Kind, key: &[u8]) -> u128 {
    xxh3_128_with_seed(key, u64::from(kind.code()))
}

/// Takes a hash for its own hash.
#[derive(Default)]
struct HashedAlready(u64);

impl Hasher for HashedAlready {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}

//! One view of many files.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use metrifold_exposition::{Encoder, Escaping, Format, Variant};
use metrifold_merge::{Conflict, ConflictReason, Family, FamilyKind, MergeOptions, Merger, View, exposed};
use metrifold_model::Kind;

use super::files::{self, FileError};
use super::keys::{KeyIndex, Keys};
use super::scan;
use super::sources::Sources;

/// The directory that this process scraped last, and what is worth remembering of it. Locked for a scrape; who finds it
/// locked (another thread, or one that a fork left behind) scrapes without.
static LAST: Mutex<Option<(PathBuf, Collection)>> = Mutex::new(None);

/// A file that was left out.
pub(crate) struct LeftOut {
    pub(crate) path: PathBuf,
    pub(crate) error: FileError,
}

/// What files hold together.
pub(crate) struct Collected {
    pub(crate) view: View,
    pub(crate) left_out: Vec<LeftOut>,
}

impl Collected {
    /// What is not shown and why, a line each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let files = self
            .left_out
            .iter()
            .map(|LeftOut { path, error }| format!("{} is left out: {error}", path.display()));
        // Without the number of samples, so that one problem is one text.
        let conflict = |conflict: &Conflict| format!("family {:?}: {}", conflict.family, conflict.reason);
        files.chain(self.view.conflicts.iter().map(conflict)).collect()
    }
}

/// Collects files again and again; remembers the keys that it met and how they merge.
pub(crate) struct Collection {
    keys: Keys,
    merger: Merger,
    encoder: Encoder,
}

impl Default for Collection {
    fn default() -> Self {
        // Without a time to live: whose file is there counts.
        let options = MergeOptions { ttl: None, ..MergeOptions::default() };
        Collection {
            keys: Keys::default(),
            merger: Merger::new(options),
            encoder: Encoder::new(Variant::new(Format::Text, Escaping::Underscores)),
        }
    }
}

/// Does something with a collection that may have met the directory's files before.
pub(crate) fn with_collection<T>(directory: &Path, work: impl FnOnce(&mut Collection) -> T) -> T {
    let Ok(mut last) = LAST.try_lock() else { return work(&mut Collection::default()) };
    let (_, collection) = match last.take() {
        Some(kept) if kept.0 == directory => last.insert(kept),
        _ => last.insert((directory.to_owned(), Collection::default())),
    };
    work(collection)
}

impl Collection {
    /// All files of a directory. Those that go meanwhile were not there.
    pub(crate) fn directory(&mut self, directory: &Path) -> std::io::Result<Collected> {
        let mut collected = self.files(&files::list(directory)?);
        collected.left_out.retain(|left_out| !left_out.error.is_missing());
        Ok(collected)
    }

    /// These files; the first one's help is shown.
    pub(crate) fn files(&mut self, paths: &[PathBuf]) -> Collected {
        let collected = self.collect(paths);
        let collected = match self.keys.are_stale() {
            true => {
                self.keys = Keys::default();
                self.collect(paths)
            }
            false => collected,
        };
        if self.keys.are_too_many() {
            self.keys = Keys::default();
        }
        collected
    }

    /// The text format 0.0.4.
    pub(crate) fn text(&mut self, collected: &Collected) -> Vec<u8> {
        let mut text = Vec::new();
        self.encoder.encode(&collected.view, &mut text);
        text
    }

    fn collect(&mut self, paths: &[PathBuf]) -> Collected {
        let mut sources = Sources::new(&mut self.keys);
        let mut left_out = Vec::new();
        if sources.keys.is_empty() {
            scan::read_first_of_each_kind(sources.keys, paths);
        }
        for wave in paths.chunks(scan::WAVE_FILES) {
            add(&mut sources, wave, &mut left_out);
        }
        let (shard, absorbed) = sources.into_shard();
        let mut view = self.merger.merge(&[Arc::new(shard)]);
        self.keys.absorb(&absorbed, &mut view);
        self.keys.announce(&mut view);
        Collected { view, left_out }
    }
}

/// Adds files in their order.
fn add(sources: &mut Sources<'_>, paths: &[PathBuf], left_out: &mut Vec<LeftOut>) {
    let mut buffer = Vec::new();
    for (path, known) in paths.iter().zip(scan::read_known(sources.keys, paths)) {
        let scanned = match known {
            Ok(Some(scanned)) => Ok(scanned),
            Ok(None) => scan::read(sources.keys, path, &mut buffer),
            Err(error) => Err(error),
        };
        match scanned {
            Ok(scanned) => sources.add(scanned),
            Err(error) => left_out.push(LeftOut { path: path.clone(), error }),
        }
    }
}

impl Keys {
    /// Adds NaN and infinities to the sums that they belong to.
    fn absorb(&self, absorbed: &HashMap<KeyIndex, f64>, view: &mut View) {
        for (index, value) in absorbed {
            let descriptor = &self.get(*index).descriptor;
            let shown = !view.conflicts.iter().any(|conflict| {
                let left_out = |reason: &_| matches!(reason, ConflictReason::Kind { left_out, .. } if *left_out == descriptor.kind);
                conflict.family == descriptor.family && left_out(&conflict.reason)
            });
            let Some(family) =
                view.families.iter_mut().find(|family| shown && family.name == descriptor.family)
            else {
                continue;
            };
            let place = family
                .series
                .iter()
                .position(|series| series.name == descriptor.sample && series.labels == descriptor.labels);
            if let Some(place) = place {
                family.values[place] += value;
            }
        }
    }

    /// Gives families the help of their first entry, as prometheus_client does, and adds those whose gauges were never set,
    /// unless their name is that of another's sample.
    fn announce(&self, view: &mut View) {
        for family in &mut view.families {
            if let Some(known) = self.family_named(&family.name) {
                family.help = known.help.clone();
            }
        }
        let taken: HashSet<String> =
            view.families.iter().flat_map(|family| exposed(&family.name, family.kind)).collect();
        let mut unset: Vec<Family> = self
            .families()
            .filter(|family| family.kind.is_timestamped())
            .filter(|family| !taken.contains(&*family.name))
            .filter(|family| view.conflicts.iter().all(|conflict| conflict.family != family.name))
            .map(|family| unset_gauge(&family.name, family.kind, family.help.clone()))
            .collect();
        view.families.append(&mut unset);
        view.families.sort_by(|one, two| one.name.cmp(&two.name));
    }
}

fn unset_gauge(name: &str, kind: Kind, help: Arc<str>) -> Family {
    Family::new(name, help, FamilyKind::from(kind), [])
}

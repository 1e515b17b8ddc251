//! The process-wide writer: makes slots, and follows forks.

use std::sync::Arc;

use metrifold_model::{Descriptor, DescriptorList, Incarnation, Values};

use crate::{
    RecorderSettings, RecorderStatus, Slot,
    geometry::Geometry,
    shared::{Home, Shared},
};

/// Records the metrics of this process, in a segment if it can and in anonymous memory if not. Clones are the same
/// recorder.
///
/// A fork's child records under a new incarnation in a segment of its own, from zero; what the parent has recorded stays the
/// parent's. The child keeps the inherited mapping and descriptor of the parent's segment untouched: unmapping would gain
/// nothing but address space, and the descriptor's number may long name another file of the application. Processes made
/// by a raw `clone` system call, past the C library, are not noticed.
#[derive(Clone, Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
}

impl Recorder {
    /// Starts recording. Never fails: without a segment, values go to anonymous memory and [`Recorder::status`] says why.
    /// Also removes segments that were found without a living owner a day ago, if no agent serves the directory.
    pub fn open(settings: RecorderSettings) -> Recorder {
        Self::start(settings, Home::Directory, Geometry::default())
    }

    /// Records in anonymous memory only, for a process that pushes its own [`Recorder::snapshot`].
    pub fn anonymous(settings: RecorderSettings) -> Recorder {
        Self::start(settings, Home::Memory, Geometry::default())
    }

    fn start(settings: RecorderSettings, home: Home, geometry: Geometry) -> Recorder {
        Recorder { shared: Shared::start(settings, home, geometry) }
    }

    /// Finds or makes the slot of a series. Descriptors that differ only in help, unit or `per_worker` are the same series; the first
    /// one stands. Never fails: a slot beyond a limit works but is seen by no reader, and counted in
    /// [`RecorderStatus::refused_slots`].
    pub fn slot(&self, descriptor: Descriptor) -> Slot {
        let state = self.shared.with_state(|state, generation| state.slot(descriptor, generation));
        Slot::new(state, Arc::clone(&self.shared))
    }

    /// Where values are, and what was refused. In a fork's child, the first call moves the recorder to the child's segment.
    pub fn status(&self) -> RecorderStatus {
        self.shared.status()
    }

    /// The id of this process's source.
    pub fn incarnation(&self) -> Incarnation {
        self.shared.with_state(|state, _| state.incarnation)
    }

    /// All slots that readers may see and their values now, in the order of the segment's journal.
    pub fn snapshot(&self) -> (DescriptorList, Values) {
        self.shared.with_state(|state, _| state.snapshot())
    }

    #[cfg(test)]
    pub(crate) fn with_region_bytes(settings: RecorderSettings, region_bytes: usize) -> Recorder {
        Self::start(settings, Home::Directory, Geometry { region_bytes })
    }
}

#[cfg(test)]
mod tests {
    use metrifold_model::{Kind, Labels, limits};

    use super::*;
    use crate::geometry::{REGION_BYTES_MIN, SLOTS_MAX};
    use crate::reader::SegmentReader;
    use crate::{REFUSED_SLOTS_NAMED_MAX, RecorderMemory};

    fn settings(directory: &tempfile::TempDir) -> RecorderSettings {
        RecorderSettings { directory: Some(directory.path().into()), ..RecorderSettings::default() }
    }

    fn counter(index: usize) -> Descriptor {
        let labels = Labels::new([("i", index.to_string())]);
        Descriptor::new(Kind::Counter, "c", "c_total", labels, "h".repeat(1000))
    }

    fn read(recorder: &Recorder) -> (DescriptorList, Values) {
        let RecorderMemory::Mapped { path, .. } = recorder.status().memory else {
            panic!("not mapped: {:?}", recorder.status());
        };
        let mut reader = SegmentReader::open(path).expect("own segment");
        let (descriptors, values) = reader.refresh().expect("own segment");
        (descriptors.clone(), values)
    }

    #[test]
    fn a_full_region_refuses_new_slots_by_name_and_the_others_go_on() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let recorder = Recorder::with_region_bytes(settings(&directory), REGION_BYTES_MIN);
        let slots: Vec<_> = (0..100).map(|index| recorder.slot(counter(index))).collect();
        slots.iter().for_each(|slot| slot.add(1.0));

        let status = recorder.status();
        let seen = 100 - status.refused_slots as usize;
        assert!((50..100).contains(&seen), "{seen} entries of some 1,060 bytes fit into 64 KiB");
        assert_eq!(status.refused_slots_named.len(), REFUSED_SLOTS_NAMED_MAX);
        assert_eq!(status.refused_slots_named[0].sample, "c_total");
        assert_eq!(status.refused_slots_named[0].reason, "the region of counter is full");

        let (descriptors, values) = read(&recorder);
        assert_eq!(values.slots, vec![1.0; seen]);
        assert_eq!(recorder.snapshot(), (descriptors, values));
        assert!(slots.iter().all(|slot| slot.get() == 1.0), "a refused slot still counts for its process");
        recorder.slot(counter(99)).add(1.0);
        assert_eq!(slots[99].get(), 2.0, "and stays one slot");
        let other = recorder.slot(Descriptor::new(Kind::Summary, "s", "s_sum", Labels::default(), ""));
        other.add(0.5);
        assert_eq!(read(&recorder).1.slots.last(), Some(&0.5), "another kind has its own region");
    }

    #[test]
    fn a_name_beyond_a_limit_is_refused_by_the_limits_name() {
        let recorder = Recorder::anonymous(RecorderSettings::default());
        let long = "x".repeat(limits::NAME_BYTES_MAX + 1);
        let refused = [
            (Descriptor::new(Kind::Counter, long, "c_total", Labels::default(), ""), "limit name_bytes_max"),
            (
                Descriptor::new(
                    Kind::Counter,
                    "c",
                    "c_total",
                    Labels::new([("a", "y".repeat(limits::LABEL_VALUE_BYTES_MAX + 1))]),
                    "",
                ),
                "limit label_value_bytes_max",
            ),
        ];
        for (descriptor, limit) in refused {
            let slot = recorder.slot(descriptor);
            slot.add(2.0);
            assert_eq!(slot.get(), 2.0);
            assert_eq!(
                recorder.status().refused_slots_named.last().map(|slot| slot.reason.as_str()),
                Some(limit)
            );
        }
        assert!(recorder.snapshot().0.is_empty());
    }

    #[test]
    fn the_number_of_slots_is_bounded() {
        let recorder = Recorder::anonymous(RecorderSettings::default());
        let counter = |index: usize| {
            Descriptor::new(Kind::Counter, "c", "c_total", Labels::new([("i", index.to_string())]), "")
        };
        (0..=SLOTS_MAX).for_each(|index| recorder.slot(counter(index)).add(1.0));
        let status = recorder.status();
        assert_eq!((status.slots, status.refused_slots), (SLOTS_MAX, 1));
        assert_eq!(status.refused_slots_named[0].reason, "limit slots_per_source_max");
    }
}

//! What a recorder promises, read back through a reader.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use metrifold_model::{Descriptor, DescriptorList, Exemplar, GaugeMode, Kind, Labels, Namespace, Values};
use metrifold_segment::{
    CreateError, Recorder, RecorderMemory, RecorderSettings, SegmentError, SegmentReader, default_path,
};
use proptest::prelude::*;
use tempfile::{TempDir, tempdir};

fn settings(directory: &Path) -> RecorderSettings {
    RecorderSettings {
        directory: Some(directory.into()),
        namespace: Namespace::new("shop").expect("valid"),
        instance: "host-1".into(),
        labels: Labels::new([("zone", "a")]),
    }
}

fn recorder() -> (TempDir, Recorder, PathBuf) {
    let directory = tempdir().expect("temporary directory");
    let recorder = Recorder::open(settings(directory.path()));
    let path = match recorder.status().memory {
        RecorderMemory::Mapped { path, .. } => path,
        RecorderMemory::Anonymous { reason } => panic!("not mapped: {reason:?}"),
    };
    (directory, recorder, path)
}

fn descriptor(kind: Kind, name: &str) -> Descriptor {
    Descriptor::new(kind, name, name, Labels::new([("b", "2"), ("a", "\u{e9}")]), "Help \u{1F600}")
}

#[test]
fn a_reader_sees_who_recorded_what_in_the_order_of_creation() {
    let (_directory, recorder, path) = recorder();
    let recent = Kind::Gauge(GaugeMode::MostRecent);
    let expected = [
        Descriptor { per_worker: true, ..descriptor(Kind::Histogram, "first") },
        descriptor(Kind::Counter, "second"),
        descriptor(recent, "third"),
        descriptor(Kind::Histogram, "fourth"),
        descriptor(recent, "fifth"),
    ];
    let slots: Vec<_> = expected.iter().map(|descriptor| recorder.slot(descriptor.clone())).collect();
    slots[0].add(1.5);
    slots[2].set_at(7.0, 1_234.5);

    let mut reader = SegmentReader::open(&path).expect("readable");
    let header = reader.header();
    assert_eq!(header.incarnation, recorder.incarnation());
    assert_eq!(
        path.file_stem().and_then(|stem| stem.to_str()),
        Some(header.incarnation.to_string().as_str())
    );
    assert_eq!((header.namespace.as_str(), header.instance.as_str()), ("shop", "host-1"));
    assert_eq!(header.labels.get("zone"), Some("a"));
    assert_eq!(header.process.pid, std::process::id());
    assert!(header.created > 1.7e9);

    let (descriptors, values) = reader.refresh().expect("readable");
    assert!(descriptors.iter().eq(&expected));
    assert_eq!((&values.slots, &values.timestamps), (&vec![1.5, 0.0, 7.0, 0.0, 0.0], &vec![1_234.5, 0.0]));
    assert_eq!(recorder.snapshot(), (descriptors.clone(), values));

    recorder.slot(descriptor(Kind::Summary, "sixth")).add(2.0);
    slots[4].set(3.0);
    let (descriptors, values) = reader.refresh().expect("readable");
    assert_eq!(descriptors.len(), 6);
    assert_eq!(values.slots, [1.5, 0.0, 7.0, 0.0, 3.0, 2.0]);
    assert!(values.timestamps[1] > 1.7e9, "a time-stamped gauge takes the present time");
}

#[test]
fn the_same_series_is_the_same_slot() {
    let (_directory, recorder, _path) = recorder();
    let one = recorder.slot(descriptor(Kind::Counter, "c"));
    let other_help = Descriptor { help: "other".into(), ..descriptor(Kind::Counter, "c") };
    recorder.slot(other_help).add(2.0);
    recorder.clone().slot(descriptor(Kind::Counter, "c")).add(1.0);
    assert_eq!(one.get(), 3.0);
    assert_eq!(recorder.status().slots, 1);
}

#[test]
fn threads_lose_no_event() {
    const THREADS: usize = 8;
    const EVENTS: usize = 50_000;
    let (_directory, recorder, path) = recorder();
    let slot = recorder.slot(descriptor(Kind::Counter, "c"));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..EVENTS).for_each(|_| slot.add(1.0)));
        }
    });
    let (_, values) =
        SegmentReader::open(&path).expect("readable").refresh().map(|(d, v)| (d.len(), v)).expect("ok");
    assert_eq!(values.slots, [(THREADS * EVENTS) as f64]);
}

#[test]
fn what_is_not_finite_never_enters_a_sum() {
    let (_directory, recorder, _path) = recorder();
    let counter = recorder.slot(descriptor(Kind::Counter, "c"));
    let sum = recorder.slot(descriptor(Kind::Gauge(GaugeMode::Sum), "s"));
    let gauge = recorder.slot(descriptor(Kind::Gauge(GaugeMode::Max), "g"));
    counter.add(1.0);
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        counter.add(bad);
        sum.set(bad);
        gauge.set(bad);
    }
    sum.set(f64::MAX);
    sum.add(f64::MAX);
    assert_eq!((counter.get(), sum.get()), (1.0, f64::MAX));
    assert_eq!(gauge.get(), f64::NEG_INFINITY, "a gauge that is not a sum may be anything");
    assert_eq!(recorder.status().refused_values, 7);
}

/// Goal: what a reader saw stays, and counts only rise, while a writer adds slots and events. Method: read as fast as
/// possible beside the writer until it is done.
#[test]
fn a_reader_beside_a_writer_sees_a_growing_list_and_rising_counts() {
    const SLOTS: usize = 2_000;
    let (_directory, recorder, path) = recorder();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for index in 0..SLOTS {
                let kind = [Kind::Counter, Kind::Histogram, Kind::Summary][index % 3];
                let slot = recorder.slot(descriptor(kind, &format!("m{index}")));
                (0..50).for_each(|_| slot.add(1.0));
            }
            done.store(true, Ordering::Release);
        });
        let mut reader = SegmentReader::open(&path).expect("readable");
        let (mut before, mut before_values) = (DescriptorList::default(), Values::default());
        let mut is_last = false;
        while !is_last {
            is_last = done.load(Ordering::Acquire);
            let (descriptors, values) = reader.refresh().expect("readable");
            assert_eq!(descriptors.hash_of_first(before.len()), Some(before.hash()));
            assert_eq!(descriptors.len(), values.slots.len());
            assert!(before_values.slots.iter().zip(&values.slots).all(|(before, now)| before <= now));
            (before, before_values) = (descriptors.clone(), values);
        }
        assert_eq!(before_values.slots, vec![50.0; SLOTS]);
    });
}

#[test]
fn without_a_usable_directory_recording_goes_on_and_says_why() {
    let file = tempfile::NamedTempFile::new().expect("temporary file");
    let recorder = Recorder::open(settings(file.path()));
    let slot = recorder.slot(descriptor(Kind::Counter, "c"));
    slot.add(2.0);
    assert_eq!(slot.get(), 2.0);
    assert_eq!(recorder.snapshot().1.slots, [2.0]);
    match recorder.status().memory {
        RecorderMemory::Anonymous { reason: Some(reason) } => {
            assert!(matches!(*reason, CreateError::Directory(_)), "{reason}");
            assert!(reason.to_string().contains(&file.path().display().to_string()), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn labels_that_do_not_fit_the_header_cost_the_segment_and_nothing_else() {
    let directory = tempdir().expect("temporary directory");
    let labels = Labels::new([("long", "x".repeat(5_000))]);
    let recorder = Recorder::open(RecorderSettings { labels, ..settings(directory.path()) });
    recorder.slot(descriptor(Kind::Counter, "c")).add(1.0);
    let RecorderMemory::Anonymous { reason: Some(reason) } = recorder.status().memory else {
        panic!("mapped");
    };
    assert!(matches!(*reason, CreateError::HeaderTooLong), "{reason}");
    assert_eq!(std::fs::read_dir(directory.path()).expect("directory").count(), 0);
}

#[test]
fn a_dropped_recorder_ends_its_source_and_leaves_the_file_to_the_agent() {
    let (_directory, recorder, path) = recorder();
    let slot = recorder.slot(descriptor(Kind::Counter, "c"));
    slot.add(1.0);
    let mut reader = SegmentReader::open(&path).expect("readable");
    assert_eq!(reader.liveness().expect("readable"), metrifold_segment::Liveness::Alive);
    drop(recorder);
    slot.add(1.0);
    assert_eq!(reader.liveness().expect("readable"), metrifold_segment::Liveness::Alive, "a slot holds it");
    drop(slot);
    assert_eq!(reader.liveness().expect("readable"), metrifold_segment::Liveness::LockGone);
    assert_eq!(reader.refresh().expect("readable").1.slots, [2.0]);
}

#[test]
fn the_default_directory_names_the_user() {
    let name = default_path().file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let user = rustix::process::geteuid().as_raw();
    assert_eq!(name, Some(format!("metrifold-{user}")));
}

/// A copy of a segment's first bytes, as long as the original.
fn copy(path: &Path, to: &Path, damage: impl FnOnce(&mut Vec<u8>)) {
    const REGION: usize = 64 << 20;
    use std::os::unix::fs::FileExt;
    let source = std::fs::File::open(path).expect("open");
    let target =
        std::fs::File::options().read(true).write(true).create(true).truncate(true).open(to).expect("create");
    target.set_len(source.metadata().expect("metadata").len()).expect("length");
    for area in [0, 15, 18] {
        let offset = if area == 0 { 0 } else { 4096 + area * REGION as u64 };
        let mut bytes = vec![0; 12_288];
        source.read_exact_at(&mut bytes, offset).expect("read");
        target.write_all_at(&bytes, offset).expect("write");
    }
    let mut bytes = vec![0; 12_288];
    target.read_exact_at(&mut bytes, 0).expect("read");
    damage(&mut bytes);
    target.write_all_at(&bytes, 0).expect("write");
}

#[test]
fn truncated_and_foreign_files_are_refused_by_name() {
    let directory = tempdir().expect("temporary directory");
    let short = directory.path().join("0000000000000001.seg");
    std::fs::write(&short, b"MTFDSEG1").expect("write");
    assert!(matches!(SegmentReader::open(&short), Err(SegmentError::Length { found: 8, .. })));
    std::fs::write(&short, [7; 5_000]).expect("write");
    let error = SegmentReader::open(&short).expect_err("not a segment");
    assert!(error.to_string().contains("MTFDSEG1"), "{error}");
}

/// Goal: no damage to a dead worker's segment panics or kills its reader. Method: copies of a real segment, made in another
/// directory so that the locks of the original do not matter, on tmpfs where there is one.
#[test]
fn damaged_segments_are_errors() {
    let (_directory, recorder, path) = recorder();
    (0..5).for_each(|index| recorder.slot(descriptor(Kind::Counter, &format!("m{index}"))).add(1.0));
    let damaged = tempdir_on_shared_memory();
    let file = damaged.path().join("0000000000000001.seg");

    copy(&path, &file, |_| ());
    let mut reader = SegmentReader::open(&file).expect("whole");
    assert_eq!(reader.refresh().expect("whole").1.slots, [1.0; 5]);

    std::fs::File::options().write(true).open(&file).expect("open").set_len(8_192).expect("truncate");
    assert!(matches!(reader.refresh(), Err(SegmentError::Length { found: 8_192, .. })));
    assert!(matches!(SegmentReader::open(&file), Err(SegmentError::Length { .. })));

    for used in [0_u32, 8, 40, 12_288, 1 << 20, u32::MAX] {
        copy(&path, &file, |bytes| bytes[4_096..4_100].copy_from_slice(&used.to_ne_bytes()));
        let mut reader = SegmentReader::open(&file).expect("the header is whole");
        let outcome = reader.refresh();
        // Other file systems read holes as zeros, which do no harm behind the last entry.
        let reads_as_zeros = !Path::new("/dev/shm").is_dir() && (used == 12_288 || used == 1 << 20);
        assert!(reads_as_zeros || outcome.is_err(), "used = {used}");
    }
}

fn tempdir_on_shared_memory() -> TempDir {
    match Path::new("/dev/shm").is_dir() {
        true => tempfile::tempdir_in("/dev/shm").expect("temporary directory"),
        false => tempdir().expect("temporary directory"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_changed_byte_of_a_segment_panics_its_reader(
        changes in prop::collection::vec((0_usize..6_000, any::<u8>()), 0..4),
        exemplar_changes in prop::collection::vec((0_u64..800, any::<u8>()), 0..4),
    ) {
        let (_directory, recorder, path) = recorder();
        (0..5).for_each(|index| recorder.slot(descriptor(Kind::Counter, &format!("m{index}"))).add(1.0));
        let damaged = tempdir_on_shared_memory();
        let file = damaged.path().join("0000000000000001.seg");
        let exemplar = Exemplar { labels: Labels::new([("id", "a")]), value: 1.0, timestamp: 1.0 };
        prop_assert!(recorder.slot(descriptor(Kind::Counter, "m0")).set_exemplar(&exemplar));
        copy(&path, &file, |bytes| changes.iter().for_each(|(at, to)| bytes[*at] = *to));
        let damaged_file = std::fs::File::options().write(true).open(&file).expect("open");
        for (at, to) in exemplar_changes {
            let area = 4096 + 18 * metrifold_segment::REGION_BYTES as u64;
            std::os::unix::fs::FileExt::write_all_at(&damaged_file, &[to], area + at).expect("write");
        }
        if let Ok(mut reader) = SegmentReader::open(&file) {
            let _ = reader.refresh();
            let _ = reader.refresh();
        }
    }
}

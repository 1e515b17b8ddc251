//! What a recorder keeps of a slot besides its value, read back through a reader and from the recorder itself.

use std::path::PathBuf;

use metrifold_model::{
    Annotations, Descriptor, DescriptorList, Exemplar, GaugeMode, Kind, Labels, Presence, Values, limits,
};
use metrifold_segment::{Recorder, RecorderMemory, RecorderSettings, SegmentReader};
use tempfile::{TempDir, tempdir};

fn recorder() -> (TempDir, Recorder, PathBuf) {
    let directory = tempdir().expect("temporary directory");
    let settings =
        RecorderSettings { directory: Some(directory.path().into()), ..RecorderSettings::default() };
    let recorder = Recorder::open(settings);
    let RecorderMemory::Mapped { path, .. } = recorder.status().memory else {
        panic!("not mapped: {:?}", recorder.status());
    };
    (directory, recorder, path)
}

fn descriptor(kind: Kind, name: &str) -> Descriptor {
    Descriptor::new(kind, name, name, Labels::default(), "")
}

fn exemplar(id: &str) -> Exemplar {
    Exemplar { labels: Labels::new([("trace_id", id)]), value: 0.25, timestamp: 1_700_000_000.5 }
}

/// What a reader sees, which is what the recorder itself says.
fn read(recorder: &Recorder, path: &PathBuf) -> (DescriptorList, Values) {
    let mut reader = SegmentReader::open(path).expect("readable");
    let (descriptors, values) = reader.refresh().expect("readable");
    assert_eq!(recorder.snapshot(), (descriptors.clone(), values.clone()));
    (descriptors.clone(), values)
}

fn annotations(recorder: &Recorder, path: &PathBuf) -> Annotations {
    read(recorder, path).1.annotations
}

#[test]
fn a_unit_is_part_of_a_segments_descriptor() {
    let (_directory, recorder, path) = recorder();
    let with_unit = Descriptor {
        unit: "s\u{e9}conds".to_owned(),
        per_worker: true,
        ..descriptor(Kind::Counter, "c_seconds")
    };
    recorder.slot(with_unit.clone());
    recorder.slot(descriptor(Kind::Counter, "plain"));
    let (descriptors, _) = read(&recorder, &path);
    assert!(descriptors.iter().eq(&[with_unit, descriptor(Kind::Counter, "plain")]));
}

#[test]
fn sums_know_when_they_began_and_the_program_may_say_so() {
    let (_directory, recorder, path) = recorder();
    recorder.slot(descriptor(Kind::Gauge(GaugeMode::MostRecent), "g")).set_at(1.0, 5.0);
    let old = recorder.slot(descriptor(Kind::Counter, "c"));
    recorder.slot(descriptor(Kind::Gauge(GaugeMode::Max), "m"));
    let created = annotations(&recorder, &path).created;
    assert!(matches!(created[..], [0, now] if now > 1_700_000_000_000), "{created:?}");
    old.set_created(1_234.567_8);
    assert_eq!(annotations(&recorder, &path).created, [0, 1_234_568]);
    old.add(1.0);
    for later_or_none in [2_000.0, 0.0, -1.0, f64::NAN] {
        old.set_created(later_or_none);
    }
    assert_eq!(annotations(&recorder, &path).created, [0, 1_234_568], "it began before that");
}

#[test]
fn a_removed_series_keeps_its_count_and_comes_back_later_than_it_went() {
    let (_directory, recorder, path) = recorder();
    let counter = recorder.slot(descriptor(Kind::Counter, "c"));
    let gauge = recorder.slot(descriptor(Kind::Gauge(GaugeMode::Sum), "g"));
    counter.add(3.0);
    gauge.add(2.0);
    counter.restore();
    assert!(annotations(&recorder, &path).presence.is_empty(), "it was never removed");
    counter.remove();
    gauge.remove();
    let (_, values) = read(&recorder, &path);
    assert_eq!(values.slots, [3.0, 0.0], "a gauge is what it is now");
    let Presence::Removed(at) = values.annotations.presence(0) else { panic!("{values:?}") };
    assert!(at > values.annotations.created(0) && values.annotations.is_removed(1));
    counter.restore();
    assert!(matches!(annotations(&recorder, &path).presence(0), Presence::Shown(back) if back > at));
    assert!(!counter.is_removed() && gauge.is_removed());
}

#[test]
fn the_newest_exemplar_of_a_slot_is_kept() {
    let (_directory, recorder, path) = recorder();
    let slots: Vec<_> =
        ["a", "b", "c"].into_iter().map(|name| recorder.slot(descriptor(Kind::Counter, name))).collect();
    assert!(annotations(&recorder, &path).exemplars.is_empty());
    for (slot, id) in [(2, "one"), (0, "two"), (2, "three")] {
        assert!(slots[slot].set_exemplar(&exemplar(id)));
    }
    let kept = annotations(&recorder, &path).exemplars;
    let kept: Vec<_> = kept.iter().map(|(slot, kept)| (*slot, kept.as_ref().clone())).collect();
    assert_eq!(kept, [(0, exemplar("two")), (2, exemplar("three"))]);
}

#[test]
fn exemplars_that_no_scrape_could_show_and_those_beyond_the_limit_are_counted() {
    for recorder in [recorder().1, Recorder::anonymous(RecorderSettings::default())] {
        let slot = |index: usize| recorder.slot(descriptor(Kind::Counter, &format!("c{index}")));
        assert!(!slot(0).set_exemplar(&exemplar(&"x".repeat(limits::EXEMPLAR_CHARACTERS_MAX))));
        for index in 0..limits::EXEMPLARS_PER_SOURCE_MAX {
            assert!(slot(index).set_exemplar(&exemplar("a")), "{index}");
        }
        assert!(!slot(limits::EXEMPLARS_PER_SOURCE_MAX).set_exemplar(&exemplar("a")));
        assert!(slot(0).set_exemplar(&exemplar("b")), "whoever has a place keeps it");
        assert_eq!(recorder.status().refused_exemplars, 2);
        let kept = recorder.snapshot().1.annotations.exemplars;
        assert_eq!(kept.len(), limits::EXEMPLARS_PER_SOURCE_MAX);
        assert_eq!(kept[&0].as_ref(), &exemplar("b"));
    }
}

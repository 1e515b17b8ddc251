//! What is written is read, and nothing else is.

use std::sync::Arc;

use metrifold_model::{
    Annotations, Descriptor, DescriptorList, DoubleDouble, Exemplar, GaugeMode, Kind, Labels, Marks,
    Presence, Seq, Values, Worker,
};
use metrifold_session::{Archive, Archived, ArchivedSeries, Instant, Tombstone};
use proptest::prelude::*;

use crate::*;

fn counter(name: &str, label: &str) -> Descriptor {
    Descriptor::new(Kind::Counter, name, format!("{name}_total"), Labels::new([("path", label)]), "Help é")
}

fn list(names: &[String]) -> DescriptorList {
    let gauge = |name: &String| Descriptor {
        per_worker: true,
        ..Descriptor::new(Kind::Gauge(GaugeMode::MostRecent), name, name, Labels::default(), "")
    };
    names.iter().flat_map(|name| [counter(name, "/a"), gauge(name)]).collect()
}

fn tombstone(names: &[String], slots: Vec<f64>) -> Tombstone {
    Tombstone {
        seq: Seq(u64::MAX),
        folded: Instant(5),
        worker: Arc::new(Worker { instance: "host".into(), process: "7".into(), labels: Labels::default() }),
        descriptors: list(names),
        values: Values::from_slots(slots),
        ended: names.len() % 2 == 1,
    }
}

fn archive(names: &[String], numbers: &[f64]) -> Archive {
    let mut archive = Archive::default();
    for (place, (name, number)) in names.iter().zip(numbers).enumerate() {
        let value = match place % 4 {
            0 => Archived::Sum(DoubleDouble::difference(1e17, 0.1)),
            1 => Archived::Min(*number),
            2 => Archived::Max(*number),
            _ => Archived::MostRecent { value: *number, timestamp: 12.5 },
        };
        archive.series.insert(counter(name, "x").key(), ArchivedSeries::new(name, value));
    }
    archive
}

fn exemplar() -> Exemplar {
    Exemplar { labels: Labels::new([("trace_id", "ab")]), value: 0.5, timestamp: 1.25 }
}

/// Any times, however far apart.
fn annotations() -> impl Strategy<Value = Annotations> {
    let time = || {
        prop_oneof![Just(0), 1_700_000_000_000u64..1_700_000_100_000, any::<u64>().prop_map(|time| time >> 1)]
    };
    let created = proptest::collection::vec((time(), 1usize..20), 0..4)
        .prop_map(|runs| runs.into_iter().flat_map(|(time, count)| vec![time; count]).collect());
    let presence = (any::<bool>(), any::<u64>()).prop_map(|(is_removed, at)| match is_removed {
        true => Presence::Removed(at),
        false => Presence::Shown(at),
    });
    let exemplar =
        ("\\PC{0,9}", proptest::num::f64::ANY, proptest::num::f64::ANY).prop_map(|(id, value, timestamp)| {
            Arc::new(Exemplar { labels: Labels::new([("trace_id", id)]), value, timestamp })
        });
    let presence = proptest::collection::btree_map(0usize..50, presence, 0..3);
    (created, presence, proptest::collection::btree_map(0usize..50, exemplar, 0..3))
        .prop_map(|(created, presence, exemplars)| Annotations { created, presence, exemplars })
}

fn annotate(archive: &mut Archive, annotations: &Annotations) {
    for (slot, series) in archive.series.values_mut().enumerate() {
        series.unit = "seconds".to_owned();
        series.created = annotations.created(slot);
        series.marks = Marks::from(annotations.presence(slot));
        series.exemplar = annotations.exemplars.get(&slot).cloned();
    }
}

/// What the golden files of version 2 hold.
fn annotated() -> (Values, DescriptorList, Archive) {
    let annotations = Annotations {
        created: vec![0, 1_700_000_000_000, 1_700_000_000_000, 1_700_000_000_300],
        presence: [(0, Presence::Shown(5)), (2, Presence::Removed(7))].into(),
        exemplars: [(1, Arc::new(exemplar()))].into(),
    };
    let unit = Descriptor { unit: "seconds".to_owned(), ..counter("a_seconds", "/a") };
    let mut archive = archive(&["a".to_owned(), "b".to_owned()], &[1.0, 2.0]);
    annotate(&mut archive, &annotations);
    let values = Values { annotations, ..Values::new(vec![1.0, 2.0, 3.0, 4.0], vec![]) };
    (values, [unit, counter("b", "/b")].into_iter().collect(), archive)
}

fn names() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec("\\PC{0,12}", 0..8)
}

fn numbers() -> impl Strategy<Value = Vec<f64>> {
    proptest::collection::vec(proptest::num::f64::ANY, 0..20)
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        names in names(),
        slots in numbers(),
        timestamps in numbers(),
        annotations in annotations(),
    ) {
        let values = Values { annotations: annotations.clone(), ..Values::new(slots.clone(), timestamps) };
        prop_assert_eq!(decode_values(&encode_values(&values)), Ok(values));
        let tombstone = tombstone(&names, slots.clone());
        prop_assert_eq!(decode_tombstone(&encode_tombstone(&tombstone)), Ok(tombstone));
        let mut archive = archive(&names, &slots);
        prop_assert_eq!(decode_archive(&encode_archive(&archive)), Ok(archive.clone()));
        annotate(&mut archive, &annotations);
        prop_assert_eq!(decode_archive(&encode_archive(&archive)), Ok(archive));
    }

    #[test]
    fn a_list_appended_in_pieces_that_overlap_is_read_whole(
        names in names(),
        cuts in proptest::collection::vec((0usize..17, 0usize..17), 0..4),
    ) {
        let list = list(&names);
        let mut bytes = Vec::new();
        let mut known = 0;
        for (from, to) in cuts.into_iter().chain([(usize::MAX, usize::MAX)]) {
            let to = to.min(list.len()).max(known);
            let from = from.min(known);
            let hash = list.hash_of_first(to).expect("within the list");
            bytes.extend(encode_descriptors(from, &list.entries()[from..to], hash));
            known = to;
        }
        prop_assert_eq!(decode_descriptors(&bytes), Ok(list));
    }

    #[test]
    fn a_changed_byte_is_noticed(names in names(), slots in numbers(), at in any::<usize>(), bit in 0u8..8) {
        let flip = |mut bytes: Vec<u8>| {
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            bytes
        };
        prop_assert!(decode_values(&flip(encode_values(&Values::from_slots(slots.clone())))).is_err());
        prop_assert!(decode_worker(&flip(encode_worker(&Worker::default()))).is_err());
        prop_assert!(decode_archive(&flip(encode_archive(&archive(&names, &slots)))).is_err());
        prop_assert!(decode_tombstone(&flip(encode_tombstone(&tombstone(&names, slots)))).is_err());
        let list = list(&names);
        prop_assert!(decode_descriptors(&flip(encode_descriptors(0, list.entries(), list.hash()))).is_err());
    }

    #[test]
    fn no_bytes_make_a_reader_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
        letter in 0usize..5,
        version in 1u8..=2,
    ) {
        let readers = |bytes: &[u8]| {
            let _ = (decode_values(bytes).is_ok(), decode_worker(bytes).is_ok(), decode_descriptors(bytes).is_ok());
            let _ = (decode_archive(bytes).is_ok(), decode_tombstone(bytes).is_ok());
        };
        readers(&bytes);
        // The same behind a header and checksum that fit.
        if bytes.len() > 8 {
            let checksum = crc32fast::hash(&bytes[8..]).to_le_bytes();
            bytes[..4].copy_from_slice(&[b"VWDAT"[letter], version, 0, 0]);
            bytes[4..8].copy_from_slice(&checksum);
            readers(&bytes);
        }
    }
}

#[test]
fn a_blob_of_a_later_version_is_refused_by_name() {
    let mut bytes = encode_values(&Values::default());
    bytes[1] = 3;
    assert_eq!(decode_values(&bytes), Err(BlobError::UnknownVersion { what: "a values blob", version: 3 }));
    assert_eq!(decode_values(b"ABC"), Err(BlobError::Truncated { what: "a values blob" }));
    assert_eq!(decode_values(b"another program"), Err(BlobError::WrongKind { what: "a values blob" }));
}

#[test]
fn a_damaged_count_does_not_allocate() {
    let mut bytes = encode_values(&Values::default());
    bytes[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    let checksum = crc32fast::hash(&bytes[8..]).to_le_bytes();
    bytes[4..8].copy_from_slice(&checksum);
    assert!(matches!(decode_values(&bytes), Err(BlobError::Invalid { .. })));
}

// zstd may compress differently in a later version, so these bytes are only read.
#[test]
fn descriptors_and_archives_of_earlier_versions_are_read() {
    let list = list(&["a".to_owned()]);
    assert_eq!(decode_descriptors(&unhex(include_str!("golden/descriptors.hex"))), Ok(list));
    let archive =
        archive(&["a".to_owned(), "b".to_owned(), "c".to_owned(), "d".to_owned()], &[1.0, 2.0, 3.0, 4.0]);
    assert_eq!(decode_archive(&unhex(include_str!("golden/archive.hex"))), Ok(archive));
    let tombstone = tombstone(&["a".to_owned()], vec![1.0, 2.0]);
    assert_eq!(decode_tombstone(&unhex(include_str!("golden/tombstone.hex"))), Ok(tombstone));
}

#[test]
fn values_descriptors_and_archives_of_version_2_are_read() {
    let (values, list, archive) = annotated();
    assert_eq!(encode_values(&values), unhex(include_str!("golden/values_2.hex")));
    assert_eq!(decode_values(&unhex(include_str!("golden/values_2.hex"))), Ok(values));
    assert_eq!(decode_descriptors(&unhex(include_str!("golden/descriptors_2.hex"))), Ok(list));
    assert_eq!(decode_archive(&unhex(include_str!("golden/archive_2.hex"))), Ok(archive));
}

#[test]
fn a_descriptor_blob_of_version_1_behind_one_of_version_2_is_read() {
    let (_, list, _) = annotated();
    let mut longer = list.clone();
    longer.push(counter("c", "/c"));
    let first = encode_descriptors(0, list.entries(), list.hash());
    let second = encode_descriptors(2, &longer.entries()[2..], longer.hash());
    assert_eq!((first[1], second[1]), (2, 1));
    assert_eq!(decode_descriptors(&[first, second].concat()), Ok(longer));
}

/// 1,000 series made in a dozen moments, as a program makes them.
#[test]
fn times_of_creation_cost_a_slot_less_than_a_byte() {
    let created: Vec<u64> = (0..1_000).map(|slot| 1_700_000_000_000 + slot / 20 * 3).collect();
    let plain = Values::from_slots(vec![1.0; 1_000]);
    let annotations = Annotations { created, ..Annotations::default() };
    let annotated = Values { annotations, ..plain.clone() };
    let more = encode_values(&annotated).len() - encode_values(&plain).len();
    assert!(more < 1_000, "{more} bytes");
}

pub(super) fn unhex(text: &str) -> Vec<u8> {
    let digits = text.trim().as_bytes();
    let byte = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).expect("hex is ASCII");
        u8::from_str_radix(text, 16).expect("the file holds hex digits")
    };
    digits.chunks(2).map(byte).collect()
}

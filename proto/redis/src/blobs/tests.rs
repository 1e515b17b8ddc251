//! What is written is read, and nothing else is.

use std::sync::Arc;

use metrifold_model::{
    Descriptor, DescriptorList, DoubleDouble, GaugeMode, Kind, Labels, Seq, Values, Worker,
};
use metrifold_session::{Archive, Archived, ArchivedSeries, Instant, Tombstone};
use proptest::prelude::*;

use super::*;

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
        archive.series.insert(counter(name, "x").key(), ArchivedSeries { help: name.clone(), value });
    }
    archive
}

fn names() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec("\\PC{0,12}", 0..8)
}

fn numbers() -> impl Strategy<Value = Vec<f64>> {
    proptest::collection::vec(proptest::num::f64::ANY, 0..20)
}

proptest! {
    #[test]
    fn what_is_written_is_read(names in names(), slots in numbers(), timestamps in numbers()) {
        let values = Values { slots: slots.clone(), timestamps };
        prop_assert_eq!(decode_values(&encode_values(&values)), Ok(values));
        let tombstone = tombstone(&names, slots.clone());
        prop_assert_eq!(decode_tombstone(&encode_tombstone(&tombstone)), Ok(tombstone));
        let archive = archive(&names, &slots);
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
    fn no_bytes_make_a_reader_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), letter in 0usize..5) {
        let readers = |bytes: &[u8]| {
            let _ = (decode_values(bytes).is_ok(), decode_worker(bytes).is_ok(), decode_descriptors(bytes).is_ok());
            let _ = (decode_archive(bytes).is_ok(), decode_tombstone(bytes).is_ok());
        };
        readers(&bytes);
        // The same behind a header and checksum that fit.
        if bytes.len() > 8 {
            let checksum = crc32fast::hash(&bytes[8..]).to_le_bytes();
            bytes[..4].copy_from_slice(&[b"VWDAT"[letter], 1, 0, 0]);
            bytes[4..8].copy_from_slice(&checksum);
            readers(&bytes);
        }
    }
}

#[test]
fn a_blob_of_a_later_version_is_refused_by_name() {
    let mut bytes = encode_values(&Values::default());
    bytes[1] = 2;
    assert_eq!(decode_values(&bytes), Err(BlobError::UnknownVersion { what: "a values blob", version: 2 }));
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

pub(super) fn unhex(text: &str) -> Vec<u8> {
    let digits = text.trim().as_bytes();
    let byte = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).expect("hex is ASCII");
        u8::from_str_radix(text, 16).expect("the file holds hex digits")
    };
    digits.chunks(2).map(byte).collect()
}

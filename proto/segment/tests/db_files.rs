//! Files written by prometheus_client 0.25.0 on CPython 3.11 (cut behind the used part) are read as it reads them.
#![cfg(target_endian = "little")]

use std::path::PathBuf;

use metrifold_model::{Descriptor, GaugeMode, Kind, Labels, Values};
use metrifold_segment::{DbError, DbReader, encode_entry, read_db_file};

fn fixture(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", name].iter().collect()
}

#[test]
fn a_counter_file_gives_its_series_with_every_escape_undone() {
    let file = read_db_file(fixture("counter_123.db")).expect("fixture");
    assert_eq!((file.kind, file.process.as_str()), (Kind::Counter, "123"));
    let series =
        |labels| Descriptor::new(Kind::Counter, "req", "req_total", Labels::new(labels), "Requests \u{e9}");
    let expected =
        [series([("a", "1"), ("b", "2")]), series([("a", "q\"\\\n\t\u{1}\u{7f}"), ("b", "\u{1F600}")])];
    assert!(file.descriptors.iter().eq(&expected));
    assert_eq!(file.values, Values::from_slots(vec![3.0, 0.5]));
}

#[test]
fn a_histogram_file_gives_non_cumulative_buckets_and_the_sum() {
    let file = read_db_file(fixture("histogram_123.db")).expect("fixture");
    let slots: Vec<_> = file
        .descriptors
        .iter()
        .zip(&file.values.slots)
        .map(|(descriptor, value)| (descriptor.sample.as_str(), descriptor.labels.get("le"), *value))
        .collect();
    assert_eq!(
        slots,
        [
            ("lat_sum", None, 7.55),
            ("lat_bucket", Some("0.1"), 1.0),
            ("lat_bucket", Some("1.0"), 1.0),
            ("lat_bucket", Some("+Inf"), 1.0)
        ]
    );
}

#[test]
fn only_a_most_recent_gauge_has_a_time_stamp() {
    let recent = read_db_file(fixture("gauge_mostrecent_123.db")).expect("fixture");
    assert_eq!(recent.kind, Kind::Gauge(GaugeMode::MostRecent));
    assert_eq!(recent.values.slots, [2.5]);
    assert!(recent.values.timestamps[0] > 1.7e9);
    let sum = read_db_file(fixture("gauge_livesum_123.db")).expect("fixture");
    assert_eq!(sum.values, Values::from_slots(vec![2.5]));
}

#[test]
fn a_truncated_file_is_refused_by_name() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path().join("summary_7.db");
    let bytes = std::fs::read(fixture("summary_123.db")).expect("fixture");
    std::fs::write(&path, &bytes[..40]).expect("write");
    let error = read_db_file(&path).expect_err("truncated");
    assert!(matches!(error, DbError::Region { .. }));
    assert!(error.to_string().contains("summary_7.db"), "{error}");
}

/// The bytes of a file with so many counters.
fn counters(count: usize) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    for number in 0..count {
        let labels = Labels::new([("n", number.to_string())]);
        bytes.extend(encode_entry(&Descriptor::new(Kind::Counter, "c", "c_total", labels, "")).0);
    }
    let used = bytes.len() as u32;
    bytes[..4].copy_from_slice(&used.to_ne_bytes());
    bytes.resize(1 << 16, 0);
    bytes
}

/// One bad label costs no more than its series.
#[test]
fn entries_that_no_store_takes_are_left_out_and_named() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path().join("counter_7.db");
    let series = |name: &str, value: String| {
        Descriptor::new(Kind::Counter, "c", "c_total", Labels::new([(name, value)]), "")
    };
    let good = [series("n", "1".into()), series("n", "2".into())];
    let bad = [series("path", "x".repeat(9_000)), series("__name__", "other".into())];
    let mut bytes = vec![0; 8];
    for descriptor in [&good[0], &bad[0], &bad[1], &good[1]] {
        let (mut entry, value) = encode_entry(descriptor);
        entry[value..value + 8].copy_from_slice(&2.5f64.to_ne_bytes());
        bytes.extend(entry);
    }
    let used = bytes.len() as u32;
    bytes[..4].copy_from_slice(&used.to_ne_bytes());
    std::fs::write(&path, bytes).expect("write");
    let mut reader = DbReader::open(&path).expect("a file");
    let (descriptors, values) = reader.refresh().expect("readable");
    assert!(descriptors.iter().eq(&good));
    assert_eq!(values.slots, [2.5, 2.5]);
    let left_out = reader.left_out().expect("two of them");
    assert_eq!((left_out.count, left_out.reason.as_str()), (2, "limit label_value_bytes_max"));
}

#[test]
fn a_file_is_read_on_while_it_grows_and_after_it_lost_its_name() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path().join("counter_7.db");
    std::fs::write(&path, vec![0; 1 << 16]).expect("write");
    let mut reader = DbReader::open(&path).expect("a file that was just made");
    assert!(reader.refresh().expect("zeros").0.is_empty());
    for count in [1, 3] {
        // In place, as the owner's mapping does.
        let file = std::fs::File::options().write(true).open(&path).expect("open");
        std::os::unix::fs::FileExt::write_all_at(&file, &counters(count), 0).expect("write");
        let (descriptors, values) = reader.refresh().expect("whole");
        assert_eq!((descriptors.len(), values.slots.len()), (count, count));
    }
    let file = std::fs::File::options().write(true).open(&path).expect("open");
    std::fs::remove_file(&path).expect("remove");
    std::os::unix::fs::FileExt::write_all_at(&file, &counters(5), 0).expect("write");
    assert_eq!(reader.refresh().expect("still open").0.len(), 5);
}

#[test]
fn a_file_that_lost_entries_or_its_length_is_an_error_and_no_signal() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path().join("counter_7.db");
    std::fs::write(&path, counters(3)).expect("write");
    let mut reader = DbReader::open(&path).expect("open");
    reader.refresh().expect("whole");
    let file = std::fs::File::options().write(true).open(&path).expect("open");
    std::os::unix::fs::FileExt::write_all_at(&file, &counters(1), 0).expect("write");
    assert!(matches!(reader.refresh(), Err(DbError::Shrunk { .. })));
    file.set_len(2).expect("truncate");
    assert!(matches!(reader.refresh(), Err(DbError::Region { .. })));
    std::os::unix::fs::FileExt::write_all_at(&file, &counters(4), 0).expect("write");
    assert_eq!(reader.refresh().expect("whole again").0.len(), 4);
}

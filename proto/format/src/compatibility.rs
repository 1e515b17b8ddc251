//! Old data stays readable, and data of later versions is refused by name: the golden bytes of every format.
//!
//! Files in `golden` are added for a new format version, and never changed.
//!
//! | format | version 2 adds | an earlier reader | this reader of version 1 | an earlier pusher or server beside new ones |
//! | --- | --- | --- | --- | --- |
//! | values | annotations | refuses the source by name | reads no annotations | its sources have none; it cannot read new ones |
//! | descriptors | units | refuses the source by name | reads no units | appends version 1 to version 2, which is read |
//! | archive | units, annotations | refuses the shard by name | reads none | must be replaced before the first such fold |
//!
//! Each is written in version 1 as long as nothing of version 2 is used. Servers are replaced before workers.

use metrifold_model::{Labels, Values, Worker};

use crate::{bytes::HEADER_BYTES, tests::unhex, *};

struct Format {
    what: &'static str,
    golden: &'static str,
    read: fn(&[u8]) -> Result<(), BlobError>,
}

const FORMATS: [Format; 8] = [
    Format {
        what: "a values blob",
        golden: include_str!("golden/values.hex"),
        read: |bytes| decode_values(bytes).map(drop),
    },
    Format {
        what: "a values blob",
        golden: include_str!("golden/values_2.hex"),
        read: |bytes| decode_values(bytes).map(drop),
    },
    Format {
        what: "a worker blob",
        golden: include_str!("golden/worker.hex"),
        read: |bytes| decode_worker(bytes).map(drop),
    },
    Format {
        what: "a descriptor blob",
        golden: include_str!("golden/descriptors.hex"),
        read: |bytes| decode_descriptors(bytes).map(drop),
    },
    Format {
        what: "a descriptor blob",
        golden: include_str!("golden/descriptors_2.hex"),
        read: |bytes| decode_descriptors(bytes).map(drop),
    },
    Format {
        what: "an archive blob",
        golden: include_str!("golden/archive.hex"),
        read: |bytes| decode_archive(bytes).map(drop),
    },
    Format {
        what: "an archive blob",
        golden: include_str!("golden/archive_2.hex"),
        read: |bytes| decode_archive(bytes).map(drop),
    },
    Format {
        what: "a tombstone blob",
        golden: include_str!("golden/tombstone.hex"),
        read: |bytes| decode_tombstone(bytes).map(drop),
    },
];

/// Makes the checksum of a blob fit again.
fn seal(bytes: &mut [u8]) {
    let checksum = crc32fast::hash(&bytes[HEADER_BYTES..]);
    bytes[4..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
}

#[test]
fn values_and_workers_are_read_and_written_as_the_golden_files_have_them() {
    let golden = unhex(include_str!("golden/values.hex"));
    let values = Values::new(vec![1.0, -0.0], vec![2.5]);
    assert_eq!(encode_values(&values), golden);
    assert_eq!(decode_values(&golden), Ok(values));
    let golden = unhex(include_str!("golden/worker.hex"));
    let worker = Worker { instance: "h".into(), process: "12".into(), labels: Labels::new([("env", "é")]) };
    assert_eq!(encode_worker(&worker), golden);
    assert_eq!(decode_worker(&golden), Ok(worker));
}

#[test]
fn every_format_of_a_later_version_is_refused_by_kind_and_version() {
    for Format { what, golden, read } in FORMATS {
        let whole = unhex(golden);
        // Whatever a later version keeps behind the header, and however little.
        for length in [whole.len(), HEADER_BYTES] {
            let mut bytes = whole[..length].to_vec();
            bytes[1] = 3;
            seal(&mut bytes);
            let error = read(&bytes).expect_err("a later version");
            assert_eq!(error, BlobError::UnknownVersion { what, version: 3 }, "{length} bytes");
            assert!(error.to_string().starts_with(&format!("{what} has format version 3")), "{error}");
        }
    }
}

#[test]
fn every_flipped_bit_of_every_golden_blob_is_found() {
    for Format { what, golden, read } in FORMATS {
        let whole = unhex(golden);
        assert_eq!(read(&whole), Ok(()), "{what}");
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let found = read(&bytes).expect_err("a flipped bit");
            let expected = match bit / 8 {
                1 => BlobError::UnknownVersion { what, version: bytes[1] },
                0 | 2 | 3 => BlobError::WrongKind { what },
                _ => BlobError::Checksum { what },
            };
            // A list of descriptor blobs finds the end of each by the length it names, before any checksum.
            let cut = what == "a descriptor blob" && found == BlobError::Truncated { what };
            assert!(cut || found == expected, "{what}, bit {bit}: {found}");
        }
    }
}

#[test]
fn descriptors_that_an_old_writer_appended_to_later_ones_are_refused_whole() {
    let old = unhex(include_str!("golden/descriptors.hex"));
    let mut later = old.clone();
    later[1] = 3;
    seal(&mut later);
    let refused = Err(BlobError::UnknownVersion { what: "a descriptor blob", version: 3 });
    assert_eq!(decode_descriptors(&[later.clone(), old.clone()].concat()), refused);
    assert_eq!(decode_descriptors(&[old, later].concat()), refused);
}

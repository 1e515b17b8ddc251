//! The header page: who the segment's source is.
//!
//! Fixed part, native byte order: magic, `u32` layout version, `u32` checksum of the rest, `u64` length of the fixed part,
//! region size, incarnation, pid, start ticks, pid namespace (`u64` each), created (`f64`), then namespace, instance and
//! label pairs, each string after its `u32` length. At the page's end stand the words that change.

use metrifold_model::{Incarnation, Labels, Namespace, Worker};

use crate::geometry::{Geometry, PAGE_BYTES};
use crate::process::ProcessIdentity;

const MAGIC: &[u8; 8] = b"MTFDSEG1";
const LAYOUT_VERSION: u32 = 2;
const CHECKED_FROM: usize = 16;

/// Bitmap of areas that hold something; a reader touches no other.
pub(crate) const INITIALISED_WORD: usize = 4032;
/// Not 0 once the source has ended although its process lives on.
pub(crate) const ENDED_WORD: usize = 4040;
/// Unix seconds (`f64` bits) at which a starting process first found the segment without a living owner; 0 before.
pub(crate) const ORPHANED_WORD: usize = 4048;

/// Who a segment's source is. Fixed for the segment's life.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentHeader {
    /// The source's id.
    pub incarnation: Incarnation,
    /// The process, as far as the operating system tells.
    pub process: ProcessIdentity,
    /// When the segment was made, Unix seconds.
    pub created: f64,
    /// The application.
    pub namespace: Namespace,
    /// Host, pod or container.
    pub instance: String,
    /// Constant labels of the worker.
    pub labels: Labels,
}

impl SegmentHeader {
    /// The source as people know it.
    pub fn worker(&self) -> Worker {
        Worker {
            instance: self.instance.clone(),
            process: self.process.pid.to_string(),
            labels: self.labels.clone(),
        }
    }

    /// The fixed part of the page; `None` if namespace, instance and labels are too long for it.
    pub(crate) fn encode(&self, geometry: Geometry) -> Option<Vec<u8>> {
        let mut rest = Vec::new();
        let numbers = [
            geometry.region_bytes as u64,
            self.incarnation.0,
            u64::from(self.process.pid),
            self.process.start_ticks,
            self.process.pid_namespace,
            self.created.to_bits(),
        ];
        numbers.iter().for_each(|number| rest.extend_from_slice(&number.to_ne_bytes()));
        push_text(&mut rest, self.namespace.as_str());
        push_text(&mut rest, &self.instance);
        rest.extend_from_slice(&(self.labels.len() as u32).to_ne_bytes());
        for (name, value) in self.labels.iter() {
            push_text(&mut rest, name);
            push_text(&mut rest, value);
        }
        let length = CHECKED_FROM + 8 + rest.len();
        let checked = [&(length as u64).to_ne_bytes(), rest.as_slice()].concat();
        let mut page = MAGIC.to_vec();
        page.extend_from_slice(&LAYOUT_VERSION.to_ne_bytes());
        page.extend_from_slice(&crc32fast::hash(&checked).to_ne_bytes());
        page.extend_from_slice(&checked);
        (length <= INITIALISED_WORD).then_some(page)
    }

    /// Reads a header page.
    pub(crate) fn decode(page: &[u8; PAGE_BYTES]) -> Result<(SegmentHeader, Geometry), HeaderError> {
        if !page.starts_with(MAGIC) {
            return Err(HeaderError::Magic);
        }
        let mut fields = Fields(&page[MAGIC.len()..]);
        let version = fields.u32().ok_or(HeaderError::Fields)?;
        if version != LAYOUT_VERSION {
            return Err(HeaderError::Version { version });
        }
        let checksum = fields.u32().ok_or(HeaderError::Fields)?;
        let length = fields.u64().and_then(|length| usize::try_from(length).ok());
        let checked =
            length.and_then(|length| page.get(CHECKED_FROM..length)).ok_or(HeaderError::Checksum)?;
        if crc32fast::hash(checked) != checksum {
            return Err(HeaderError::Checksum);
        }
        fields.segment().ok_or(HeaderError::Fields)
    }
}

/// Why a page is not a segment's header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Another file altogether.
    #[error("it does not begin with MTFDSEG1")]
    Magic,
    /// Written by another version of Metrifold.
    #[error(
        "its layout version is {version}, this build reads {LAYOUT_VERSION}; run the same version everywhere on a host"
    )]
    Version {
        /// The version found.
        version: u32,
    },
    /// Bytes changed after they were written.
    #[error("the header's checksum does not fit")]
    Checksum,
    /// The checksum fits, the contents do not: written by something else.
    #[error("the header's fields are not valid")]
    Fields,
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u32).to_ne_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// What is left of a page.
struct Fields<'page>(&'page [u8]);

impl Fields<'_> {
    fn segment(&mut self) -> Option<(SegmentHeader, Geometry)> {
        let geometry = Geometry::checked(self.u64()?)?;
        let incarnation = Incarnation(self.u64()?);
        let process = ProcessIdentity {
            pid: u32::try_from(self.u64()?).ok()?,
            start_ticks: self.u64()?,
            pid_namespace: self.u64()?,
        };
        let created = f64::from_bits(self.u64()?);
        let namespace = Namespace::new(self.text()?).ok()?;
        let instance = self.text()?;
        let pairs: Option<Vec<_>> = (0..self.u32()?).map(|_| Some((self.text()?, self.text()?))).collect();
        let labels = Labels::new(pairs?);
        Some((SegmentHeader { incarnation, process, created, namespace, instance, labels }, geometry))
    }

    fn u32(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_ne_bytes(*bytes))
    }

    fn u64(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_ne_bytes(*bytes))
    }

    fn text(&mut self) -> Option<String> {
        let length = self.u32()? as usize;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(bytes.to_vec()).ok()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn header() -> SegmentHeader {
        SegmentHeader {
            incarnation: Incarnation(7),
            process: ProcessIdentity { pid: 12, start_ticks: 34, pid_namespace: 56 },
            created: 1.5,
            namespace: Namespace::default(),
            instance: "host-\u{e9}".into(),
            labels: Labels::new([("zone", "a"), ("app", "")]),
        }
    }

    fn page(header: &SegmentHeader) -> [u8; PAGE_BYTES] {
        let mut page = [0; PAGE_BYTES];
        let bytes = header.encode(Geometry::default()).expect("short");
        page[..bytes.len()].copy_from_slice(&bytes);
        page
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        assert_eq!(SegmentHeader::decode(&page(&header())), Ok((header(), Geometry::default())));
        assert_eq!(header().worker().process, "12");
    }

    #[test]
    fn labels_that_do_not_fit_the_page_are_refused() {
        let labels = Labels::new([("x", "y".repeat(PAGE_BYTES))]);
        assert_eq!(SegmentHeader { labels, ..header() }.encode(Geometry::default()), None);
    }

    #[test]
    fn another_file_and_another_version_are_told_apart() {
        let mut other = page(&header());
        other[8] = 9;
        assert_eq!(SegmentHeader::decode(&other), Err(HeaderError::Version { version: 9 }));
        assert_eq!(SegmentHeader::decode(&[0; PAGE_BYTES]), Err(HeaderError::Magic));
    }

    proptest! {
        #[test]
        fn a_changed_byte_of_the_fixed_part_is_noticed(at in 0_usize..90, by in 1_u8..) {
            let mut damaged = page(&header());
            damaged[at] ^= by;
            prop_assert!(SegmentHeader::decode(&damaged).is_err());
        }
    }
}

//! Where things stand in a segment file.
//!
//! A header page, then 19 areas of equal size: one region per kind (by its code), the order journal, one holder area for
//! each of two push targets, and the exemplars. Areas are sparse, so their size costs address space and not memory.

use metrifold_model::{Kind, limits};

use crate::exemplar::EXEMPLAR_CELL_BYTES;

/// Bytes of one area. 64 MiB hold some 500,000 ordinary entries, more than `slots_per_source_max`; 19 areas make 1.2 GiB of
/// address space per process, of which only the blocks in use exist.
pub const REGION_BYTES: usize = 64 << 20;
/// Smallest area that a reader accepts.
pub(crate) const REGION_BYTES_MIN: usize = 64 << 10;
/// The header page, and the unit of areas.
pub(crate) const PAGE_BYTES: usize = 4096;
pub(crate) const AREAS: usize = 19;
pub(crate) const JOURNAL_AREA: usize = 15;
pub(crate) const HOLDER_AREAS: [usize; 2] = [16, 17];
pub(crate) const EXEMPLAR_AREA: usize = 18;
const _: () = assert!(Kind::ALL.len() <= JOURNAL_AREA);

/// The journal's count comes first; entries of the same size follow.
pub(crate) const JOURNAL_ENTRY_BYTES: usize = 8;
/// The count of exemplar cells comes first; cells follow.
const EXEMPLARS_OFFSET: usize = 64;
pub(crate) const EXEMPLARS_MAX: usize = limits::EXEMPLARS_PER_SOURCE_MAX;
pub(crate) const SLOTS_MAX: usize = limits::SLOTS_PER_SOURCE_MAX;

/// The size of a file's areas; written in its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) region_bytes: usize,
}

impl Default for Geometry {
    fn default() -> Self {
        Geometry { region_bytes: REGION_BYTES }
    }
}

impl Geometry {
    /// A size found in a header, if it is one that this layout allows.
    pub(crate) fn checked(region_bytes: u64) -> Option<Geometry> {
        let region_bytes = usize::try_from(region_bytes).ok()?;
        let allowed = (REGION_BYTES_MIN..=REGION_BYTES).contains(&region_bytes)
            && region_bytes.is_multiple_of(PAGE_BYTES);
        allowed.then_some(Geometry { region_bytes })
    }

    pub(crate) fn area(self, index: usize) -> usize {
        PAGE_BYTES + index * self.region_bytes
    }

    pub(crate) fn file_bytes(self) -> usize {
        self.area(AREAS)
    }

    pub(crate) fn journal_entry(self, index: usize) -> usize {
        self.area(JOURNAL_AREA) + (index + 1) * JOURNAL_ENTRY_BYTES
    }

    /// Where a cell begins within the exemplars' area; of the count, where the cells end.
    pub(crate) fn exemplar_cell(self, index: usize) -> usize {
        EXEMPLARS_OFFSET + index * EXEMPLAR_CELL_BYTES
    }
}

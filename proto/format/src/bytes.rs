//! Reading and writing the parts that blobs are made of.

use metrifold_model::{Labels, limits};

use crate::BlobError;

/// The version of every format's first layout.
pub(super) const FIRST: u8 = 1;
/// The version that carries what was added to a format: units, annotations. A blob is written in the lowest version that
/// can hold it, so that a reader of an earlier version refuses only what it would lose.
pub(super) const SECOND: u8 = 2;
pub(super) const HEADER_BYTES: usize = 8;
/// Largest part after decompression: an archive, with the exemplars that may come to it in one step, is smaller.
const UNPACKED_BYTES_MAX: usize = 4 * limits::ARCHIVE_BYTES_MAX;
/// zstd's default: descriptors are text with much in common, and are written once per source.
const ZSTD_LEVEL: i32 = 3;

/// A blob under construction.
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Begins a blob of this letter.
    pub(super) fn blob(letter: u8, version: u8) -> Self {
        Writer { bytes: vec![letter, version, 0, 0, 0, 0, 0, 0] }
    }

    /// Begins a part without header.
    pub(super) fn part() -> Self {
        Writer { bytes: Vec::new() }
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// A length or count; every one of them is bounded far below 2^32.
    pub(super) fn count(&mut self, value: usize) {
        self.bytes.extend_from_slice(&u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn f64(&mut self, value: f64) {
        self.u64(value.to_bits());
    }

    /// Seven bits per byte, the lowest first; the highest bit says that there are more (LEB128).
    pub(super) fn variable(&mut self, mut value: u64) {
        while value > 0x7f {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.count(text.len());
        self.raw(text.as_bytes());
    }

    pub(super) fn labels(&mut self, labels: &Labels) {
        self.count(labels.len());
        for (name, value) in labels.iter() {
            self.text(name);
            self.text(value);
        }
    }

    /// Appends `part`: its lengths before and after compression, then itself compressed.
    pub(super) fn packed(&mut self, part: Writer) {
        // Compressing memory into memory fails only without memory; storing it as it is would be as good.
        let packed = zstd::bulk::compress(&part.bytes, ZSTD_LEVEL).unwrap_or_default();
        self.count(part.bytes.len());
        self.count(packed.len());
        self.raw(&packed);
    }

    /// Sets the checksum of a blob.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let checksum = crc32fast::hash(&self.bytes[HEADER_BYTES..]);
        self.bytes[4..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
        self.bytes
    }
}

/// Reads one blob or part from its beginning.
pub(super) struct Reader<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn part(what: &'static str, bytes: &'a [u8]) -> Self {
        Reader { what, rest: bytes }
    }

    /// Checks header and checksum of a blob that is all of `bytes`, in a version up to `newest`; returns the version too.
    pub(super) fn blob(
        what: &'static str,
        letter: u8,
        newest: u8,
        bytes: &'a [u8],
    ) -> Result<(Self, u8), BlobError> {
        let (header, rest) = bytes.split_at_checked(HEADER_BYTES).ok_or(BlobError::Truncated { what })?;
        if header[0] != letter || header[2..4] != [0, 0] {
            return Err(BlobError::WrongKind { what });
        }
        if !(FIRST..=newest).contains(&header[1]) {
            return Err(BlobError::UnknownVersion { what, version: header[1] });
        }
        if header[4..] != crc32fast::hash(rest).to_le_bytes() {
            return Err(BlobError::Checksum { what });
        }
        Ok((Reader { what, rest }, header[1]))
    }

    pub(super) fn invalid(&self, why: &'static str) -> BlobError {
        BlobError::Invalid { what: self.what, why }
    }

    pub(super) fn raw(&mut self, count: usize) -> Result<&'a [u8], BlobError> {
        let (taken, rest) =
            self.rest.split_at_checked(count).ok_or(BlobError::Truncated { what: self.what })?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BlobError> {
        let mut array = [0; N];
        array.copy_from_slice(self.raw(N)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, BlobError> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn count(&mut self) -> Result<usize, BlobError> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    pub(super) fn u64(&mut self) -> Result<u64, BlobError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn f64(&mut self) -> Result<f64, BlobError> {
        self.u64().map(f64::from_bits)
    }

    /// See [`Writer::variable`]. Bits beyond the 64th are refused.
    pub(super) fn variable(&mut self) -> Result<u64, BlobError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.invalid("a number has more than 64 bits"))
    }

    /// `count` numbers. Nothing is allocated for a count that the bytes do not hold.
    pub(super) fn column(&mut self, count: usize) -> Result<Vec<f64>, BlobError> {
        let bytes = self.raw(count.saturating_mul(8))?;
        let numbers = bytes.chunks_exact(8).map(|chunk| {
            let mut array = [0; 8];
            array.copy_from_slice(chunk);
            f64::from_le_bytes(array)
        });
        Ok(numbers.collect())
    }

    pub(super) fn text(&mut self) -> Result<String, BlobError> {
        let count = self.count()?;
        let bytes = self.raw(count)?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| self.invalid("a text is not UTF-8"))
    }

    pub(super) fn labels(&mut self) -> Result<Labels, BlobError> {
        let count = self.count()?;
        let mut labels = Labels::default();
        for _ in 0..count {
            let name = self.text()?;
            labels.set(name, self.text()?);
        }
        Ok(labels)
    }

    pub(super) fn unpacked(&mut self) -> Result<Vec<u8>, BlobError> {
        let (unpacked, packed) = (self.count()?, self.count()?);
        if unpacked > UNPACKED_BYTES_MAX {
            return Err(self.invalid("it is larger than what is ever written"));
        }
        let packed = self.raw(packed)?;
        let bytes = zstd::bulk::decompress(packed, unpacked)
            .map_err(|_| self.invalid("it cannot be decompressed to the length it names"))?;
        if bytes.len() != unpacked {
            return Err(self.invalid("it is shorter than it says"));
        }
        Ok(bytes)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Refuses anything left over.
    pub(super) fn end(self) -> Result<(), BlobError> {
        if self.is_at_end() { Ok(()) } else { Err(self.invalid("there is more than expected")) }
    }
}

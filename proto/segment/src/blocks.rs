//! Blocks of a sparse file, allocated before they are touched: a full file system is an error code and not SIGBUS.

use std::fs::File;
use std::io::ErrorKind;

use rustix::io::Errno;

/// First allocation of an area. Small, because container runtimes give /dev/shm 64 MiB and every worker uses a handful
/// of areas; each further allocation doubles the area.
pub(crate) const FIRST_BLOCKS_BYTES: usize = 8 << 10;

/// How many bytes an area should have allocated to hold `needed`.
pub(crate) fn grown(allocated: usize, needed: usize, area_bytes: usize) -> usize {
    let mut bytes = allocated.max(FIRST_BLOCKS_BYTES);
    while bytes < needed {
        bytes *= 2;
    }
    bytes.min(area_bytes)
}

/// Allocates zeroed blocks for a range that nothing has been written to.
pub(crate) fn allocate(file: &File, offset: usize, length: usize) -> std::io::Result<()> {
    match reserve(file, offset as u64, length as u64) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeros(file, offset, length),
        outcome => Ok(outcome?),
    }
}

/// Fails if a file of this length would bring the signal SIGXFSZ.
pub(crate) fn check_size_limit(file_bytes: usize) -> std::io::Result<()> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    match limit.is_some_and(|limit| limit < file_bytes as u64) {
        true => Err(ErrorKind::FileTooLarge.into()),
        false => Ok(()),
    }
}

#[cfg(target_os = "linux")]
fn reserve(file: &File, offset: u64, length: u64) -> Result<(), Errno> {
    loop {
        // Interrupted by a signal (tmpfs checks between pages): begin again, the range may be allocated twice.
        match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), offset, length) {
            Err(Errno::INTR) => continue,
            outcome => return outcome,
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(_file: &File, _offset: u64, _length: u64) -> Result<(), Errno> {
    Err(Errno::OPNOTSUPP)
}

fn write_zeros(file: &File, offset: usize, length: usize) -> std::io::Result<()> {
    use std::os::unix::fs::FileExt;
    check_size_limit(offset + length)?;
    const ZEROS: [u8; 4096] = [0; 4096];
    for at in (offset..offset + length).step_by(ZEROS.len()) {
        let bytes = ZEROS.len().min(offset + length - at);
        file.write_all_at(&ZEROS[..bytes], at as u64)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn areas_double_and_stop_at_their_size() {
        assert_eq!(grown(0, 1, 1 << 20), 8 << 10);
        assert_eq!(grown(8 << 10, (8 << 10) + 1, 1 << 20), 16 << 10);
        assert_eq!(grown(8 << 10, 100 << 10, 1 << 20), 128 << 10);
        assert_eq!(grown(64 << 10, 65 << 10, 100 << 10), 100 << 10);
    }

    #[test]
    fn both_ways_of_allocating_leave_real_blocks() {
        for allocate in [allocate, write_zeros] {
            let file = tempfile::tempfile().expect("temporary file");
            file.set_len(1 << 20).expect("length");
            allocate(&file, 8192, 16_384).expect("allocate");
            let metadata = file.metadata().expect("metadata");
            assert!(metadata.blocks() * 512 >= 16_384);
            assert_eq!(metadata.len(), 1 << 20);
        }
    }
}

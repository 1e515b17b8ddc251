//! What really happened: events that a worker started and finished, in a plain file.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

const STARTED_OFFSET: u64 = 0;
const FINISHED_OFFSET: u64 = 8;

/// Writes one worker's counts. Each call is one `pwrite`, so the numbers outlive a SIGKILL in the page cache.
pub(crate) struct Ledger {
    file: File,
    counts: Counts,
}

/// Events by the ledgers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Events begun: an upper bound of what may be recorded.
    pub(crate) started: u64,
    /// Events done: a lower bound of what must be recorded.
    pub(crate) finished: u64,
}

impl Ledger {
    /// Starts a ledger at zero.
    pub(crate) fn create(path: &Path) -> io::Result<Ledger> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all_at(&[0; 16], STARTED_OFFSET)?;
        Ok(Ledger { file, counts: Counts::default() })
    }

    /// An event begins.
    pub(crate) fn start(&mut self) -> io::Result<()> {
        self.counts.started += 1;
        self.file.write_all_at(&self.counts.started.to_le_bytes(), STARTED_OFFSET)
    }

    /// The event is recorded.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.counts.finished += 1;
        self.file.write_all_at(&self.counts.finished.to_le_bytes(), FINISHED_OFFSET)
    }
}

/// Adds up all ledgers of a directory.
pub(crate) fn read_all(directory: &Path) -> io::Result<Counts> {
    let mut total = Counts::default();
    for entry in std::fs::read_dir(directory)? {
        let bytes = std::fs::read(entry?.path())?;
        // A worker that was killed while it made its ledger has counted nothing.
        if let (Some(started), Some(finished)) = (number(&bytes, 0), number(&bytes, 8)) {
            total.started += started;
            total.finished += finished;
        }
    }
    Ok(total)
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ledgers_add_up_and_one_cut_short_counts_nothing() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (name, finishes) in [("one", true), ("two", false)] {
            let mut ledger = Ledger::create(&directory.path().join(name)).expect("a new file");
            ledger.start().expect("written");
            if finishes {
                ledger.finish().expect("written");
            }
        }
        std::fs::write(directory.path().join("three"), [1, 2, 3]).expect("written");
        assert_eq!(read_all(directory.path()).expect("readable"), Counts { started: 2, finished: 1 });
    }
}

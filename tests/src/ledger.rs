//! The truth: one byte per event, appended by the application after it recorded the event.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A folder of append-only files, one per event name. A byte's value may say more about its event.
pub struct Ledger {
    directory: PathBuf,
}

impl Ledger {
    /// Opens the ledger in `directory`, which the application writes to.
    pub fn new(directory: &Path) -> Ledger {
        Ledger { directory: directory.to_owned() }
    }

    /// The bytes of one event name, in the order they were written; empty if none was.
    pub fn events(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.directory.join(name);
        if !path.exists() {
            return Ok(Vec::new());
        }
        std::fs::read(&path).with_context(|| format!("ledger {}", path.display()))
    }

    /// How many events of a name there were.
    pub fn count(&self, name: &str) -> Result<u64> {
        Ok(self.events(name)?.len() as u64)
    }
}

/// What the ledger of a Rust worker says of its events: started, finished, acknowledged; nothing yet of one that is still
/// starting.
pub fn worker_words(ledger: &Path) -> Result<[u64; 3]> {
    let bytes = match std::fs::read(ledger) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok([0; 3]),
        bytes => bytes?,
    };
    let (words, _) = bytes.as_chunks::<8>();
    Ok(words.first_chunk::<3>().map_or([0; 3], |words| words.map(u64::from_le_bytes)))
}

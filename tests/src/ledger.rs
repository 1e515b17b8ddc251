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

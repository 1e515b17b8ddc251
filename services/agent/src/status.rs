//! What an agent is doing.

/// Counts of an agent, as of its last scan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentStatus {
    /// Segments whose worker lives.
    pub live: usize,
    /// Segments whose worker is dead and whose last values are not acknowledged by every target yet.
    pub dead: usize,
    /// Segments that were acknowledged to the last value and removed, since the agent started.
    pub finished: u64,
    /// Segments that cannot be read now.
    pub corrupt: usize,
    /// Pushes that were refused for good, since the agent started.
    pub refused: u64,
    /// The files of a multiprocess directory.
    pub files: Counts,
    /// The first target has had values of every source that was there when the agent started.
    pub has_arrived: bool,
}

/// Counts of one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sources whose process lives.
    pub live: usize,
    /// Sources whose process is dead and whose last values are not acknowledged by every target yet.
    pub dead: usize,
    /// Files that are there and not pushed any more.
    pub kept: usize,
    /// Files that cannot be read now.
    pub corrupt: usize,
    /// Sources that every target has to the last value, since the agent started.
    pub finished: u64,
    /// Files of dead processes that were removed, since the agent started.
    pub removed: u64,
    /// Bytes that the files take on disk.
    pub bytes: u64,
    /// Writes of the ledger that failed, since the agent started.
    pub ledger_failures: u64,
}

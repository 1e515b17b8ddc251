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
}

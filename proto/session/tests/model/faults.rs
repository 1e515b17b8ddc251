//! How much may go wrong in one exploration.

/// A world's size, and how often each fault may strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Sources.
    pub sources: u8,
    /// Events that all sources together count.
    pub counts: u8,
    /// Servers; the first is an exporter too.
    pub servers: u8,
    /// Reads that servers remember, and the exporter shows. Reads that end in a restore are free.
    pub reads: u8,
    /// Messages under way at once; two or more make delay and reordering.
    pub network_max: u8,
    /// Pushes or answers that get lost.
    pub losses: u8,
    /// Answers that arrive after other things have happened.
    pub late_answers: u8,
    /// Messages that arrive once more.
    pub duplicates: u8,
    /// Live sources that are taken for dead.
    pub timeouts: u8,
    /// Pushes without news.
    pub idle: u8,
    /// Holders replaced by a successor that knows their place.
    pub swaps: u8,
    /// Holders replaced by a successor that does not.
    pub lost_places: u8,
    /// Outages of half a tombstone lifetime, as a pusher sees them.
    pub give_ups: u8,
    /// Tombstones that reach their age.
    pub trims: u8,
    /// Copies of the store that it may roll back to.
    pub saves: u8,
    /// Times that the store comes back empty or older.
    pub store_losses: u8,
    /// Sources that push for themselves and are killed.
    pub kills: u8,
    /// Trims of incarnations whose pusher has nothing in flight but has not given them up.
    pub trims_quiet: bool,
    /// Trims at any time: breaks an assumption.
    pub trims_early: bool,
    /// A holder that lost its place starts in the instant in which its predecessor pushed: breaks an assumption.
    pub clock_stands: bool,
    /// What a reaper read may have changed before it commits.
    pub racing_reapers: bool,
    /// A shard may settle before every server that has something newer has come.
    pub late_servers: bool,
}

impl Faults {
    /// One source in a world in which everything works.
    pub fn none() -> Self {
        Faults {
            sources: 1,
            counts: 1,
            servers: 1,
            reads: 1,
            network_max: 1,
            losses: 0,
            late_answers: 0,
            duplicates: 0,
            timeouts: 0,
            idle: 0,
            swaps: 0,
            lost_places: 0,
            give_ups: 0,
            trims: 0,
            saves: 0,
            store_losses: 0,
            kills: 0,
            trims_quiet: false,
            trims_early: false,
            clock_stands: false,
            racing_reapers: false,
            late_servers: false,
        }
    }

    /// One more of each fault that may happen at all, if `is_slow`.
    pub fn widened(mut self, is_slow: bool) -> Self {
        if is_slow {
            for budget in [
                &mut self.losses,
                &mut self.duplicates,
                &mut self.timeouts,
                &mut self.give_ups,
                &mut self.trims,
                &mut self.saves,
                &mut self.store_losses,
            ] {
                *budget += u8::from(*budget > 0);
            }
        }
        self
    }
}

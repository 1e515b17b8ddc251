//! Metric kinds and gauge modes, with the names that prometheus_client gives their files.

/// How the values of a gauge combine over workers: prometheus_client's ten `multiprocess_mode`s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GaugeMode {
    /// One series per worker, with a `pid` label.
    All,
    /// As [`GaugeMode::All`], gone when the worker ends.
    LiveAll,
    /// The smallest value of any worker.
    Min,
    /// As [`GaugeMode::Min`], over live workers only.
    LiveMin,
    /// The largest value of any worker.
    Max,
    /// As [`GaugeMode::Max`], over live workers only.
    LiveMax,
    /// The sum over all workers, dead ones included.
    Sum,
    /// The sum over live workers.
    LiveSum,
    /// The value that was set last, by wall clock.
    MostRecent,
    /// As [`GaugeMode::MostRecent`], over live workers only.
    LiveMostRecent,
}

/// The rule by which one slot's values combine, with liveness taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MergeMode {
    /// Added up.
    Sum,
    /// Smallest wins.
    Min,
    /// Largest wins.
    Max,
    /// Newest time stamp wins (strictly greater); 0 means never set.
    MostRecent,
    /// Not combined: one series per worker.
    PerWorker,
}

/// What a slot is: the metric's type and, for a gauge, its mode. One region file per kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A monotone count.
    Counter,
    /// One bucket (non-cumulative) or the sum of a classic histogram.
    Histogram,
    /// `_sum` or `_count` of a summary without quantiles.
    Summary,
    /// A gauge under one mode.
    Gauge(GaugeMode),
    /// Facts, as labels; the value is 1.
    Info,
    /// One state of several; 1 if it holds, else 0.
    StateSet,
}

impl Kind {
    /// Every kind; a kind's place in this list is its [`Kind::code`]. Append only: codes are stored and sent.
    pub const ALL: [Kind; 15] = [
        Kind::Counter,
        Kind::Histogram,
        Kind::Summary,
        Kind::Gauge(GaugeMode::All),
        Kind::Gauge(GaugeMode::LiveAll),
        Kind::Gauge(GaugeMode::Min),
        Kind::Gauge(GaugeMode::LiveMin),
        Kind::Gauge(GaugeMode::Max),
        Kind::Gauge(GaugeMode::LiveMax),
        Kind::Gauge(GaugeMode::Sum),
        Kind::Gauge(GaugeMode::LiveSum),
        Kind::Gauge(GaugeMode::MostRecent),
        Kind::Gauge(GaugeMode::LiveMostRecent),
        Kind::Info,
        Kind::StateSet,
    ];

    /// The number that stands for this kind in segments, blobs and on the wire.
    pub fn code(self) -> u8 {
        match self {
            Kind::Counter => 0,
            Kind::Histogram => 1,
            Kind::Summary => 2,
            Kind::Gauge(mode) => 3 + mode as u8,
            Kind::Info => 13,
            Kind::StateSet => 14,
        }
    }

    /// The kind with this [`Kind::code`], if there is one.
    pub fn from_code(code: u8) -> Option<Kind> {
        Kind::ALL.get(usize::from(code)).copied()
    }

    /// prometheus_client's name of the file for this kind, without `_{pid}.db`: `counter`, `gauge_livesum`, ...
    /// (source: `prometheus_client/values.py`); it has none for infos and statesets, whose names are ours.
    pub fn region_name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
            Kind::Gauge(GaugeMode::All) => "gauge_all",
            Kind::Gauge(GaugeMode::LiveAll) => "gauge_liveall",
            Kind::Gauge(GaugeMode::Min) => "gauge_min",
            Kind::Gauge(GaugeMode::LiveMin) => "gauge_livemin",
            Kind::Gauge(GaugeMode::Max) => "gauge_max",
            Kind::Gauge(GaugeMode::LiveMax) => "gauge_livemax",
            Kind::Gauge(GaugeMode::Sum) => "gauge_sum",
            Kind::Gauge(GaugeMode::LiveSum) => "gauge_livesum",
            Kind::Gauge(GaugeMode::MostRecent) => "gauge_mostrecent",
            Kind::Gauge(GaugeMode::LiveMostRecent) => "gauge_livemostrecent",
            Kind::Info => "info",
            Kind::StateSet => "stateset",
        }
    }

    /// The kind of a region by its [`Kind::region_name`].
    pub fn from_region_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.region_name() == name)
    }

    /// The word after `# TYPE name`.
    pub fn type_name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
            Kind::Gauge(_) => "gauge",
            Kind::Info => "info",
            Kind::StateSet => "stateset",
        }
    }

    /// How values of this kind combine.
    pub fn merge_mode(self) -> MergeMode {
        match self {
            Kind::Counter | Kind::Histogram | Kind::Summary => MergeMode::Sum,
            Kind::Gauge(GaugeMode::Sum | GaugeMode::LiveSum) => MergeMode::Sum,
            Kind::Gauge(GaugeMode::Min | GaugeMode::LiveMin) => MergeMode::Min,
            Kind::Gauge(GaugeMode::Max | GaugeMode::LiveMax) | Kind::Info | Kind::StateSet => MergeMode::Max,
            Kind::Gauge(GaugeMode::MostRecent | GaugeMode::LiveMostRecent) => MergeMode::MostRecent,
            Kind::Gauge(GaugeMode::All | GaugeMode::LiveAll) => MergeMode::PerWorker,
        }
    }

    /// Whether the values count only while their worker lives.
    pub fn is_live(self) -> bool {
        matches!(
            self,
            Kind::Gauge(
                GaugeMode::LiveAll
                    | GaugeMode::LiveMin
                    | GaugeMode::LiveMax
                    | GaugeMode::LiveSum
                    | GaugeMode::LiveMostRecent
            ) | Kind::Info
                | Kind::StateSet
        )
    }

    /// Whether a dead worker's values move into the archive as "values minus base" at the fold.
    pub fn is_subtractable(self) -> bool {
        self.merge_mode() == MergeMode::Sum && !self.is_live()
    }

    /// Whether the values say what is, and not what was counted: a fork's child inherits them.
    pub fn is_fact(self) -> bool {
        matches!(self, Kind::Info | Kind::StateSet)
    }

    /// Whether prometheus_client keeps such values in files.
    pub fn has_files(self) -> bool {
        !self.is_fact()
    }

    /// Whether each slot carries a time stamp.
    pub fn is_timestamped(self) -> bool {
        self.merge_mode() == MergeMode::MostRecent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_region_names_round_trip() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(kind.code()), index);
            assert_eq!(Kind::from_code(kind.code()), Some(kind));
            assert_eq!(Kind::from_region_name(kind.region_name()), Some(kind));
        }
        assert_eq!(Kind::from_code(15), None);
        assert_eq!(Kind::from_region_name("gauge"), None);
    }

    #[test]
    fn only_sums_that_outlive_their_worker_are_subtractable() {
        let subtractable: Vec<_> = Kind::ALL.into_iter().filter(|kind| kind.is_subtractable()).collect();
        assert_eq!(
            subtractable,
            [Kind::Counter, Kind::Histogram, Kind::Summary, Kind::Gauge(GaugeMode::Sum)]
        );
    }
}

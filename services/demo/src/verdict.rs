//! Whether what was scraped is what was counted.

use metrifold_admin::sum;

use crate::{
    ledger::Counts,
    table::grouped,
    worker::{COST, EVENTS, EVENTS_BY_KIND},
};

/// The three ways in which every event was counted, as one scrape has them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Merged {
    pub(crate) events: f64,
    pub(crate) by_kind: f64,
    pub(crate) observations: f64,
}

impl Merged {
    /// Reads them from `/metrics`.
    pub(crate) fn read(page: &str) -> Merged {
        Merged {
            events: sum(page, &format!("{EVENTS}_total"), ""),
            by_kind: sum(page, &format!("{EVENTS_BY_KIND}_total"), ""),
            observations: sum(page, &format!("{COST}_count"), ""),
        }
    }

    fn all(self) -> [(&'static str, f64); 3] {
        [
            ("the counter", self.events),
            ("the labelled counter", self.by_kind),
            ("the histogram", self.observations),
        ]
    }

    /// The first that is lower than it was.
    pub(crate) fn fell_below(self, before: Merged) -> Option<String> {
        let pairs = self.all().into_iter().zip(before.all());
        pairs
            .filter(|((_, now), (_, then))| now < then)
            .map(|((name, now), (_, then))| format!("{name} fell from {then} to {now}"))
            .next()
    }
}

/// Everything that the end is judged by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    pub(crate) counts: Counts,
    pub(crate) merged: Merged,
    pub(crate) kills: u64,
    pub(crate) scrapes: u64,
    /// What went wrong on the way.
    pub(crate) faults: Vec<String>,
}

impl Evidence {
    /// The last line, and whether it is good news.
    pub(crate) fn judge(&self) -> (bool, String) {
        let faults = self.all_faults();
        let Counts { started, finished } = self.counts;
        let numbers = format!(
            "{} finished <= {} merged <= {} started, {} workers killed",
            grouped(finished),
            grouped(self.merged.events as u64),
            grouped(started),
            self.kills
        );
        match faults.is_empty() {
            true => (true, format!("exact: {numbers}, nothing went down in {} scrapes", self.scrapes)),
            false => (false, format!("NOT exact: {}; expected {numbers}", faults.join("; "))),
        }
    }

    fn all_faults(&self) -> Vec<String> {
        let mut faults = self.faults.clone();
        let Counts { started, finished } = self.counts;
        for (name, merged) in self.merged.all() {
            if merged < finished as f64 {
                faults.push(format!("{name} lost {} finished events", finished as f64 - merged));
            }
            if merged > started as f64 {
                faults.push(format!("{name} has {} events that never started", merged - started as f64));
            }
        }
        if started.saturating_sub(finished) > self.kills {
            faults
                .push(format!("the ledgers are {} events apart, more than one per kill", started - finished));
        }
        if started == 0 {
            faults.push("nothing was counted at all".into());
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(merged: f64) -> Evidence {
        Evidence {
            counts: Counts { started: 1_003, finished: 1_000 },
            merged: Merged { events: merged, by_kind: merged, observations: merged },
            kills: 3,
            scrapes: 9,
            faults: vec![],
        }
    }

    #[test]
    fn between_the_ledgers_is_exact_and_outside_is_not() {
        for (merged, expected) in [(999.0, false), (1_000.0, true), (1_003.0, true), (1_004.0, false)] {
            let (is_exact, line) = evidence(merged).judge();
            assert_eq!(is_exact, expected, "{line}");
        }
        assert_eq!(
            evidence(1_002.0).judge().1,
            "exact: 1,000 finished <= 1,002 merged <= 1,003 started, 3 workers killed, nothing went down in 9 scrapes"
        );
    }

    #[test]
    fn each_metric_is_judged_by_itself() {
        let mut evidence = evidence(1_000.0);
        evidence.merged.observations = 999.0;
        let (is_exact, line) = evidence.judge();
        assert!(!is_exact && line.contains("the histogram lost 1 finished events"), "{line}");
    }

    #[test]
    fn ledgers_too_far_apart_faults_on_the_way_and_silence_are_failures() {
        assert!(!Evidence { kills: 2, ..evidence(1_000.0) }.judge().0);
        assert!(!Evidence { faults: vec!["fell".into()], ..evidence(1_000.0) }.judge().0);
        assert!(!Evidence::default().judge().0);
    }

    #[test]
    fn a_fall_is_named() {
        let before = Merged { events: 5.0, by_kind: 5.0, observations: 5.0 };
        assert_eq!(before.fell_below(before), None);
        let after = Merged { by_kind: 4.0, ..before };
        assert_eq!(after.fell_below(before).as_deref(), Some("the labelled counter fell from 5 to 4"));
    }
}

//! Pushes that were refused for good: which, how often, and who sent the last one.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use metrifold_model::{Namespace, Worker};
use metrifold_session::Refusal;

/// Namespaces that refusals are kept for; whoever makes up names must not fill this process's memory.
const NAMESPACES_MAX: usize = 1_000;

/// Refusals of one reason.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) refusal: Refusal,
    pub(crate) count: u64,
    /// When the last one came, and from whom.
    pub(crate) last: Instant,
    pub(crate) worker: Arc<Worker>,
}

/// All refusals since this process started: per namespace at most one entry per reason.
#[derive(Debug, Default)]
pub(crate) struct Refusals(BTreeMap<Namespace, Vec<Refused>>);

impl Refusals {
    /// Notes one.
    pub(crate) fn add(
        &mut self,
        namespace: &Namespace,
        refusal: Refusal,
        worker: &Arc<Worker>,
        now: Instant,
    ) {
        if !self.0.contains_key(namespace) && self.0.len() >= NAMESPACES_MAX {
            return;
        }
        let entries = self.0.entry(namespace.clone()).or_default();
        match entries.iter_mut().find(|entry| entry.refusal == refusal) {
            Some(entry) => {
                *entry = Refused { count: entry.count + 1, last: now, worker: worker.clone(), refusal };
            }
            None => entries.push(Refused { refusal, count: 1, last: now, worker: worker.clone() }),
        }
    }

    /// Those of a namespace, the latest first.
    pub(crate) fn of(&self, namespace: &Namespace) -> Vec<Refused> {
        let mut entries = self.0.get(namespace).cloned().unwrap_or_default();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.last));
        entries
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn refusals_are_counted_by_reason_and_bounded_by_namespace() {
        let (mut refusals, start) = (Refusals::default(), Instant::now());
        let namespace = |number: usize| Namespace::new(format!("n{number}")).expect("a good name");
        let worker = |process: &str| Arc::new(Worker { process: process.into(), ..Worker::default() });
        refusals.add(&namespace(0), Refusal::NotFinite, &worker("1"), start);
        refusals.add(&namespace(0), Refusal::TooLong, &worker("2"), start + Duration::from_secs(1));
        refusals.add(&namespace(0), Refusal::NotFinite, &worker("3"), start + Duration::from_secs(2));
        let found = refusals.of(&namespace(0));
        let found: Vec<_> =
            found.iter().map(|entry| (entry.refusal, entry.count, entry.worker.process.as_str())).collect();
        assert_eq!(found, [(Refusal::NotFinite, 2, "3"), (Refusal::TooLong, 1, "2")]);
        for number in 0..NAMESPACES_MAX + 10 {
            refusals.add(&namespace(number), Refusal::TooLong, &worker("1"), start);
        }
        assert_eq!(refusals.0.len(), NAMESPACES_MAX);
    }
}

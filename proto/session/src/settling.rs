//! When an exporter may show a shard again after its store lost or rolled back its contents.

use std::{collections::BTreeMap, time::Duration};

use metrifold_model::{Epoch, Incarnation};

use crate::{ShardSnapshot, is_dead};

/// What an exporter may do with what it just read. The worst of all shards decides for the whole view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Serving {
    /// Show it: the contents are those of the last view, carried on.
    Now,
    /// Show it, though some counters may be below the last view: there was `store.settle` to bring something better. If
    /// they are, that is a reset, to be named and counted.
    Anyway,
    /// Show it only if no counter is below the last view; 503 otherwise.
    IfNotBelow,
    /// 503: a source of the last view has not been heard of since the restore.
    Waiting,
    /// 503: the shard is closed until a server role has restored it.
    Sealed,
}

/// Remembers what an exporter last showed, and decides whether the next view may replace it (DESIGN section 6).
///
/// Within one epoch nothing a shard shows ever goes down, so nothing is compared. After a restore, under a new epoch,
/// a view waits until every live source of the last one has pushed, has a tombstone, or is past its time to live
/// (counted from the restore, before which it could not push), and while any counter would be below the last view; but
/// no longer than `store.settle` after the restore. An exporter that has shown nothing yet does not know whom to wait
/// for, and waits until the shard has settled.
///
/// Holds one id per live source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Settling {
    shards: BTreeMap<u16, LastView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct LastView {
    epoch: Option<Epoch>,
    /// Sources that were live then.
    live: Vec<Incarnation>,
}

impl Settling {
    /// Whether `shard`, just read, may be shown. `settle` is `store.settle`, `ttl` the time to live (`None`: off).
    pub fn check(
        &self,
        shard: u16,
        snapshot: &ShardSnapshot,
        settle: Duration,
        ttl: Option<Duration>,
    ) -> Serving {
        let head = &snapshot.head;
        if head.sealed || head.epoch.is_none() {
            return Serving::Sealed;
        }
        let is_settled = head.is_settled(snapshot.now, settle);
        let last = match self.shards.get(&shard) {
            Some(last) if last.epoch == head.epoch => return Serving::Now,
            None if is_settled => return Serving::Now,
            // Another exporter, or this one before its restart, may have shown what has not come back yet.
            None => return Serving::Waiting,
            Some(_) if is_settled => return Serving::Anyway,
            Some(last) => last,
        };
        // Counted from the restore and not from a source's last push: nobody could push in the outage, however long it
        // was, and the clock that stamped that push may have been another one.
        let is_past = ttl.is_some_and(|ttl| snapshot.now.apart(head.changed) > ttl);
        let is_back = |incarnation: &Incarnation| {
            let has_pushed =
                snapshot.records.get(incarnation).is_some_and(|record| Some(record.epoch) == head.epoch);
            has_pushed || is_past || snapshot.tombstones.contains_key(incarnation)
        };
        if last.live.iter().all(is_back) { Serving::IfNotBelow } else { Serving::Waiting }
    }

    /// Remembers that `shard` was shown as in `snapshot`.
    pub fn served(&mut self, shard: u16, snapshot: &ShardSnapshot, ttl: Option<Duration>) {
        let live = snapshot
            .records
            .iter()
            .filter(|(_, record)| !is_dead(record, snapshot.now, ttl))
            .map(|(incarnation, _)| *incarnation)
            .collect();
        self.shards.insert(shard, LastView { epoch: snapshot.head.epoch, live });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Instant, Record, ShardHead};

    const SETTLE: Duration = Duration::from_secs(30);
    const TTL: Option<Duration> = Some(Duration::from_secs(4));
    const SOURCE: Incarnation = Incarnation(7);

    /// A shard that was restored at `changed`, with one source that pushed in `epoch` at `seen`.
    fn shard(epoch: Epoch, changed: u64, pushed: (Epoch, u64), now: u64) -> ShardSnapshot {
        let (pushed_in, seen) = pushed;
        let record = Record { epoch: pushed_in, ..Record::heard_of(Instant(seen)) };
        ShardSnapshot {
            head: ShardHead { changed: Instant(changed), settling: true, ..ShardHead::open(epoch) },
            now: Instant(now),
            records: [(SOURCE, Arc::new(record))].into(),
            ..ShardSnapshot::default()
        }
    }

    /// Another exporter may have shown more of the source than this one, and the record was restored from less.
    #[test]
    fn an_outage_longer_than_the_time_to_live_does_not_make_a_source_look_dead() {
        let (before, after) = (Epoch(1), Epoch(2));
        let mut settling = Settling::default();
        settling.served(0, &shard(before, 0, (before, 1_000), 1_100), TTL);
        let check = |pushed, now| settling.check(0, &shard(after, 9_000, pushed, now), SETTLE, TTL);
        assert_eq!(check((before, 1_000), 9_100), Serving::Waiting);
        assert_eq!(check((before, 1_000), 13_000), Serving::Waiting);
        assert_eq!(check((before, 1_000), 13_001), Serving::IfNotBelow, "it had its time to push");
        assert_eq!(check((after, 9_050), 9_100), Serving::IfNotBelow, "it has pushed");
        assert_eq!(check((before, 900_000), 9_100), Serving::Waiting, "stamped by a clock that was ahead");
        assert_eq!(check((before, 1_000), 39_000), Serving::Anyway);
    }
}

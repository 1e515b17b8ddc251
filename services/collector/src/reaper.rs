//! Opens and restores shards, folds dead sources, trims old tombstones.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use futures::future::join_all;
use metrifold_clock as clock;
use metrifold_model::Namespace;
use metrifold_session::{Instant, Part, ReapPolicy, ShardSnapshot, is_dead, needs_restore, reap};
use metrifold_store::{CommitOutcome, ShardIndex, Store, StoreError};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How a reaper works.
#[derive(Clone, Debug)]
pub struct ReaperSettings {
    /// When sources count as dead and when tombstones go.
    pub policy: ReapPolicy,
    /// Time between two passes. Default 1 s.
    pub interval: Duration,
    /// How long a reaper that has never read a shard waits for one that has, before it opens a sealed one. Default 2 s.
    pub restore_grace: Duration,
    /// Whether the namespace is opened though nobody has pushed into it. Default true; not for those who only show what others
    /// push, who may have its name wrong.
    pub opens: bool,
}

impl Default for ReaperSettings {
    fn default() -> Self {
        ReaperSettings {
            policy: ReapPolicy::default(),
            interval: Duration::from_secs(1),
            restore_grace: Duration::from_secs(2),
            opens: true,
        }
    }
}

/// Commits per shard and pass: what others changed meanwhile is tried again, a large backlog waits for the next pass.
const COMMITS_PER_PASS_MAX: usize = 8;

/// Tends all namespaces of a store. Any number of reapers may do so at once: every step is a compare-and-set.
pub struct Reaper {
    store: Arc<dyn Store>,
    namespace: Namespace,
    settings: ReaperSettings,
    shards: HashMap<Namespace, Vec<Memory>>,
    is_failing: bool,
}

/// What a reaper remembers of one shard.
#[derive(Default)]
struct Memory {
    /// The shard as last read or changed: what it is restored from, should its store lose it.
    last: Option<Arc<ShardSnapshot>>,
    sealed_since: Option<Instant>,
    /// The archive's age as last seen, and since when it has stood there.
    age: Option<(Instant, Instant)>,
    /// What could not be read, as far as that was said.
    told: BTreeMap<Part, Arc<str>>,
    /// The archive has no room for somebody who is dead.
    is_full: bool,
}

impl Reaper {
    /// Tends `store`; `namespace` is opened even if nobody has pushed to it yet, unless
    /// [`opens`](ReaperSettings::opens) says otherwise.
    pub fn new(store: Arc<dyn Store>, namespace: Namespace, settings: ReaperSettings) -> Self {
        Reaper { store, namespace, settings, shards: HashMap::new(), is_failing: false }
    }

    /// Passes over the store at every interval, until `shutdown`; tells `passed` of each pass whether it went without an
    /// error.
    pub async fn run(mut self, shutdown: CancellationToken, passed: impl Fn(bool)) {
        let mut ticks = tokio::time::interval(self.settings.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => passed(self.pass().await),
            }
        }
    }

    /// Tends every shard once; whether that went without an error. A store that fails is tried again at the next pass;
    /// only the change is logged.
    pub async fn pass(&mut self) -> bool {
        let outcome = self.tend_namespaces().await;
        let was_failing = std::mem::replace(&mut self.is_failing, outcome.is_err());
        match outcome {
            Ok(()) if was_failing => tracing::info!("the store can be tended again"),
            Ok(()) => {}
            Err(error) if was_failing => tracing::debug!(%error, "the store still cannot be tended"),
            Err(error) => tracing::warn!(%error, "the store cannot be tended: nothing is folded meanwhile"),
        }
        !self.is_failing
    }

    async fn tend_namespaces(&mut self) -> Result<(), StoreError> {
        if self.is_failing {
            // What was carried out and could not be kept would not be found due again. No more than that is asked: folding
            // goes on in a store that is full, and in the shards beside one that fails.
            self.store.catch_up().await?;
        }
        let mut namespaces: BTreeSet<_> = self.store.namespaces().await?.into_iter().collect();
        if self.settings.opens {
            namespaces.insert(self.namespace.clone());
        }
        let mut first_error = Ok(());
        for namespace in namespaces {
            // One namespace's failure is no reason to neglect the others.
            first_error = first_error.and(self.tend(&namespace).await);
        }
        first_error
    }

    async fn tend(&mut self, namespace: &Namespace) -> Result<(), StoreError> {
        let (store, settings) = (self.store.as_ref(), &self.settings);
        let count = store.shards(namespace).await?;
        let shards = self.shards.entry(namespace.clone()).or_default();
        shards.resize_with(usize::from(count), Memory::default);
        let tended = (0..count)
            .zip(shards)
            .map(|(shard, memory)| memory.tend(store, namespace, ShardIndex(shard), settings));
        // Side by side, and to the end: one shard that fails, or hangs, must not hold up the others.
        join_all(tended).await.into_iter().fold(Ok(()), Result::and)
    }
}

impl Memory {
    /// Restores, folds, trims and ages one shard, as far as it needs any of it.
    async fn tend(
        &mut self,
        store: &dyn Store,
        namespace: &Namespace,
        shard: ShardIndex,
        settings: &ReaperSettings,
    ) -> Result<(), StoreError> {
        let mut snapshot = store.snapshot(namespace, shard).await?;
        let settle = settings.policy.settle;
        if self.must_restore(&snapshot, clock::now(), settings) {
            let last = self.last.as_deref();
            let outcome = store.restore(namespace, shard, last, settle).await?;
            if outcome == CommitOutcome::Committed {
                tracing::info!(%namespace, shard = shard.0, from_memory = last.is_some(), "opened a sealed shard");
            }
            snapshot = store.snapshot(namespace, shard).await?;
        }
        if needs_restore(&snapshot, self.last.as_deref(), settle) {
            // What it holds now is older than what is remembered, and must not replace it.
            return Ok(());
        }
        self.tell(namespace, shard, &snapshot);
        self.remember(&snapshot)?;
        for _ in 0..COMMITS_PER_PASS_MAX {
            let Some(commit) = reap(&snapshot, &settings.policy) else { break };
            if store.commit(namespace, shard, &commit).await? == CommitOutcome::Committed {
                // Remembered before it is read back: the store may fail in between.
                let mut after = (*snapshot).clone();
                commit.apply(&mut after, snapshot.head.version);
                self.last = Some(Arc::new(after));
            }
            snapshot = store.snapshot(namespace, shard).await?;
            if needs_restore(&snapshot, self.last.as_deref(), settle) {
                // Lost in between: the next pass brings it back.
                return Ok(());
            }
            self.remember(&snapshot)?;
        }
        self.tell_of_room(namespace, shard, &snapshot, &settings.policy);
        let now = clock::now();
        if let Some((expected, age)) = self.advanced_age(&snapshot, now)
            && store.advance_age(namespace, shard, expected, age).await? == CommitOutcome::Committed
        {
            self.age = Some((age, now));
        }
        Ok(())
    }

    /// Keeps a shard in mind as what it is restored from; one whose archive cannot be read only looks empty, and replaces nothing.
    fn remember(&mut self, snapshot: &Arc<ShardSnapshot>) -> Result<(), StoreError> {
        if let Some(reason) = snapshot.unreadable_archive() {
            return Err(StoreError::Corrupt(format!("{}: {reason}", Part::Archive)));
        }
        self.last = Some(snapshot.clone());
        Ok(())
    }

    /// Names what cannot be read, once.
    fn tell(&mut self, namespace: &Namespace, shard: ShardIndex, snapshot: &ShardSnapshot) {
        for (part, reason) in snapshot.unreadable.iter().filter(|(part, _)| !self.told.contains_key(part)) {
            tracing::error!(
                %namespace, shard = shard.0, %part, %reason,
                "something in the store cannot be read and is left out; everything else goes on"
            );
        }
        self.told = snapshot.unreadable.clone();
    }

    /// Says so when the dead are not folded for want of room in the archive.
    fn tell_of_room(
        &mut self,
        namespace: &Namespace,
        shard: ShardIndex,
        snapshot: &ShardSnapshot,
        policy: &ReapPolicy,
    ) {
        let dead =
            snapshot.records.values().filter(|record| is_dead(record, snapshot.now, policy.ttl)).count();
        let is_settled = snapshot.head.is_settled(snapshot.now, policy.settle);
        let is_full = dead > 0 && is_settled && reap(snapshot, policy).is_none();
        let was_full = std::mem::replace(&mut self.is_full, is_full);
        if self.is_full && !was_full {
            tracing::error!(
                %namespace, shard = shard.0, sources = dead,
                "the archive has no room for the series of dead sources (limit archive_bytes_max), which are counted \
                 but not folded; use fewer label values, or wipe the namespace"
            );
        }
    }

    /// Whether to open the shard, or to replace by something newer what another server has just restored. A reaper with
    /// an empty memory leaves a sealed shard to others for a while.
    fn must_restore(&mut self, snapshot: &ShardSnapshot, now: Instant, settings: &ReaperSettings) -> bool {
        let is_open = !snapshot.head.sealed && snapshot.head.epoch.is_some();
        if is_open {
            self.sealed_since = None;
            return needs_restore(snapshot, self.last.as_deref(), settings.policy.settle);
        }
        let since = *self.sealed_since.get_or_insert(now);
        self.last.is_some() || now.since(since) >= settings.restore_grace
    }

    /// The archive's age and what it should be set to: advanced by the time for which nobody else has advanced it, so that
    /// several reapers do not make it run faster. Without tombstones nobody needs it.
    fn advanced_age(&mut self, snapshot: &ShardSnapshot, now: Instant) -> Option<(Instant, Instant)> {
        let age = snapshot.head.age;
        let since = match self.age {
            Some((seen, since)) if seen == age => since,
            _ => now,
        };
        self.age = Some((age, since));
        let stood = now.since(since);
        (!stood.is_zero() && !snapshot.tombstones.is_empty()).then(|| (age, age + stood))
    }
}

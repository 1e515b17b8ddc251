//! The store trait over the connection.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use dashmap::{DashMap, DashSet};
use metrifold_model::Namespace;
use metrifold_redis::{AdvanceAge, CommitCall, PushScript, PushSettings, ReplyError, keys, parse_push_reply};
use metrifold_session::{Answer, Commit, Instant, Push, ShardSnapshot};

use super::{RedisSettings, connection::Connection, door::Door, error::of_reply, read::Known};
use crate::{CommitOutcome, ShardIndex, Store, StoreError};

/// A store in Redis, shared by any number of processes.
///
/// It never opens a shard by itself: pushes are answered [`Answer::Sealed`] until somebody calls [`Store::restore`].
/// One connection per Redis process carries everything, pipelined. While a process is away, the operations on its
/// shards fail at once or after [`RedisSettings::connect_timeout`]; those on other shards of a Cluster go on.
pub struct RedisStore {
    pub(super) connection: Connection,
    pub(super) settings: RedisSettings,
    pub(super) known: DashMap<(Namespace, ShardIndex), Arc<Known>>,
    pub(super) expired: AtomicU64,
    door: Door,
    scripts: DashMap<(Namespace, ShardIndex), Arc<PushScript>>,
    /// Namespaces that are in Redis, with our number of shards.
    registered: DashSet<Namespace>,
    /// Namespaces that were pushed into or opened by this process.
    used: DashSet<Namespace>,
    /// Every namespace that was asked for, for when the index must not be read.
    asked: DashSet<Namespace>,
}

impl RedisStore {
    /// Connects at the first operation; a Redis that is down is no error here.
    ///
    /// Errors: [`StoreError::Refused`] if the settings cannot be used.
    pub fn connect(settings: RedisSettings) -> Result<RedisStore, StoreError> {
        if settings.shards == 0 {
            return Err(StoreError::Refused("redis.shards must be at least 1".into()));
        }
        if settings.expiry < Duration::from_secs(24 * 3600) {
            return Err(StoreError::Refused(
                "sources must not be forgotten within 24 h of their last push".into(),
            ));
        }
        Ok(RedisStore {
            connection: Connection::new(&settings)?,
            known: DashMap::new(),
            expired: AtomicU64::new(0),
            door: Door::default(),
            scripts: DashMap::new(),
            registered: DashSet::new(),
            used: DashSet::new(),
            asked: DashSet::new(),
            settings,
        })
    }

    /// How many sources this store found lost because nobody folded them before they expired.
    pub fn sources_expired_total(&self) -> u64 {
        self.expired.load(Ordering::Relaxed)
    }

    pub(super) fn push_settings(&self) -> PushSettings {
        let RedisSettings { shards, sources_max, expiry, stage_above, .. } = self.settings;
        PushSettings { shards, sources_max, expiry, stage_above }
    }

    fn script(&self, namespace: &Namespace, shard: ShardIndex) -> Arc<PushScript> {
        let key = (namespace.clone(), shard);
        if let Some(script) = self.scripts.get(&key) {
            return script.clone();
        }
        let make = || Arc::new(PushScript::new(namespace, shard.0, self.push_settings()));
        self.scripts.entry(key).or_insert_with(make).clone()
    }

    /// Makes sure, once, that the namespace is in the index and that all its users have the same number of shards.
    async fn register(&self, namespace: &Namespace) -> Result<(), StoreError> {
        if self.registered.contains(namespace) {
            return Ok(());
        }
        self.used.insert(namespace.clone());
        let shards = self.settings.shards.to_string();
        let actual = self.connection.set_once(&keys::meta(namespace), keys::META_SHARDS, &shards).await?;
        if actual != shards {
            return Err(of_reply(ReplyError::Shards { actual }));
        }
        match self.connection.add_member(keys::NAMESPACES, namespace.as_str()).await {
            // The index may be outside what an ACL allows; only servers configured with the namespace find it then.
            Ok(()) | Err(StoreError::Refused(_)) => {}
            Err(cause) => return Err(cause),
        }
        self.registered.insert(namespace.clone());
        Ok(())
    }

    /// Makes sure that all users of the namespace have the same number of shards, if there is one: a read makes none.
    async fn agree(&self, namespace: &Namespace) -> Result<(), StoreError> {
        if self.registered.contains(namespace) {
            return Ok(());
        }
        self.asked.insert(namespace.clone());
        match self.shards_in_use(namespace).await? {
            Some(actual) if actual != self.settings.shards => {
                Err(of_reply(ReplyError::Shards { actual: actual.to_string() }))
            }
            Some(_) => {
                // Whoever put it there has registered it.
                self.registered.insert(namespace.clone());
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A shard that nobody opened may be one of a Redis that lost everything, the registration included.
    fn note_opened(&self, namespace: &Namespace, is_opened: bool) {
        if !is_opened {
            self.registered.remove(namespace);
        }
    }

    /// Drops what is kept in mind of a namespace.
    pub(super) fn forgotten(&self, namespace: &Namespace) {
        self.registered.remove(namespace);
        self.used.remove(namespace);
        self.asked.remove(namespace);
        self.known.retain(|(of, _), _| of != namespace);
        self.scripts.retain(|(of, _), _| of != namespace);
    }

    fn refuse_eviction(info: &std::collections::HashMap<String, String>) -> Result<(), StoreError> {
        let value = |name: &str| info.get(name).map(String::as_str).unwrap_or_default();
        let policy = value("maxmemory_policy");
        if !policy.is_empty() && policy != "noeviction" {
            return Err(StoreError::Refused(format!(
                "Redis has maxmemory-policy {policy} and may drop archived counts at any time; set it to noeviction"
            )));
        }
        let number = |name: &str| value(name).parse::<u64>().unwrap_or(0);
        let (used, limit) = (number("used_memory"), number("maxmemory"));
        if limit > 0 && used > limit {
            return Err(StoreError::Full(format!(
                "Redis uses {used} bytes, more than its maxmemory of {limit}"
            )));
        }
        Ok(())
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn push(&self, namespace: &Namespace, push: &Push) -> Result<Answer, StoreError> {
        self.register(namespace).await?;
        let shard = ShardIndex(keys::shard_of(push.incarnation, self.settings.shards));
        let (judgement, rules) =
            self.door.judge(namespace, push, || self.descriptors_read(namespace, shard, push.incarnation));
        let call = self.script(namespace, shard).call(push, judgement);
        let reply = self.connection.run(&call).await?;
        let answer = parse_push_reply(&reply).map_err(of_reply)?;
        if let (Answer::Ok { .. }, Some(rules)) = (answer, rules) {
            self.door.remember(namespace, push.incarnation, rules);
        }
        self.note_opened(namespace, answer != Answer::Sealed);
        Ok(answer)
    }

    async fn shards(&self, namespace: &Namespace) -> Result<u16, StoreError> {
        self.agree(namespace).await?;
        Ok(self.settings.shards)
    }

    async fn snapshot(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
    ) -> Result<Arc<ShardSnapshot>, StoreError> {
        self.agree(namespace).await?;
        let (_, snapshot) = self.read(namespace, shard).await?;
        self.note_opened(namespace, snapshot.head.epoch.is_some());
        Ok(Arc::new(snapshot))
    }

    async fn commit(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
        commit: &Commit,
    ) -> Result<CommitOutcome, StoreError> {
        let call = CommitCall::call(namespace, shard.0, commit, rand::random());
        Ok(outcome(self.compare_and_set(&call).await?))
    }

    async fn advance_age(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
        expected: Instant,
        age: Instant,
    ) -> Result<CommitOutcome, StoreError> {
        let call = AdvanceAge::call(namespace, shard.0, expected, age);
        Ok(outcome(self.compare_and_set(&call).await?))
    }

    async fn restore(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
        memory: Option<&ShardSnapshot>,
        settle: Duration,
    ) -> Result<CommitOutcome, StoreError> {
        self.register(namespace).await?;
        self.restore_shard(namespace, shard, memory, settle).await
    }

    async fn namespaces(&self) -> Result<Vec<Namespace>, StoreError> {
        let mut names: BTreeSet<Namespace> = self.used.iter().map(|name| name.clone()).collect();
        match self.connection.members(keys::NAMESPACES).await {
            Ok(members) => names.extend(members.into_iter().filter_map(|name| Namespace::new(name).ok())),
            // Who has been asked for is all that is known then.
            Err(StoreError::Refused(_)) => names.extend(self.asked.iter().map(|name| name.clone())),
            // The node of a Cluster that holds the index is not needed for what is known already.
            Err(StoreError::Unavailable(_)) if !names.is_empty() => {}
            Err(cause) => return Err(cause),
        }
        Ok(names.into_iter().collect())
    }

    async fn check(&self) -> Result<(), StoreError> {
        // Those who only read ask the same shards.
        let namespace = self.used.iter().next().or_else(|| self.asked.iter().next()).map(|name| name.clone());
        let Some(namespace) = namespace else {
            return self
                .connection
                .info(&[keys::NAMESPACES.into()])
                .await?
                .iter()
                .try_for_each(Self::refuse_eviction);
        };
        let archive = |shard| keys::ShardKeys::new(&namespace, shard).archive();
        let mut used: Vec<String> = (0..self.settings.shards).map(archive).collect();
        used.push(keys::meta(&namespace));
        self.connection.info(&used).await?.iter().try_for_each(Self::refuse_eviction)?;
        for key in &used {
            self.connection.probe(key).await?;
        }
        Ok(())
    }
}

fn outcome(is_done: bool) -> CommitOutcome {
    if is_done { CommitOutcome::Committed } else { CommitOutcome::Conflict }
}

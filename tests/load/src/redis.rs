//! A Redis with an open, settled namespace.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use metrifold_model::Namespace;
use metrifold_redis::{Client, ClientSettings, RedisAddress};
use metrifold_store::{CommitOutcome, RedisSettings, RedisStore, ShardIndex, Store};
use metrifold_tests::Redis;

/// Longest wait for one command.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct LoadRedis {
    pub(crate) namespace: Namespace,
    redis: Redis,
}

impl LoadRedis {
    pub(crate) async fn start() -> Result<LoadRedis> {
        let redis = LoadRedis { namespace: Namespace::new("load")?, redis: Redis::start()? };
        let opened = redis.store()?.restore(&redis.namespace, ShardIndex(0), None, Duration::ZERO).await?;
        ensure!(opened == CommitOutcome::Committed, "a fresh Redis is opened");
        Ok(redis)
    }

    fn address(&self) -> Result<RedisAddress> {
        Ok(self.redis.url().parse()?)
    }

    /// A store that has read nothing yet.
    pub(crate) fn store(&self) -> Result<Arc<RedisStore>> {
        let settings = RedisSettings { command_timeout: LIMIT, ..RedisSettings::new(self.address()?) };
        Ok(Arc::new(RedisStore::connect(settings)?))
    }

    pub(crate) fn client(&self) -> Result<Client> {
        Ok(Client::new(ClientSettings::new(self.address()?))?)
    }

    /// A number that `INFO` names.
    pub(crate) fn info(&self, section: &str, name: &str) -> Result<f64> {
        let info = self.redis.command(&["INFO", section])?;
        let mut values = info.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(values.next().with_context(|| format!("no {name} in {info}"))?.parse()?)
    }

    /// Processor time that Redis has used, in seconds.
    pub(crate) fn cpu(&self) -> Result<f64> {
        Ok(self.info("cpu", "used_cpu_user")? + self.info("cpu", "used_cpu_sys")?)
    }
}

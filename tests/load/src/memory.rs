//! Bytes in Redis per worker and series.

use anyhow::Result;
use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    redis::LoadRedis,
    source::{LoadSource, descriptors},
};

pub(crate) const WORKERS: u64 = 1_024;
pub(crate) const SERIES: usize = 1_000;
const ALLOWED: f64 = 40.0;

/// Pushes of this many sources are under way at once.
const AT_ONCE: usize = 32;

/// Lets every source push once more.
pub(crate) async fn push_all(redis: &LoadRedis, sources: &mut [LoadSource]) -> Result<()> {
    let store = redis.store()?;
    let pushes = sources.iter_mut().map(|source| source.push(&store, &redis.namespace));
    stream::iter(pushes).buffer_unordered(AT_ONCE).try_collect().await
}

pub(crate) fn sources() -> Vec<LoadSource> {
    let descriptors = descriptors(SERIES);
    (0..WORKERS).map(|number| LoadSource::new(number, &descriptors)).collect()
}

pub(crate) async fn measure(redis: &LoadRedis) -> Result<()> {
    let before = redis.info("memory", "used_memory")?;
    let mut sources = sources();
    for _ in 0..2 {
        push_all(redis, &mut sources).await?;
    }
    let bytes = redis.info("memory", "used_memory")? - before;
    let each = bytes / (WORKERS as f64 * SERIES as f64);
    println!(
        "{WORKERS} workers of {SERIES} series take {each:.1} bytes per worker and series (at most {ALLOWED})"
    );
    Ok(())
}

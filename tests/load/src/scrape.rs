//! The time of a cold and of a warm scrape against reading the same bytes from Redis.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use bytes::Bytes;
use metrifold_exporter::{Exporter, ExporterSettings};
use metrifold_redis::Client;
use metrifold_redis::{RECORD_FIELDS, RECORD_HEADS, keys::ShardKeys};
use metrifold_telemetry::Metrics;
use prometheus::Registry;

use crate::{
    median,
    memory::{SERIES, WORKERS, push_all, sources},
    redis::{LIMIT, LoadRedis},
};

const ROUNDS: usize = 5;
const ALLOWED: f64 = 2.0;
/// Commands in one pipeline, as the store has it.
const BATCH: usize = 64;

pub(crate) async fn measure(redis: &LoadRedis) -> Result<()> {
    // The same sources as in Redis already, further on.
    let mut sources = sources();
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    let client = redis.client()?;
    let records = records(redis, &client).await?;
    ensure!(records.len() as u64 == WORKERS, "{} records", records.len());
    sources.iter_mut().for_each(|source| (0..2).for_each(|_| drop(source.next())));
    for _ in 0..ROUNDS {
        let settings = ExporterSettings {
            namespace: redis.namespace.clone(),
            settle: Duration::ZERO,
            ..ExporterSettings::default()
        };
        let exporter = Exporter::new(redis.store()?, settings, Metrics::register(&Registry::new())?);
        cold.push(timed(&exporter).await? / raw(&client, &records, &[&RECORD_FIELDS]).await?);
        push_all(redis, &mut sources).await?;
        // What a warm scrape reads: which have changed, and the values of those.
        let values = ["seq", "epoch", "seen", "ended", "dn", "dh", "vs", "worker", "v", "base"];
        warm.push(timed(&exporter).await? / raw(&client, &records, &[&RECORD_HEADS, &values]).await?);
    }
    for (name, ratios) in [("cold", cold), ("warm", warm)] {
        println!(
            "a {name} scrape takes {:.2} times a plain read of its bytes (at most {ALLOWED})",
            median(ratios)
        );
    }
    Ok(())
}

async fn timed(exporter: &Arc<Exporter>) -> Result<f64> {
    let began = Instant::now();
    let page = exporter.text(None).await.map_err(|error| anyhow::anyhow!("{error}"))?;
    let seconds = began.elapsed().as_secs_f64();
    let samples = page.iter().filter(|byte| **byte == b'\n').count();
    ensure!(samples > SERIES, "{samples} lines");
    Ok(seconds)
}

async fn records(redis: &LoadRedis, client: &Client) -> Result<Vec<String>> {
    let keys = ShardKeys::new(&redis.namespace, 0);
    let workers = keys.workers();
    let command = ["ZRANGE", &workers, "0", "-1"].map(|word| Bytes::copy_from_slice(word.as_bytes()));
    let names = client.command(&workers, command.to_vec(), LIMIT).await?;
    names.iter().map(|name| Ok(keys.record(std::str::from_utf8(name)?.parse()?))).collect()
}

/// Seconds that it takes to read these fields of all records, list by list.
async fn raw(client: &Client, records: &[String], lists: &[&[&str]]) -> Result<f64> {
    let began = Instant::now();
    for fields in lists {
        for batch in records.chunks(BATCH) {
            let command = |key: &String| {
                let words = ["HMGET", key.as_str()].into_iter().chain(fields.iter().copied());
                words.map(|word| Bytes::copy_from_slice(word.as_bytes())).collect()
            };
            client.commands(&batch[0], batch.iter().map(command).collect(), LIMIT).await?;
        }
    }
    Ok(began.elapsed().as_secs_f64())
}

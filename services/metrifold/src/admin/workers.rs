//! Who is there.

use std::{collections::BTreeMap, time::Duration};

use metrifold_model::{DescriptorList, Incarnation, Kind, Worker};
use metrifold_session::{ShardSnapshot, is_dead};
use metrifold_store::{ShardIndex, StoreError};

use super::{AdminError, access::Access};
use crate::{config::Settings, say};

const COLUMNS: [&str; 7] = ["STATE", "WORKER", "HOST", "PROCESS", "LAST PUSH", "SERIES", "BYTES"];

/// Prints one line per source: live, dead or folded, its incarnation, host and process, when it was last heard of (or
/// folded), its series, and the bytes that its record takes in Redis.
pub(crate) async fn workers(settings: Settings) -> Result<(), AdminError> {
    let access = Access::open(settings).await?;
    let mut rows = Vec::new();
    for shard in access.shards() {
        let snapshot = access.snapshot(shard).await?;
        let bytes = bytes(&access, shard, &snapshot).await?;
        rows.extend(rows_of(&snapshot, access.settings.ttl(), &bytes));
    }
    rows.sort_by(|one, other| {
        let key = |row: &Row| (row.state, row.host.clone(), row.process.clone(), row.source);
        key(one).cmp(&key(other))
    });
    table(&rows).iter().for_each(|line| say(line));
    let count = |state| rows.iter().filter(|row| row.state == state).count();
    say(&format!(
        "{} live, {} dead, {} folded in namespace {}",
        count(State::Live),
        count(State::Dead),
        count(State::Folded),
        access.namespace
    ));
    Ok(())
}

/// Bytes by source; none for a user who may not ask.
async fn bytes(
    access: &Access,
    shard: ShardIndex,
    snapshot: &ShardSnapshot,
) -> Result<BTreeMap<Incarnation, u64>, AdminError> {
    let sources: Vec<_> = snapshot.records.keys().copied().collect();
    match access.store.bytes(&access.namespace, shard, &sources).await {
        Ok(bytes) => Ok(sources.into_iter().zip(bytes).collect()),
        Err(StoreError::Refused(_)) => Ok(BTreeMap::new()),
        Err(cause) => Err(cause.into()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Live,
    Dead,
    Folded,
}

#[derive(Debug, PartialEq, Eq)]
struct Row {
    state: State,
    source: Incarnation,
    host: String,
    process: String,
    /// Since the last push, or since the fold.
    age: Duration,
    series: usize,
    bytes: Option<u64>,
}

fn rows_of(snapshot: &ShardSnapshot, ttl: Option<Duration>, bytes: &BTreeMap<Incarnation, u64>) -> Vec<Row> {
    let row = |state, source: &Incarnation, worker: &Worker, age, descriptors: &DescriptorList| Row {
        state,
        source: *source,
        host: worker.instance.clone(),
        process: worker.process.clone(),
        age,
        series: series(descriptors),
        bytes: bytes.get(source).copied(),
    };
    let records = snapshot.records.iter().map(|(source, record)| {
        let state = if is_dead(record, snapshot.now, ttl) { State::Dead } else { State::Live };
        row(state, source, &record.worker, snapshot.now.since(record.seen), &record.descriptors)
    });
    // One that came back has a tombstone too, for as long as that lasts.
    let folded = snapshot.tombstones.iter().filter(|(source, _)| !snapshot.records.contains_key(source));
    let folded = folded.map(|(source, tombstone)| {
        let age = snapshot.head.age.since(tombstone.folded);
        row(State::Folded, source, &tombstone.worker, age, &tombstone.descriptors)
    });
    records.chain(folded).collect()
}

/// Series as a scrape shows them: one per slot, and `_count`, which follows from the buckets.
fn series(descriptors: &DescriptorList) -> usize {
    let counts = descriptors.iter().filter(|of| of.kind == Kind::Histogram && of.sample.ends_with("_sum"));
    descriptors.len() + counts.count()
}

fn table(rows: &[Row]) -> Vec<String> {
    let cells = |row: &Row| {
        let state = match row.state {
            State::Live => "live",
            State::Dead => "dead",
            State::Folded => "folded",
        };
        // Whole seconds, or it would be longer than anybody reads.
        let age = Duration::from_secs(row.age.as_secs());
        let bytes = row.bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
        [
            state.to_owned(),
            row.source.to_string(),
            row.host.clone(),
            row.process.clone(),
            format!("{} ago", humantime::format_duration(age)),
            row.series.to_string(),
            bytes,
        ]
    };
    let lines: Vec<_> = std::iter::once(COLUMNS.map(str::to_owned)).chain(rows.iter().map(cells)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 7] = std::array::from_fn(width);
    let padded = |line: &[String; 7]| {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(padded).collect()
}

//! Who is there.

use std::{collections::BTreeMap, time::Duration};

use metrifold_model::Incarnation;
use metrifold_session::{ShardSnapshot, SourceRow, SourceState, sort_sources, source_rows};
use metrifold_store::{ShardIndex, StoreError};

use crate::{AdminError, AdminSettings, access::Access};

const COLUMNS: [&str; 7] = ["STATE", "WORKER", "HOST", "PROCESS", "LAST PUSH", "SERIES", "BYTES"];

/// One line per source: live, dead or folded, its incarnation, host and process, when it was last heard of (or
/// folded), its series, and the bytes that its record takes in Redis; and a line with their numbers.
///
/// # Errors
/// See [`AdminError`].
pub async fn workers(settings: AdminSettings) -> Result<String, AdminError> {
    let access = Access::open(settings).await?;
    let mut sources = Vec::new();
    let mut sizes = BTreeMap::new();
    for shard in access.shards() {
        let snapshot = access.snapshot(shard).await?;
        sizes.extend(bytes(&access, shard, &snapshot).await?);
        sources.extend(source_rows(&snapshot, access.settings.ttl));
    }
    sort_sources(&mut sources);
    let count = |state| sources.iter().filter(|row| row.state == state).count();
    let [live, dead, folded] = SourceState::ALL.map(count);
    let rows: Vec<Row> = sources
        .into_iter()
        .map(|row| {
            let bytes = sizes.get(&row.source).copied();
            (row, bytes)
        })
        .collect();
    let mut lines = table(&rows);
    lines.push(format!("{live} live, {dead} dead, {folded} folded in namespace {}", access.namespace));
    Ok(lines.join("\n"))
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

/// A source, and the bytes that its record takes in Redis.
type Row = (SourceRow, Option<u64>);

fn table(rows: &[Row]) -> Vec<String> {
    let cells = |(row, bytes): &Row| {
        // Whole seconds, or it would be longer than anybody reads.
        let age = Duration::from_secs(row.age.as_secs());
        [
            row.state.name().to_owned(),
            row.source.to_string(),
            row.worker.instance.clone(),
            row.worker.process.clone(),
            format!("{} ago", humantime::format_duration(age)),
            row.series.to_string(),
            bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string()),
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

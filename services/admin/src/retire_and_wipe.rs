//! Orders: retire, wipe.

use std::sync::Arc;

use metrifold_model::Incarnation;
use metrifold_session::{Record, ShardSnapshot, retire as retirement, wipe as emptiness};
use metrifold_store::ShardIndex;

use crate::{AdminError, AdminSettings, Choice, access::Access};

/// Sources folded in one step. Few, because one that pushes meanwhile spoils the step.
const BATCH: usize = 16;

/// Folds the chosen sources now; says how many.
///
/// # Errors
/// See [`AdminError`].
pub async fn retire(settings: AdminSettings, choice: &Choice) -> Result<String, AdminError> {
    let access = Access::open(settings).await?;
    let mut retired = 0;
    for shard in access.shards() {
        let snapshot = access.settled(shard).await?;
        retired += fold(&access, shard, &chosen(&snapshot, choice)).await?;
    }
    Ok(format!(
        "{retired} sources of namespace {} are folded; any that is still alive comes back with its next push",
        access.namespace
    ))
}

/// Folds everything, then forgets it all; says so. Without `is_meant` it says what would be forgotten, as an error; with
/// `forget` the keys of the emptied namespace go too.
///
/// # Errors
/// See [`AdminError`].
pub async fn wipe(settings: AdminSettings, is_meant: bool, forget: bool) -> Result<String, AdminError> {
    let access = Access::open(settings).await?;
    if !is_meant {
        let (mut records, mut tombstones) = (0, 0);
        for shard in access.shards() {
            let snapshot = access.snapshot(shard).await?;
            records += snapshot.records.len();
            tombstones += snapshot.tombstones.len();
        }
        let held = format!("{records} sources, {tombstones} tombstones and what the archive has summed up");
        return Err(AdminError::Unconfirmed { namespace: access.namespace, held });
    }
    for shard in access.shards() {
        let everybody: Vec<_> = access.settled(shard).await?.records.keys().copied().collect();
        fold(&access, shard, &everybody).await?;
        access.change(shard, |snapshot| Some(emptiness(snapshot))).await?;
    }
    if forget {
        access.store.forget(&access.namespace).await?;
    }
    Ok(format!("namespace {} is empty", access.namespace))
}

async fn fold(access: &Access, shard: ShardIndex, sources: &[Incarnation]) -> Result<usize, AdminError> {
    let mut folded = 0;
    let policy = &access.settings.archive;
    for batch in sources.chunks(BATCH) {
        folded += access.change(shard, |snapshot| retirement(snapshot, batch, policy)).await?;
    }
    Ok(folded)
}

fn chosen(snapshot: &ShardSnapshot, choice: &Choice) -> Vec<Incarnation> {
    let is_chosen = |(source, record): &(&Incarnation, &Arc<Record>)| {
        if !choice.sources.is_empty() {
            return choice.sources.contains(source);
        }
        choice.host.as_ref().is_none_or(|host| record.worker.instance == *host)
            && choice.silent_for.is_none_or(|span| snapshot.now.apart(record.seen) >= span)
    };
    snapshot.records.iter().filter(is_chosen).map(|(source, _)| *source).collect()
}

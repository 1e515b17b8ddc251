//! What the suites of this folder share: stores, and totals.

#![allow(dead_code, reason = "each suite uses its part")]

pub(crate) mod fragile;

use std::sync::Arc;

use anyhow::Result;
use metrifold_merge::{MergeOptions, merge};
use metrifold_model::Namespace;
use metrifold_store::{EmbeddedSettings, EmbeddedStore, ShardIndex, Store};

pub(crate) fn store() -> Result<Arc<EmbeddedStore>> {
    Ok(Arc::new(EmbeddedStore::open(EmbeddedSettings::default())?))
}

/// The merged counter, and how many sources are live.
pub(crate) async fn total(store: &dyn Store) -> Result<(f64, usize)> {
    let snapshot = store.snapshot(&Namespace::default(), ShardIndex(0)).await?;
    let live = snapshot.records.values().filter(|record| !record.ended).count();
    let view = merge(&[snapshot], &MergeOptions::default());
    let total =
        view.families.first().and_then(|family| family.samples().next()).map_or(0.0, |sample| sample.value);
    Ok((total, live))
}

//! The embedded store keeps the promises of a store, with and without a data directory.

use std::ops::Deref;

use metrifold_store::{EmbeddedSettings, EmbeddedStore, Store, conformance};
use tempfile::TempDir;

struct Fresh {
    store: EmbeddedStore,
    _directory: Option<TempDir>,
}

impl Deref for Fresh {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        &self.store
    }
}

fn fresh(directory: Option<TempDir>, sources_max: usize) -> Fresh {
    let data_dir = directory.as_ref().map(|directory| directory.path().to_owned());
    let settings = EmbeddedSettings { data_dir, sources_max };
    Fresh { store: EmbeddedStore::open(settings).expect("the store opens"), _directory: directory }
}

async fn in_memory() -> Fresh {
    fresh(None, 1000)
}

async fn in_a_directory() -> Fresh {
    fresh(Some(tempfile::tempdir().expect("a temporary directory")), 1000)
}

mod memory {
    metrifold_store::conformance_suite!(super::in_memory);
}

mod data_dir {
    metrifold_store::conformance_suite!(super::in_a_directory);
}

#[tokio::test]
async fn sources_are_bounded() {
    conformance::sources_are_bounded(&*fresh(None, 3), 3).await;
}

#[tokio::test]
async fn a_data_directory_changes_no_decision() {
    for seed in 1..=5 {
        let directory = tempfile::tempdir().expect("a temporary directory");
        conformance::both_decide_alike(&*fresh(None, 1000), &*fresh(Some(directory), 1000), seed, 150).await;
    }
}

//! What a pusher gathers from.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{SystemTime, UNIX_EPOCH},
};

use metrifold_model::{DescriptorList, Values};
use metrifold_segment::Recorder;
use prometheus::Registry;

use crate::snapshot::{LeftOut, Snapshot};

/// Where values come from.
pub(crate) enum Origin {
    /// An ordinary registry, copied at every gather.
    Registry { registry: Registry, snapshot: Box<Snapshot> },
    /// Slots that the application writes itself.
    Recorder(Recorder),
}

/// A collector of the application panicked: the values of the gather before stand.
#[derive(Debug, thiserror::Error)]
#[error("a collector in the registry panicked while it was gathered; the values of the gather before stand")]
pub(crate) struct GatherPanic;

impl Origin {
    /// The values of now.
    pub(crate) fn gather(&mut self) -> (DescriptorList, Values, Result<(), GatherPanic>) {
        match self {
            Origin::Registry { registry, snapshot } => {
                let gathered = gather(registry).map(|families| snapshot.take(&families, unix_seconds()));
                (snapshot.descriptors().clone(), snapshot.values().clone(), gathered)
            }
            Origin::Recorder(recorder) => {
                let (descriptors, values) = recorder.snapshot();
                (descriptors, values, Ok(()))
            }
        }
    }

    /// What was left out so far.
    pub(crate) fn left_out(&self) -> Vec<LeftOut> {
        match self {
            Origin::Registry { snapshot, .. } => snapshot.left_out(),
            Origin::Recorder(_) => Vec::new(),
        }
    }
}

/// Gathers a registry whose collectors are the application's code, which may panic.
pub(crate) fn gather(registry: &Registry) -> Result<Vec<prometheus::proto::MetricFamily>, GatherPanic> {
    catch_unwind(AssertUnwindSafe(|| registry.gather())).map_err(|_| GatherPanic)
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

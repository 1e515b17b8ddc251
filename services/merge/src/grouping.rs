//! Labels of workers beside those of their series.
//!
//! A series' own label stands before its worker's of the same name: it tells series of one worker apart, which a view may
//! not mix.

use metrifold_model::{LabelNames, Labels, WORKER_LABEL_PREFIX};

/// The labels under which a worker's series is shown; `group` are those of the worker's that the view keeps.
pub(crate) fn of_worker(labels: &Labels, group: &Labels) -> Labels {
    let mut shown = own(labels);
    group.iter().for_each(|(name, value)| offer(&mut shown, name, value));
    shown
}

/// The labels under which an archived series is shown in a view that keeps the labels `group_by` of workers.
pub(crate) fn of_archived(labels: &Labels, group_by: &LabelNames) -> Labels {
    let mut shown = own(labels);
    for (name, value) in labels.iter() {
        if let Some(name) = name.strip_prefix(WORKER_LABEL_PREFIX).filter(|name| group_by.contains(name)) {
            offer(&mut shown, name, value);
        }
    }
    shown
}

/// Without those names that are the archive's.
fn own(labels: &Labels) -> Labels {
    let is_own = |name: &str| !name.starts_with(WORKER_LABEL_PREFIX);
    match labels.iter().all(|(name, _)| is_own(name)) {
        true => labels.clone(),
        false => Labels::new(labels.iter().filter(|(name, _)| is_own(name))),
    }
}

fn offer(labels: &mut Labels, name: &str, value: &str) {
    if labels.get(name).is_none() {
        labels.set(name, value);
    }
}

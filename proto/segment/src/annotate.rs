//! What a segment says of its slots besides their values, as the model has it.

use metrifold_model::{Annotations, Kind, MergeMode, Presence};

/// Until the year 10889; beyond it the number is none of ours.
const MILLISECONDS_MAX: f64 = (1_u64 << 48) as f64;

/// Whether a slot's second number is when it began to count, and not the time stamp of its value.
pub(crate) fn has_created(kind: Kind) -> bool {
    kind.merge_mode() == MergeMode::Sum
}

/// Appends what is known of the next slot, the one at `index`.
pub(crate) fn annotate(
    annotations: &mut Annotations,
    index: usize,
    kind: Kind,
    second_number: f64,
    presence: Option<Presence>,
) {
    if has_created(kind) {
        // Slots between without a time have 0.
        annotations.created.resize(index, 0);
        annotations.created.push(milliseconds(second_number));
    }
    annotations.presence.extend(presence.map(|presence| (index, presence)));
}

/// Unix seconds in milliseconds; 0 for what is no time.
pub(crate) fn milliseconds(seconds: f64) -> u64 {
    let milliseconds = (seconds * 1_000.0).round();
    // NaN compares as neither.
    if milliseconds > 0.0 && milliseconds < MILLISECONDS_MAX { milliseconds as u64 } else { 0 }
}

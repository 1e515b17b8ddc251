//! What every store must do, as functions over a [`Store`](crate::Store) that nobody used before.
//!
//! [`conformance_suite!`](crate::conformance_suite) makes a test of each. They panic where a promise is broken.

mod concurrent;
mod differential;
mod fold;
mod push;
mod source;

pub use concurrent::{a_snapshot_never_falls_between_two_commits, two_stores_over_the_same_contents};
pub use differential::both_decide_alike;
pub use fold::{
    a_commit_is_refused_if_anything_changed, a_folded_source_comes_back_without_being_counted_twice,
    a_settled_shard_is_not_restored, an_ended_source_is_acknowledged_for_ever,
    the_age_clock_is_set_only_from_where_it_stands, tombstones_go_when_trimmed,
};
pub use push::{
    a_namespace_is_known_after_its_first_push, a_source_that_the_store_forgot_is_expired,
    a_source_that_the_store_lost_is_taken_with_its_base, descriptors_only_grow,
    numbers_decide_what_is_stored, sources_are_bounded, unchanged_needs_what_it_refers_to,
    values_that_no_slot_may_hold_are_refused, what_belongs_to_no_slot_is_refused,
    what_breaks_a_limit_is_refused,
};
pub use source::{TestSource, open, snapshot, total};

/// Makes a test of every function of the suite. `$fresh` is an async function that returns a guard which dereferences to a
/// fresh store.
#[macro_export]
macro_rules! conformance_suite {
    ($fresh:path) => {
        $crate::conformance_suite!($fresh:
            a_commit_is_refused_if_anything_changed,
            a_folded_source_comes_back_without_being_counted_twice,
            a_namespace_is_known_after_its_first_push,
            a_settled_shard_is_not_restored,
            a_snapshot_never_falls_between_two_commits,
            a_source_that_the_store_forgot_is_expired,
            a_source_that_the_store_lost_is_taken_with_its_base,
            an_ended_source_is_acknowledged_for_ever,
            descriptors_only_grow,
            numbers_decide_what_is_stored,
            the_age_clock_is_set_only_from_where_it_stands,
            tombstones_go_when_trimmed,
            unchanged_needs_what_it_refers_to,
            values_that_no_slot_may_hold_are_refused,
            what_belongs_to_no_slot_is_refused,
            what_breaks_a_limit_is_refused,
        );
    };
    ($fresh:path: $($name:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let store = $fresh().await;
                $crate::conformance::$name(&*store).await;
            }
        )*
    };
}

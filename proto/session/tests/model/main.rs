//! Every interleaving of push, fold, trim, loss and restore, of the production machines.
//!
//! The world of [`world`] is small (one or two sources that count to 2 or 3, two servers of which the first is also an
//! exporter, one shard), but everything in it happens in every order that a budget of faults allows. What the pushers,
//! the store and the reapers decide is decided by the crate's own machines, called through [`rules`]; the mutants there
//! break one rule each, and must be found.
//!
//! Assumptions that the model makes, and the design with it:
//! - No message lives longer than a tombstone: trimming an incarnation drops its messages.
//! - A pusher with an unanswered push gives its incarnation up before its tombstone is trimmed (after half its lifetime).
//! - One holder of a source at a time, and the next one starts at a later instant of the same clock; a holder loses its
//!   place (not just its process) only while its first incarnation is in use and its tombstone is not trimmed.
//! - A server visits a restored shard within `store.settle`; `late servers` are explored without it.
//!
//! `METRIFOLD_MODEL=slow` widens every budget by one fault.

#![expect(unreachable_pub, reason = "a test binary has no public items")]
#![expect(
    clippy::disallowed_methods,
    reason = "the exploration reads its size from the environment and times itself"
)]

mod faults;
mod pushers;
mod rules;
mod truth;
mod world;

use stateright::{Checker, Model};

use crate::{faults::Faults, rules::Rules, world::Universe};

fn explore(name: &str, faults: Faults) {
    let faults = faults.widened(std::env::var("METRIFOLD_MODEL").is_ok_and(|value| value == "slow"));
    let started = std::time::Instant::now();
    let checker = Universe { faults, rules: Rules::production() }
        .checker()
        .finish_when(stateright::HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    eprintln!(
        "{name}: {} states, {} unique, depth {}, {:.1?}",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth(),
        started.elapsed()
    );
    checker.assert_properties();
}

fn is_caught(rules: Rules, faults: Faults, broken: &[&'static str]) {
    let checker = Universe { faults, rules }
        .checker()
        .finish_when(stateright::HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let found: Vec<_> = checker.discoveries().into_keys().collect();
    assert!(
        broken.iter().any(|name| found.contains(name)),
        "the mutation went unnoticed; found only {found:?}"
    );
}

#[test]
fn without_faults() {
    let faults = Faults { sources: 2, counts: 2, ..Faults::none() };
    explore("no fault", faults);
}

#[test]
fn lossy_network() {
    let faults = Faults {
        counts: 2,
        network_max: 2,
        losses: 1,
        duplicates: 1,
        late_answers: 1,
        timeouts: 1,
        ..Faults::none()
    };
    explore("loss, duplication, delay", faults);
}

#[test]
fn wrong_time_outs() {
    let faults = Faults { counts: 2, reads: 2, timeouts: 3, losses: 1, idle: 1, ..Faults::none() };
    explore("wrong time-outs", faults);
}

#[test]
fn racing_reapers() {
    let faults = Faults { counts: 2, servers: 2, timeouts: 2, racing_reapers: true, ..Faults::none() };
    explore("racing reapers", faults);
}

#[test]
fn finals_by_a_holder() {
    let faults = Faults { counts: 2, network_max: 2, swaps: 1, losses: 1, timeouts: 1, ..Faults::none() };
    explore("finals by a holder that was replaced", faults);
}

#[test]
fn finals_by_the_third_holder() {
    let faults = Faults { counts: 1, network_max: 3, swaps: 2, timeouts: 1, ..Faults::none() };
    explore("finals by a holder that was replaced twice", faults);
}

#[test]
fn a_holder_that_lost_its_place() {
    let faults =
        Faults { counts: 2, network_max: 2, lost_places: 1, losses: 1, timeouts: 1, ..Faults::none() };
    explore("a holder that lost its place", faults);
}

#[test]
fn a_place_lost_twice() {
    let faults = Faults { counts: 2, network_max: 3, lost_places: 2, ..Faults::none() };
    explore("a place lost twice, three messages under way", faults);
}

#[test]
fn sources_killed_without_a_holder() {
    let faults =
        Faults { counts: 2, network_max: 2, kills: 1, losses: 1, timeouts: 1, idle: 1, ..Faults::none() };
    explore("sources killed without a holder", faults);
}

#[test]
fn giving_up() {
    let faults = Faults { counts: 2, give_ups: 1, losses: 1, timeouts: 1, ..Faults::none() };
    explore("giving up", faults);
}

#[test]
fn giving_up_twice() {
    let faults = Faults { counts: 1, give_ups: 2, losses: 1, ..Faults::none() };
    explore("giving up twice", faults);
}

#[test]
fn trimming() {
    let faults = Faults { counts: 2, network_max: 2, give_ups: 1, timeouts: 1, trims: 1, ..Faults::none() };
    explore("trimming", faults);
}

#[test]
fn an_incarnation_trimmed_under_a_quiet_pusher() {
    let faults = Faults { counts: 2, timeouts: 2, trims: 2, trims_quiet: true, losses: 1, ..Faults::none() };
    explore("expired", faults);
}

#[test]
fn total_loss_with_two_restorers() {
    let faults = Faults { counts: 1, servers: 2, reads: 3, store_losses: 1, timeouts: 1, ..Faults::none() };
    explore("total loss, two restorers with old memories", faults);
}

#[test]
fn total_loss_after_three_steps() {
    let faults = Faults { counts: 3, reads: 2, store_losses: 1, timeouts: 1, ..Faults::none() };
    explore("total loss, a memory of up to three steps before", faults);
}

#[test]
fn total_loss_twice() {
    let faults = Faults { counts: 1, servers: 2, reads: 2, store_losses: 2, ..Faults::none() };
    explore("total loss, twice", faults);
}

#[test]
fn roll_back_by_several_steps() {
    let faults = Faults { counts: 2, reads: 1, saves: 1, store_losses: 1, timeouts: 1, ..Faults::none() };
    explore("roll-back by several steps", faults);
}

#[test]
fn roll_back_with_two_restorers() {
    let faults = Faults { counts: 1, servers: 2, reads: 2, saves: 1, store_losses: 1, ..Faults::none() };
    explore("roll-back, two restorers", faults);
}

#[test]
fn loss_of_the_store_and_of_messages() {
    let faults = Faults {
        counts: 1,
        network_max: 2,
        reads: 2,
        store_losses: 1,
        losses: 1,
        duplicates: 1,
        ..Faults::none()
    };
    explore("store and messages lost", faults);
}

#[test]
fn loss_of_the_store_around_a_trim() {
    let faults =
        Faults { counts: 1, reads: 2, store_losses: 1, give_ups: 1, timeouts: 1, trims: 1, ..Faults::none() };
    explore("store lost around a trim", faults);
}

#[test]
fn loss_of_the_store_and_of_the_holders_place() {
    let faults =
        Faults { counts: 1, network_max: 2, reads: 1, store_losses: 1, lost_places: 1, ..Faults::none() };
    explore("store and place lost", faults);
}

#[test]
fn two_sources_and_racing_reapers() {
    let faults = Faults { sources: 2, counts: 1, timeouts: 1, racing_reapers: true, ..Faults::none() };
    explore("two sources, racing reapers", faults);
}

#[test]
fn late_servers() {
    let faults = Faults {
        counts: 1,
        servers: 2,
        reads: 2,
        store_losses: 1,
        timeouts: 1,
        late_servers: true,
        ..Faults::none()
    };
    explore("a server that comes after the shard has settled", faults);
}

#[test]
fn mutant_that_accepts_a_lower_number_is_caught() {
    let faults = Faults { counts: 2, reads: 2, network_max: 2, duplicates: 1, ..Faults::none() };
    is_caught(Rules::accepting_lower(), faults, &[truth::MONOTONE, truth::EXACT, truth::TRUTH]);
}

#[test]
fn mutant_that_accepts_the_expired_is_caught() {
    let faults = Faults { counts: 2, timeouts: 1, trims: 1, trims_quiet: true, ..Faults::none() };
    is_caught(Rules::accepting_expired(), faults, &[truth::TRUTH, truth::EXACT]);
}

#[test]
fn mutant_that_forgets_the_base_is_caught() {
    let faults = Faults { counts: 2, timeouts: 1, ..Faults::none() };
    is_caught(Rules::forgetting_base(), faults, &[truth::TRUTH, truth::EXACT]);
}

#[test]
fn mutant_that_writes_before_an_epoch_is_caught() {
    let faults =
        Faults { counts: 2, servers: 2, reads: 3, store_losses: 1, timeouts: 1, saves: 1, ..Faults::none() };
    is_caught(Rules::writing_before_an_epoch(), faults, &[truth::TRUTH, truth::EPOCH]);
}

#[test]
fn mutant_that_folds_without_comparing_seq_is_caught() {
    let faults = Faults { counts: 2, timeouts: 1, reads: 2, racing_reapers: true, ..Faults::none() };
    is_caught(Rules::folding_blindly(), faults, &[truth::MONOTONE, truth::EXACT, truth::TRUTH]);
}

#[test]
fn mutant_that_trims_without_the_age_clock_is_caught() {
    let faults = Faults {
        counts: 1,
        network_max: 2,
        duplicates: 2,
        timeouts: 1,
        trims: 1,
        trims_early: true,
        ..Faults::none()
    };
    is_caught(Rules::production(), faults, &[truth::TRUTH, truth::EXACT]);
}

#[test]
fn mutant_that_restores_whatever_it_finds_is_caught() {
    let faults =
        Faults { counts: 2, timeouts: 1, servers: 2, reads: 3, idle: 1, store_losses: 1, ..Faults::none() };
    is_caught(Rules::restoring_without_bases(), faults, &[truth::TRUTH, truth::EXACT]);
}

#[test]
fn a_place_lost_in_the_same_instant_is_caught() {
    let faults = Faults { counts: 2, network_max: 2, lost_places: 1, clock_stands: true, ..Faults::none() };
    is_caught(Rules::production(), faults, &[truth::EXACT, truth::MONOTONE]);
}

//! Row 10: a random schedule of the faults of all other rows, from a seed: on one server, a Cluster, and behind Sentinel.
//!
//! `FAULTS_SEED` (default 1; `FAULTS_SEED=$RANDOM` looks for trouble) and `FAULTS_ROUNDS` choose it.

mod anywhere;
mod cluster;
mod sentinel;
mod server;

use std::{fmt::Debug, time::Duration};

use anyhow::{Context, Result};
use metrifold_tests::contained;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use crate::{
    absence::Absence,
    stack::{Linked, Settings, Stack, TTL},
};

/// How long a fault that has no end of its own is held.
const HELD: Duration = Duration::from_secs(3);

/// Where the stack keeps its metrics, and what can befall that.
trait Place {
    type Fault: Copy + Debug;

    /// What can befall this place, workers and servers apart.
    fn faults(&self) -> Vec<Self::Fault>;

    /// Strikes, and returns when the fault is over.
    fn strike(&mut self, fault: Self::Fault, random: &mut StdRng, stack: &mut Stack) -> Result<()>;

    /// Longest time without a view that a fault of this place explains by itself.
    const OUTAGE_MAX: Duration;
}

fn number(name: &str) -> Result<Option<u64>> {
    let text = std::env::var(name).ok();
    text.map(|text| text.parse().with_context(|| format!("{name}={text} is no number"))).transpose()
}

/// Settings that a seed chooses too: whether workers live in containers, and who reaches the collectors by links.
fn settings(url: &str, random: &mut StdRng) -> Settings {
    let contained = random.random_bool(0.5) && contained("probe", "true".as_ref()).is_some();
    let linked = *[Linked::Workers, Linked::Agent].choose(random).expect("there are two");
    Settings { contained, linked: vec![linked], ..Settings::new(url) }
        .set("METRIFOLD_WORKERS__HOST_LABEL", "true")
}

/// Half of the faults befall workers, servers and their links, the others the place.
fn run<P: Place>(rounds: u64, start: impl FnOnce(&mut StdRng) -> Result<(P, Stack)>) -> Result<()> {
    let seed = number("FAULTS_SEED")?.unwrap_or(1);
    let rounds = number("FAULTS_ROUNDS")?.unwrap_or(rounds);
    println!("FAULTS_SEED={seed} FAULTS_ROUNDS={rounds}");
    let mut random = StdRng::seed_from_u64(seed);
    let (mut place, mut stack) = start(&mut random)?;
    for round in 0..rounds {
        let of_place = random.random_bool(0.5).then(|| place.faults().choose(&mut random).copied()).flatten();
        let fault = match of_place {
            Some(fault) => {
                println!("round {round}: {fault:?}");
                place.strike(fault, &mut random, &mut stack).with_context(|| format!("{fault:?}"))?;
                format!("{fault:?}")
            }
            None => {
                let fault = anywhere::choose(&mut random);
                println!("round {round}: {fault:?}");
                anywhere::strike(fault, &mut random, &mut stack).with_context(|| format!("{fault:?}"))?;
                format!("{fault:?}")
            }
        };
        if random.random_bool(0.5) {
            stack.wait_until_all_go_on().with_context(|| format!("after {fault}"))?;
        }
    }
    stack.wait_until_all_go_on()?;
    let outage = Absence::refused(TTL + P::OUTAGE_MAX);
    stack.finish(Absence::RESTORED + Absence::RESTORED + Absence::RESTARTED + outage)
}

//! Row 10: a random schedule of the faults of all other rows, from a seed: on one server, a Cluster, and behind Sentinel.
//! In each round one or two faults last for some time, side by side.
//!
//! `FAULTS_SEED` (default 1; `FAULTS_SEED=$RANDOM` looks for trouble) and `FAULTS_ROUNDS` choose it.

mod anywhere;
mod cluster;
mod sentinel;
mod server;

use std::{
    fmt::Debug,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use metrifold_tests::contained;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use crate::{
    absence::{self, Absence},
    stack::{Linked, Settings, Stack},
};

/// How long faults are held, if they do not need longer: above the time to live of a source.
const HELD: Duration = Duration::from_secs(3);
const TTL: Duration = Duration::from_secs(2);
/// Within this every source is heard of again that was stopped or cut off when the store was lost: what it is held, its
/// longest pause, which is half of this, and as much as that again for two slow cores.
const SETTLE: Duration = Duration::from_secs(10);
/// [`Absence::RESTORED`] with that.
const RESTORED: Absence =
    Absence::refused(Absence::RESTORED.refused_max().saturating_add(SETTLE).saturating_sub(absence::SETTLE));

/// Where the stack keeps its metrics, and what can befall that.
trait Place {
    type Fault: Copy + Debug;

    /// What can befall this place, workers and servers apart.
    fn choose(&self, random: &mut StdRng) -> Self::Fault;

    /// Comes before all faults of a round.
    fn prepare(&mut self, fault: Self::Fault) -> Result<()>;

    /// Strikes, when all servers that run have read what the dead, the stopped and the cut off left.
    fn begin(&mut self, fault: Self::Fault, random: &mut StdRng) -> Result<()>;

    /// Returns when the fault is over.
    fn end(&mut self, fault: Self::Fault) -> Result<()>;

    /// How long there may be no view because of a fault that lasted so long.
    fn absence(&self, fault: Self::Fault, held: Duration) -> Absence;
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
        .set("METRIFOLD_WORKERS__TTL", &format!("{}s", TTL.as_secs()))
        .set("METRIFOLD_STORE__SETTLE", &format!("{}s", SETTLE.as_secs()))
}

/// What befalls the stack at one time: one or two faults, at most one of them of the place.
struct Round<P: Place> {
    anywhere: Vec<anywhere::Fault>,
    of_place: Option<P::Fault>,
}

impl<P: Place> Round<P> {
    fn choose(random: &mut StdRng, place: &P, stack: &Stack) -> Round<P> {
        let of_place = random.random_bool(0.7).then(|| place.choose(random));
        let count = random.random_range(0..=1) + usize::from(of_place.is_none());
        Round { anywhere: anywhere::choose(random, count, stack), of_place }
    }

    /// Returns for how long there may have been no view.
    fn strike(&self, random: &mut StdRng, place: &mut P, stack: &mut Stack) -> Result<Absence> {
        self.of_place.map_or(Ok(()), |fault| place.prepare(fault))?;
        let began = Instant::now();
        self.anywhere.iter().try_for_each(|fault| anywhere::begin(*fault, stack))?;
        if let Some(fault) = self.of_place {
            stack.wait_until_remembered()?;
            place.begin(fault, random)?;
        }
        thread::park_timeout(HELD);
        self.anywhere.iter().try_for_each(|fault| anywhere::end(*fault, stack))?;
        let of_anywhere = self.anywhere.iter().map(|fault| anywhere::absence(*fault, began.elapsed()));
        let sum = of_anywhere.fold(Absence::NONE, |sum, absence| sum + absence);
        let Some(fault) = self.of_place else { return Ok(sum) };
        place.end(fault)?;
        Ok(sum + place.absence(fault, began.elapsed()))
    }
}

/// After some rounds everything goes on before the next one, after others it does not.
fn run<P: Place>(rounds: u64, start: impl FnOnce(&mut StdRng) -> Result<(P, Stack)>) -> Result<()> {
    let seed = number("FAULTS_SEED")?.unwrap_or(1);
    let rounds = number("FAULTS_ROUNDS")?.unwrap_or(rounds);
    println!("FAULTS_SEED={seed} FAULTS_ROUNDS={rounds}");
    let mut random = StdRng::seed_from_u64(seed);
    let (mut place, mut stack) = start(&mut random)?;
    let mut absence = Absence::NONE;
    for number in 0..rounds {
        let round = Round::choose(&mut random, &place, &stack);
        let faults = format!("round {number}: {:?} and {:?}", round.of_place, round.anywhere);
        println!("{faults}");
        absence =
            absence + round.strike(&mut random, &mut place, &mut stack).with_context(|| faults.clone())?;
        if random.random_bool(0.5) || number + 1 == rounds {
            stack.wait_until_all_go_on().with_context(|| faults.clone())?;
            stack.demand_view(absence).with_context(|| faults.clone())?;
            absence = Absence::NONE;
        }
    }
    stack.finish(Absence::NONE)
}

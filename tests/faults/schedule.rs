//! Row 10: a random schedule of faults, from a seed.
//!
//! `FAULTS_SEED` (default 1; `FAULTS_SEED=$RANDOM` looks for trouble) and `FAULTS_ROUNDS` (default 6) choose it.

use anyhow::{Context, Result};
use metrifold_tests::Redis;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use rustix::process::Signal;

use crate::stack::{REFUSED_MAX, Stack, TTL, on_redis};

/// One fault. Those that lose acknowledged pushes of Redis come when all servers have read what the dead left.
#[derive(Clone, Copy, Debug)]
enum Fault {
    KillWorker,
    PauseWorker,
    KillCollector,
    KillExporter,
    KillAgent,
    KillRedis,
    PauseRedis,
    Flush,
}

const FAULTS: [Fault; 8] = [
    Fault::KillWorker,
    Fault::PauseWorker,
    Fault::KillCollector,
    Fault::KillExporter,
    Fault::KillAgent,
    Fault::KillRedis,
    Fault::PauseRedis,
    Fault::Flush,
];

fn number(name: &str) -> Result<Option<u64>> {
    let text = std::env::var(name).ok();
    text.map(|text| text.parse().with_context(|| format!("{name}={text} is no number"))).transpose()
}

fn strike(fault: Fault, random: &mut StdRng, redis: &mut Redis, stack: &mut Stack) -> Result<()> {
    let (worker, server) = (random.random_range(0..stack.workers.len()), random.random_range(0..2));
    match fault {
        Fault::KillWorker => stack.kill_worker(worker),
        Fault::PauseWorker => {
            let worker = &stack.workers[worker];
            worker.signal(Signal::STOP)?;
            std::thread::park_timeout(TTL * 2);
            worker.signal(Signal::CONT)
        }
        Fault::KillCollector => Stack::restart(&mut stack.collectors[server]),
        Fault::KillExporter => Stack::restart(&mut stack.exporters[server]),
        Fault::KillAgent => Stack::restart(&mut stack.agent),
        Fault::KillRedis => {
            stack.wait_until_remembered()?;
            redis.kill()?;
            redis.start_again()
        }
        Fault::PauseRedis => {
            redis.process().signal(Signal::STOP)?;
            std::thread::park_timeout(TTL);
            redis.process().signal(Signal::CONT)
        }
        Fault::Flush => {
            stack.wait_until_remembered()?;
            redis.command(&["FLUSHALL"]).map(drop)
        }
    }
}

#[test]
fn any_schedule_of_faults_ends_exact() -> Result<()> {
    let seed = number("FAULTS_SEED")?.unwrap_or(1);
    let rounds = number("FAULTS_ROUNDS")?.unwrap_or(6);
    println!("FAULTS_SEED={seed} FAULTS_ROUNDS={rounds}");
    let mut random = StdRng::seed_from_u64(seed);
    let (mut redis, mut stack) = on_redis(&["--appendonly", "yes"], |settings| settings)?;
    for round in 0..rounds {
        let fault = *FAULTS.choose(&mut random).context("there are faults")?;
        println!("round {round}: {fault:?}");
        strike(fault, &mut random, &mut redis, &mut stack).with_context(|| format!("{fault:?}"))?;
        if random.random_bool(0.5) {
            stack.wait_until_all_go_on().with_context(|| format!("after {fault:?}"))?;
        }
    }
    stack.wait_until_all_go_on()?;
    // A pause of Redis is no fault of ours and comes on top.
    stack.finish(REFUSED_MAX * 2 + TTL)
}

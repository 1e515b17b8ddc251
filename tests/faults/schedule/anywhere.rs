//! What can befall workers, servers and the links between them, whatever the store.

use std::thread;

use anyhow::{Context, Result};
use metrifold_tests::Mode;
use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};
use rustix::process::Signal;

use super::HELD;
use crate::{
    links::MODES,
    stack::{Stack, TTL},
};

#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    KillWorker,
    PauseWorker,
    KillCollector,
    KillExporter,
    KillAgent,
    TroubleLinks,
}

const FAULTS: [Fault; 6] = [
    Fault::KillWorker,
    Fault::PauseWorker,
    Fault::KillCollector,
    Fault::KillExporter,
    Fault::KillAgent,
    Fault::TroubleLinks,
];

pub(super) fn choose(random: &mut StdRng) -> Fault {
    *FAULTS.choose(random).expect("there are faults")
}

pub(super) fn strike(fault: Fault, random: &mut StdRng, stack: &mut Stack) -> Result<()> {
    let (worker, server) = (random.random_range(0..stack.workers.len()), random.random_range(0..2));
    match fault {
        Fault::KillWorker => stack.kill_worker(worker).map(drop),
        Fault::PauseWorker => {
            let worker = &stack.workers[worker];
            worker.signal(Signal::STOP)?;
            thread::park_timeout(TTL * 2);
            worker.signal(Signal::CONT)
        }
        Fault::KillCollector => Stack::restart(&mut stack.collectors[server]),
        Fault::KillExporter => Stack::restart(&mut stack.exporters[server]),
        Fault::KillAgent => Stack::restart(&mut stack.agent),
        Fault::TroubleLinks => {
            let mode = *MODES.choose(random).context("there are modes")?;
            stack.links.iter().for_each(|link| link.set(mode));
            thread::park_timeout(HELD);
            stack.links.iter().for_each(|link| link.set(Mode::Pass));
            Ok(())
        }
    }
}

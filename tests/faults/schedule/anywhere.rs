//! What can befall workers, servers and the links between them, whatever the store.

use std::time::Duration;

use anyhow::Result;
use metrifold_tests::Mode;
use rand::{
    RngExt,
    rngs::StdRng,
    seq::{IndexedRandom, SliceRandom},
};
use rustix::process::Signal;

use crate::{absence::Absence, links::MODES, stack::Stack};

/// With the number of who is struck.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    KillWorker(usize),
    PauseWorker(usize),
    KillCollector(usize),
    KillExporter(usize),
    KillAgent,
    TroubleLinks(Mode),
}

/// So many faults that may befall the stack at the same time: no two of a kind.
pub(super) fn choose(random: &mut StdRng, count: usize, stack: &Stack) -> Vec<Fault> {
    let mut number = |below: usize| random.random_range(0..below);
    let (killed, paused) = (number(stack.workers.len()), number(stack.workers.len()));
    let (collector, exporter) = (number(stack.collectors.len()), number(stack.exporters.len()));
    let mode = *MODES.choose(random).expect("there are modes");
    let mut faults = vec![
        Fault::KillWorker(killed),
        Fault::PauseWorker(paused),
        Fault::KillCollector(collector),
        Fault::KillExporter(exporter),
        Fault::KillAgent,
        Fault::TroubleLinks(mode),
    ];
    faults.shuffle(random);
    faults.truncate(count);
    faults
}

pub(super) fn begin(fault: Fault, stack: &mut Stack) -> Result<()> {
    match fault {
        Fault::KillWorker(number) => stack.kill_worker(number).map(drop),
        Fault::PauseWorker(number) => stack.workers[number].signal(Signal::STOP),
        Fault::KillCollector(number) => stack.collectors[number].kill(),
        Fault::KillExporter(number) => stack.exporters[number].kill(),
        Fault::KillAgent => stack.agent.kill(),
        Fault::TroubleLinks(mode) => {
            stack.links.iter().for_each(|link| link.set(mode));
            Ok(())
        }
    }
}

pub(super) fn end(fault: Fault, stack: &mut Stack) -> Result<()> {
    match fault {
        Fault::KillWorker(_) => Ok(()),
        Fault::PauseWorker(number) => stack.workers[number].signal(Signal::CONT),
        Fault::KillCollector(number) => stack.collectors[number].start_again(),
        Fault::KillExporter(number) => stack.exporters[number].start_again(),
        Fault::KillAgent => stack.agent.start_again(),
        Fault::TroubleLinks(_) => {
            stack.links.iter().for_each(|link| link.set(Mode::Pass));
            Ok(())
        }
    }
}

/// How long there may be no view because of a fault that lasted so long.
pub(super) fn absence(fault: Fault, held: Duration) -> Absence {
    match fault {
        Fault::KillExporter(_) => Absence::unanswered(held) + Absence::RESTARTED,
        _ => Absence::NONE,
    }
}

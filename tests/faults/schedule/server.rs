//! One Redis server: rows 3, 6, 8 and 9.

use std::{thread, time::Duration};

use anyhow::{Context, Result, ensure};
use metrifold_tests::{Link, Mode, Redis};
use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};
use rustix::process::Signal;

use super::{HELD, Place, run, settings};
use crate::{
    clock::ClockedRedis,
    links::{MODES, url},
    stack::{Settings, Stack, TTL},
};

/// Those that lose acknowledged pushes come when all servers have read what the dead left.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    Kill,
    Pause,
    Save,
    Flush,
    Fill,
    TroubleLink,
    JumpClock,
}

const FAULTS: [Fault; 7] = [
    Fault::Kill,
    Fault::Pause,
    Fault::Save,
    Fault::Flush,
    Fault::Fill,
    Fault::TroubleLink,
    // Last: not everywhere possible.
    Fault::JumpClock,
];

struct Server {
    redis: ClockedRedis,
    /// Between collectors and Redis.
    link: Link,
}

impl Server {
    /// With an append-only file or without any file but those of [`Fault::Save`].
    fn start(random: &mut StdRng) -> Result<(Server, Stack)> {
        let files: &[&str] = if random.random_bool(0.5) { &["--appendonly", "yes"] } else { &[] };
        println!("with {files:?}");
        let redis = ClockedRedis::start(files)?;
        let link = Link::to(redis.port())?;
        let settings = settings(&redis.url(), random);
        let stack = Stack::start(Settings { collectors_url: url(&link), ..settings })?;
        Ok((Server { redis, link }, stack))
    }
}

impl Place for Server {
    type Fault = Fault;

    const OUTAGE_MAX: Duration = HELD;

    fn faults(&self) -> Vec<Fault> {
        let possible = FAULTS.len() - usize::from(!self.redis.can_jump());
        FAULTS[..possible].to_vec()
    }

    fn strike(&mut self, fault: Fault, random: &mut StdRng, stack: &mut Stack) -> Result<()> {
        let redis: &mut Redis = &mut self.redis;
        match fault {
            Fault::Kill => {
                stack.wait_until_remembered()?;
                redis.kill()?;
                redis.start_again()
            }
            Fault::Pause => {
                redis.process().signal(Signal::STOP)?;
                thread::park_timeout(TTL);
                redis.process().signal(Signal::CONT)
            }
            Fault::Save => {
                ensure!(redis.command(&["SAVE"])?.trim() == "OK", "it saves");
                Ok(())
            }
            Fault::Flush => {
                stack.wait_until_remembered()?;
                redis.command(&["FLUSHALL"]).map(drop)
            }
            Fault::Fill => {
                redis.command(&["CONFIG", "SET", "maxmemory", "1"])?;
                thread::park_timeout(TTL);
                redis.command(&["CONFIG", "SET", "maxmemory", "0"]).map(drop)
            }
            Fault::TroubleLink => {
                self.link.set(*MODES.choose(random).context("there are modes")?);
                thread::park_timeout(HELD);
                self.link.set(Mode::Pass);
                Ok(())
            }
            Fault::JumpClock => {
                self.redis.jump(["-1h", "+0h", "+1h"].choose(random).context("there are hours")?)
            }
        }
    }
}

#[test]
fn any_schedule_of_faults_ends_exact() -> Result<()> {
    run(8, Server::start)
}

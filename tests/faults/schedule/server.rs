//! One Redis server: rows 3, 6, 8 and 9.

use std::time::Duration;

use anyhow::{Result, ensure};
use metrifold_tests::{Link, Mode, Redis};
use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};
use rustix::process::Signal;

use super::{Place, RESTORED, run, settings};
use crate::{
    absence::Absence,
    clock::ClockedRedis,
    links::{MODES, url},
    stack::{Settings, Stack},
};

#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    Kill,
    Pause,
    Save,
    Flush,
    Fill,
    TroubleLink(Mode),
    /// By so many hours.
    JumpClock(&'static str),
}

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

    fn command(&self, words: &[&str]) -> Result<()> {
        let answer = self.redis.command(words)?;
        ensure!(answer == "OK", "{words:?}: {answer}");
        Ok(())
    }
}

impl Place for Server {
    type Fault = Fault;

    fn choose(&self, random: &mut StdRng) -> Fault {
        let mode = *MODES.choose(random).expect("there are modes");
        let hours = ["-1h", "+0h", "+1h"].choose(random).expect("there are hours");
        let mut faults =
            vec![Fault::Kill, Fault::Pause, Fault::Save, Fault::Flush, Fault::Fill, Fault::TroubleLink(mode)];
        if self.redis.can_jump() {
            faults.push(Fault::JumpClock(hours));
        }
        *faults.choose(random).expect("there are faults")
    }

    fn prepare(&mut self, _: Fault) -> Result<()> {
        Ok(())
    }

    fn begin(&mut self, fault: Fault, _: &mut StdRng) -> Result<()> {
        match fault {
            Fault::Kill => self.redis.kill(),
            Fault::Pause => self.redis.process().signal(Signal::STOP),
            Fault::Save => self.command(&["SAVE"]),
            Fault::Flush => self.command(&["FLUSHALL"]),
            Fault::Fill => self.command(&["CONFIG", "SET", "maxmemory", "1"]),
            Fault::TroubleLink(mode) => {
                self.link.set(mode);
                Ok(())
            }
            Fault::JumpClock(hours) => self.redis.jump(hours),
        }
    }

    fn end(&mut self, fault: Fault) -> Result<()> {
        let redis: &mut Redis = &mut self.redis;
        match fault {
            Fault::Kill => redis.start_again(),
            Fault::Pause => redis.process().signal(Signal::CONT),
            Fault::Fill => self.command(&["CONFIG", "SET", "maxmemory", "0"]),
            Fault::TroubleLink(_) => {
                self.link.set(Mode::Pass);
                Ok(())
            }
            Fault::Save | Fault::Flush | Fault::JumpClock(_) => Ok(()),
        }
    }

    fn absence(&self, fault: Fault, held: Duration) -> Absence {
        match fault {
            Fault::Kill => Absence::refused(held) + RESTORED,
            Fault::Pause => Absence::refused(held) + Absence::RECONNECTED,
            Fault::Flush => RESTORED,
            Fault::Save | Fault::Fill | Fault::TroubleLink(_) | Fault::JumpClock(_) => Absence::NONE,
        }
    }
}

#[test]
fn any_schedule_of_faults_ends_exact() -> Result<()> {
    run(6, Server::start)
}

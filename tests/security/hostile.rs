//! Pushes by whoever means harm, or has a bug, beside honest ones.
//!
//! `HOSTILE_PUSHES` and `HOSTILE_SEED` choose how many and which; `make deep` sends a million.

mod pushes;

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use metrifold_client::Pusher;
use metrifold_tests::{Redis, Scrape, Server, eventually, get};
use metrifold_wire::v1::ingest_client::IngestClient;
use prometheus::{IntCounter, Registry};

use pushes::Pushes;

const AMPLE: Duration = Duration::from_secs(60);
/// Pushes under way at once, between two looks at the page.
const BATCH: u64 = 1_000;
/// The server's memory, whatever is pushed. What a debug build needs for a few thousand small sources is a tenth.
const RESIDENT_MAX: u64 = 1 << 30;

fn number(name: &str, default: u64) -> Result<u64> {
    let given = std::env::var(name).ok().map(|text| text.parse().with_context(|| format!("{name}={text}")));
    given.unwrap_or(Ok(default))
}

/// An application that means well: what it counts must be on every page.
struct Honest {
    counter: IntCounter,
    pusher: Pusher,
}

impl Honest {
    fn start(url: &str) -> Result<Honest> {
        let registry = Registry::new();
        let counter = IntCounter::new(pushes::HONEST, "Counted honestly.")?;
        registry.register(Box::new(counter.clone()))?;
        let pusher = Pusher::builder().registry(registry).target(url).start()?;
        Ok(Honest { counter, pusher })
    }

    /// Counts on, and checks the page.
    fn check(&self, server: &Server) -> Result<()> {
        self.counter.inc_by(7);
        self.pusher.flush(AMPLE)?;
        let page = Scrape::of(&server.metrics())?;
        let (shown, counted) = (page.value(pushes::HONEST), self.counter.get() as f64);
        ensure!(shown == counted, "{shown} of {counted}");
        Ok(())
    }
}

/// Prometheus' own parser takes the page. Its opinions on style are not asked.
fn check_by_promtool(server: &Server, directory: &Path) -> Result<()> {
    let page = directory.join("page");
    std::fs::write(&page, get(&server.metrics())?)?;
    let output =
        Command::new("promtool").args(["check", "metrics"]).stdin(std::fs::File::open(&page)?).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    // 3: it was read, and found wanting.
    ensure!(matches!(output.status.code(), Some(0 | 3)), "{said}");
    Ok(())
}

fn resident(server: &mut Server) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process().pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a line")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
}

/// Sends pushes in batches; after each, the honest application's count must be exact on a page that can be read.
fn besiege(server: &mut Server, directory: &Path) -> Result<()> {
    let (seed, count) = (number("HOSTILE_SEED", 1)?, number("HOSTILE_PUSHES", 10_000)?);
    println!("HOSTILE_SEED={seed} HOSTILE_PUSHES={count}");
    let honest = Honest::start(server.url())?;
    // A Redis that was just opened settles first.
    eventually("the honest count is shown", AMPLE, || honest.check(server))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let client = runtime.block_on(IngestClient::connect(server.url().to_owned()))?;
    let mut pushes = Pushes::new(seed);
    let (mut taken, mut refused) = (0u64, 0u64);
    for batch in 0..count.div_ceil(BATCH) {
        let sent: Vec<_> = (0..BATCH)
            .map(|_| {
                let (mut client, push) = (client.clone(), pushes.next());
                runtime.spawn(async move { client.push(push).await })
            })
            .collect();
        for sent in sent {
            match runtime.block_on(sent)? {
                Ok(response) => match response.into_inner().answer {
                    Some(metrifold_wire::v1::push_response::Answer::Refused(_)) => refused += 1,
                    _ => taken += 1,
                },
                Err(status) => {
                    ensure!(status.code() == tonic::Code::InvalidArgument, "{status}");
                    refused += 1;
                }
            }
        }
        honest.check(server).with_context(|| format!("batch {batch} of seed {seed}"))?;
    }
    println!("{taken} were answered by the protocol, {refused} refused");
    ensure!(refused > count / 20 && taken > count / 20, "{taken} taken, {refused} refused: too much alike");
    check_by_promtool(server, directory)?;
    let used = resident(server)?;
    ensure!(used < RESIDENT_MAX, "{used} bytes");
    // Whatever was stored is no reason not to start again, nor to lose anything.
    server.kill()?;
    server.start_again()?;
    eventually("the honest count is back", AMPLE, || honest.check(server))?;
    check_by_promtool(server, directory)?;
    honest.pusher.shutdown(AMPLE)?;
    Ok(())
}

/// With a directory of segments of its own, since only one server may hold one.
fn serve(arguments: &[&str], directory: &Path) -> Result<Server> {
    let segments = directory.join("segments");
    let segments = segments.to_str().context("UTF-8")?;
    let environment = [("METRIFOLD_AGENT__SEGMENT_DIR", segments)];
    Server::with("serve", &[&["serve"], arguments].concat(), &environment, directory)
}

#[test]
fn hostile_pushes_into_a_data_directory_cost_nobody_else_anything() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let data = data.to_str().context("UTF-8")?;
    let mut server = serve(&["--data-dir", data], directory.path())?;
    besiege(&mut server, directory.path())
}

#[test]
fn hostile_pushes_into_redis_cost_nobody_else_anything() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let redis = Redis::start()?;
    let mut server = serve(&["--redis-url", &redis.url()], directory.path())?;
    besiege(&mut server, directory.path())
}

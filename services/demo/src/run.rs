//! The demo from start to verdict.

use std::{
    io::Write,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use metrifold_admin::{PageServer, sum};
use metrifold_segment::SegmentDirectory;

use crate::{
    crew::Crew,
    ledger,
    server::Server,
    table::{Row, Table},
    verdict::{Evidence, Merged},
};

/// Time between two scrapes.
const SCRAPE_INTERVAL: Duration = Duration::from_millis(200);
/// Longest time between two kills, and least number of kills in a short demo.
const KILL_INTERVAL_MAX: Duration = Duration::from_secs(2);
const KILLS_MIN: u32 = 4;
/// Longest wait for the last worker to be folded.
const FOLD_TIMEOUT: Duration = Duration::from_secs(30);

/// What `metrifold demo` is given.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoSettings {
    /// How long workers count.
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// Number of worker processes.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: u16,
    /// Address of the server; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: String,
}

/// Why the demo could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A process could not be started or signalled.
    #[error("a process of the demo could not be started or ended: {0}")]
    Start(#[source] std::io::Error),
    /// A temporary file could not be made or read.
    #[error("the demo's temporary files: {0}")]
    Files(#[source] std::io::Error),
    /// The server did not start; what it said.
    #[error("the demo's server did not start; it said:\n{0}")]
    NotReady(String),
}

/// Runs the demo and prints its verdict as the last line. Ends early, with the verdict, on Ctrl-C.
///
/// # Errors
/// If it cannot be carried out. A wrong total is not an error but `Ok(false)`.
pub async fn run(settings: &DemoSettings) -> Result<bool, DemoError> {
    let files = tempfile::tempdir().map_err(DemoError::Files)?;
    // The segments go where those of real workers go: to memory, if the system has a directory for it.
    let memory = SegmentDirectory::default_path();
    let memory = memory.parent().unwrap_or(Path::new("/tmp"));
    let segments =
        tempfile::Builder::new().prefix("metrifold-demo").tempdir_in(memory).map_err(DemoError::Files)?;
    let ledgers = files.path().join("ledgers");
    std::fs::create_dir(&ledgers).map_err(DemoError::Files)?;

    let server = Server::start(&settings.listen, segments.path(), &files.path().join("log")).await?;
    say(&format!("metrics of the demo: http://{}/metrics", server.address));
    let crew = Crew::start(settings.workers.into(), segments.path().into(), ledgers.clone())?;
    let mut demo = Demo {
        crew,
        address: server.address,
        ledgers,
        begun: Instant::now(),
        table: Table::new(),
        evidence: Evidence::default(),
    };
    demo.watch(settings.duration).await?;
    demo.crew.dismiss().await?;
    demo.wait_for_last_fold(segments.path()).await?;
    demo.evidence.counts = ledger::read_all(&demo.ledgers).map_err(DemoError::Files)?;
    demo.evidence.kills = demo.crew.kills;
    server.stop().await.map_err(DemoError::Start)?;
    let (is_exact, line) = demo.evidence.judge();
    say(&line);
    Ok(is_exact)
}

struct Demo {
    crew: Crew,
    address: SocketAddr,
    ledgers: std::path::PathBuf,
    begun: Instant,
    table: Table,
    evidence: Evidence,
}

impl Demo {
    /// Scrapes and kills until the time is over.
    async fn watch(&mut self, duration: Duration) -> Result<(), DemoError> {
        let longest = KILL_INTERVAL_MAX.min(duration / (KILLS_MIN + 1));
        let mut next_kill = self.begun + kill_pause(longest);
        let mut ticks = tokio::time::interval(SCRAPE_INTERVAL);
        let interrupt = tokio::signal::ctrl_c();
        tokio::pin!(interrupt);
        while self.begun.elapsed() < duration {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = &mut interrupt => break,
            }
            if Instant::now() >= next_kill {
                self.crew.kill_one().await?;
                next_kill = Instant::now() + kill_pause(longest);
            }
            self.scrape().await?;
        }
        Ok(())
    }

    /// One scrape, shown and compared with the one before. Returns how many sources live or are dead and not folded.
    async fn scrape(&mut self) -> Result<Option<u64>, DemoError> {
        let counted = ledger::read_all(&self.ledgers).map_err(DemoError::Files)?.finished;
        let server = PageServer::plain(self.address.to_string());
        let merged = server.get("/metrics").await;
        let own = server.get("/-/metrics").await.unwrap_or_default();
        let state = |name| sum(&own, "metrifold_sources", &format!("state=\"{name}\"")) as u64;
        let merged = match merged {
            Ok(page) => Some(self.compare(Merged::read(&page))),
            Err(error) => {
                tracing::debug!(%error, "a scrape was not answered");
                None
            }
        };
        let row = Row {
            elapsed: self.begun.elapsed(),
            counted,
            merged: merged.map(|merged| merged.events as u64),
            live: state("live"),
            dead: state("dead"),
            folded: sum(&own, "metrifold_folded_sources_total", "") as u64,
            kills: self.crew.kills,
        };
        self.table.show(row);
        Ok(merged.map(|_| row.live + row.dead))
    }

    fn compare(&mut self, merged: Merged) -> Merged {
        self.evidence.scrapes += 1;
        self.evidence.faults.extend(merged.fell_below(self.evidence.merged));
        self.evidence.merged = merged;
        merged
    }

    /// Waits until every segment is acknowledged and gone and every source is folded.
    async fn wait_for_last_fold(&mut self, segments: &Path) -> Result<(), DemoError> {
        let begun = Instant::now();
        let directory = SegmentDirectory::open(segments)
            .map_err(|error| DemoError::Files(std::io::Error::other(error)))?;
        while begun.elapsed() < FOLD_TIMEOUT {
            let left = directory.segments().map_or(1, |left| left.len());
            if self.scrape().await? == Some(0) && left == 0 {
                return Ok(());
            }
            tokio::time::sleep(SCRAPE_INTERVAL).await;
        }
        self.evidence
            .faults
            .push(format!("not all workers were folded within {}", humantime::format_duration(FOLD_TIMEOUT)));
        Ok(())
    }
}

/// One line on stdout. A reader that has gone away is no reason to end.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Between half the longest pause and all of it.
fn kill_pause(longest: Duration) -> Duration {
    longest.mul_f64(rand::random_range(0.5..=1.0))
}

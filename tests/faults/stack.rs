//! The system under test: Redis, two collectors, two exporters, an agent, workers of every kind, and a watch.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use metrifold_tests::{
    Link, Outage, Page, Process, Redis, Scrape, Server, Watch, contained, eventually, get, kill,
    rust_example, worker_words,
};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::absence::{Absence, GRACE, SETTLE};

/// Time that anything may take that is expected to happen.
pub(crate) const AMPLE: Duration = Duration::from_secs(60);
/// The time to live of a source. Short, so that tests see it pass.
pub(crate) const TTL: Duration = Duration::from_secs(4);

/// Scrapes that must have succeeded, or a test has not watched anything.
const SAMPLES_MIN: usize = 10;
const NAMESPACE: &str = "faults";
/// What each worker counts.
pub(crate) const EVENTS_PER_SECOND: u64 = 200;

/// How a worker brings its values to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// By gRPC to the collector of this number.
    Collector(usize),
    /// Straight to Redis.
    Redis,
    /// Through its segment and the agent.
    Agent,
}

/// Eight by collectors, eight straight to Redis, four by the agent.
const WAYS: [Way; 20] = {
    let mut ways = [Way::Redis; 20];
    let mut number = 0;
    while number < 8 {
        ways[number] = Way::Collector(number % 2);
        number += 1;
    }
    while number < 12 {
        ways[number] = Way::Agent;
        number += 1;
    }
    ways
};

/// Who reaches a server by links that a test can trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linked {
    /// The collectors.
    Workers,
    /// Its collector.
    Agent,
    /// The exporters.
    Scraper,
}

/// What differs between tests.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// More environment variables of all servers.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// Where collectors find Redis.
    pub(crate) collectors_url: String,
    /// Where exporters find Redis.
    pub(crate) exporters_url: String,
    /// Where direct writers find Redis.
    pub(crate) writers_url: String,
    /// Where the agent finds Redis, if it has no collector.
    pub(crate) agent_url: Option<String>,
    /// Who reaches servers by [`Stack::links`] and [`Stack::page_links`].
    pub(crate) linked: Vec<Linked>,
    /// Whether each worker runs in namespaces of its own, as in a container: with pid 1, on a host of its own.
    pub(crate) contained: bool,
}

impl Settings {
    pub(crate) fn new(redis_url: &str) -> Settings {
        let environment = vec![
            ("METRIFOLD_STORE__SETTLE", format!("{}s", SETTLE.as_secs())),
            ("METRIFOLD_STORE__RESTORE_GRACE", format!("{}s", GRACE.as_secs())),
            ("METRIFOLD_WORKERS__TTL", format!("{}s", TTL.as_secs())),
            ("METRIFOLD_AGENT__PUSH_INTERVAL", "200ms".to_owned()),
        ];
        let url = || redis_url.to_owned();
        Settings {
            environment,
            collectors_url: url(),
            exporters_url: url(),
            writers_url: url(),
            agent_url: None,
            linked: Vec::new(),
            contained: false,
        }
    }

    /// The same with one more variable.
    pub(crate) fn set(mut self, name: &'static str, value: &str) -> Settings {
        self.environment.push((name, value.to_owned()));
        self
    }
}

/// Events that the ledgers bear witness to: at least, and at most, this many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Truth {
    pub(crate) least: u64,
    pub(crate) most: u64,
    /// What a stated bound allows to be missing.
    pub(crate) loss: u64,
}

/// One worker process and the ledger that it keeps outside Metrifold.
pub(crate) struct Worker {
    pub(crate) way: Way,
    process: Process,
    ledger: PathBuf,
    is_contained: bool,
}

impl Worker {
    /// Started, finished, acknowledged; nothing yet of one that is still starting.
    pub(crate) fn words(&self) -> Result<[u64; 3]> {
        worker_words(&self.ledger)
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.pid()?, signal)
    }

    /// Its pid on this host.
    fn pid(&self) -> Result<u32> {
        let outer = self.process.pid();
        if !self.is_contained {
            return Ok(outer);
        }
        let children = std::fs::read_to_string(format!("/proc/{outer}/task/{outer}/children"))?;
        children.trim().parse().with_context(|| format!("children of {outer}: {children:?}"))
    }

    /// Waits until so many events more are acknowledged: its values are in the store.
    pub(crate) fn wait_for_acknowledged(&self, more: u64) -> Result<()> {
        let [.., before] = self.words()?;
        eventually("a worker's pushes are acknowledged", AMPLE, || {
            let [.., now] = self.words()?;
            ensure!(now >= before + more, "{now} after {before}: {}", self.process.log());
            Ok(())
        })
    }
}

/// Everything, running.
pub(crate) struct Stack {
    settings: Settings,
    pub(crate) collectors: Vec<Server>,
    pub(crate) exporters: Vec<Server>,
    pub(crate) agent: Server,
    /// To each collector, if somebody is to use them.
    pub(crate) links: Vec<Link>,
    /// From the scraper to each exporter, if it is to use them.
    pub(crate) page_links: Vec<Link>,
    pub(crate) workers: Vec<Worker>,
    /// Of the workers that ended.
    truth: Truth,
    started: usize,
    watch: Option<Watch>,
    directory: TempDir,
}

impl Stack {
    /// Starts it all and waits until every worker is in the view.
    pub(crate) fn start(settings: Settings) -> Result<Stack> {
        let mut directory = tempfile::tempdir()?;
        if std::env::var_os("FAULTS_KEEP").is_some() {
            directory.disable_cleanup(true);
            println!("logs and ledgers stay in {}", directory.path().display());
        }
        let roles = |role: &str| -> Result<Vec<Server>> {
            (0..2).map(|number| settings.server(role, number, directory.path())).collect()
        };
        let (collectors, exporters) = (roles("collector")?, roles("exporter")?);
        let links = settings.links(&[Linked::Workers, Linked::Agent], &collectors)?;
        let page_links = settings.links(&[Linked::Scraper], &exporters)?;
        let collector = settings.door(Linked::Agent, &collectors, &links, 0);
        let agent = settings.agent(settings.agent_url.as_ref().unwrap_or(&collector), directory.path())?;
        let mut stack = Stack {
            settings,
            collectors,
            exporters,
            agent,
            links,
            page_links,
            workers: Vec::new(),
            truth: Truth::default(),
            started: 0,
            watch: None,
            directory,
        };
        for way in WAYS {
            let worker = stack.spawn(way)?;
            stack.workers.push(worker);
        }
        for worker in &stack.workers {
            worker.wait_for_acknowledged(1)?;
        }
        let pages = stack.pages();
        for page in &pages {
            eventually("a view is served", AMPLE, || Scrape::of(page.url()))?;
        }
        stack.watch = Some(Watch::start(&pages));
        Ok(stack)
    }

    /// As the scraper sees them.
    fn pages(&self) -> Vec<Page> {
        let by_link =
            |(link, page): (&Link, Page)| page.at(format!("http://127.0.0.1:{}/metrics", link.port()));
        let pages = self.exporters.iter().map(Server::page);
        match self.page_links.is_empty() {
            true => pages.collect(),
            false => self.page_links.iter().zip(pages).map(by_link).collect(),
        }
    }

    /// As long as these live, the scraper may get no answer.
    pub(crate) fn outages(&self) -> Vec<Outage> {
        self.exporters.iter().map(|exporter| exporter.page().outage()).collect()
    }

    fn spawn(&mut self, way: Way) -> Result<Worker> {
        let number = self.started;
        self.started += 1;
        let ledger = self.directory.path().join(format!("ledger-{number}"));
        let target = match way {
            Way::Collector(number) => {
                self.settings.door(Linked::Workers, &self.collectors, &self.links, number)
            }
            Way::Redis => self.settings.writers_url.clone(),
            Way::Agent => format!("local:{}", segments(self.directory.path()).display()),
        };
        let program = rust_example("worker")?;
        let mut command = match self.settings.contained {
            true => contained(&format!("host-{number}"), &program).context("no namespaces here")?,
            false => Command::new(program),
        };
        command
            .args(["--target", &target, "--rate", &EVENTS_PER_SECOND.to_string()])
            .args(["--flush-every", "100ms", "--ledger"])
            .arg(&ledger)
            .env("METRIFOLD_NAMESPACE", NAMESPACE)
            .env("METRIFOLD_PUSH_INTERVAL", "200ms");
        let process = Process::start(&format!("worker-{number}"), &mut command, self.directory.path())?;
        Ok(Worker { way, process, ledger, is_contained: self.settings.contained })
    }

    /// The first workers of each way, of the first collector among them.
    pub(crate) fn one_of_each(&self) -> Vec<usize> {
        let first = |wanted: Way| self.workers.iter().position(|worker| worker.way == wanted);
        [Way::Collector(0), Way::Collector(1), Way::Redis, Way::Agent].into_iter().filter_map(first).collect()
    }

    /// SIGKILLs a worker and starts another one in its place. What it had counted but not yet brought into safety may
    /// be lost with it, as the manual's bound for a process that pushes for itself, or gathers by itself, says. Returns what
    /// its ledger said last.
    pub(crate) fn kill_worker(&mut self, number: usize) -> Result<[u64; 3]> {
        let worker = &mut self.workers[number];
        worker.signal(Signal::KILL)?;
        worker.process.wait(AMPLE)?;
        let words = worker.words()?;
        let [started, _, acknowledged] = words;
        self.truth.least += acknowledged;
        self.truth.most += started;
        let way = worker.way;
        self.workers[number] = self.spawn(way)?;
        Ok(words)
    }

    /// Signals everything that pushes: workers and agent.
    pub(crate) fn signal_sources(&mut self, signal: Signal) -> Result<()> {
        self.agent.process().signal(signal)?;
        self.workers.iter().try_for_each(|worker| worker.signal(signal))
    }

    /// Takes note of a loss that a stated bound allows.
    pub(crate) fn allow_loss(&mut self, events: u64) {
        self.truth.loss += events;
    }

    /// Kills a server by SIGKILL and starts it again, with an empty memory.
    pub(crate) fn restart(server: &mut Server) -> Result<()> {
        server.kill()?;
        server.start_again()
    }

    /// Waits until every worker has had pushes acknowledged from now on.
    pub(crate) fn wait_until_all_push(&self) -> Result<()> {
        self.workers.iter().try_for_each(|worker| worker.wait_for_acknowledged(1))
    }

    /// Waits until both exporters have shown more events than now: the system is as before.
    pub(crate) fn wait_until_all_go_on(&self) -> Result<()> {
        self.wait_until_all_push()?;
        for exporter in &self.exporters {
            let url = exporter.metrics();
            let before = eventually("a view is served", AMPLE, || Scrape::of(&url))?;
            eventually("the view goes on", AMPLE, || {
                let now = Scrape::of(&url)?.value("worker_events_total");
                ensure!(now > before.value("worker_events_total"), "still {now}");
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Demands that there is a view again, and that since the last demand, or the start, there was no time without one that
    /// is longer than this.
    pub(crate) fn demand_view(&self, absence: Absence) -> Result<()> {
        let watch = self.watch.as_ref().context("the watch runs from the start")?;
        let now = Instant::now();
        eventually("the view is watched again", AMPLE, || {
            ensure!(watch.has_seen_all_since(now), "no view of an exporter");
            Ok(())
        })?;
        let gap = watch.gap();
        println!("{gap:?}");
        absence.check(gap).with_context(|| self.exporters_say())
    }

    /// Waits until everybody who died is folded.
    pub(crate) fn wait_until_folded(&self) -> Result<()> {
        eventually("the dead are folded", AMPLE + TTL, || {
            let (live, dead, folded) =
                (self.sources("live")?, self.sources("dead")?, self.sources("folded")?);
            ensure!(live == self.workers.len() as f64 && dead == 0.0, "{live} live, {dead} dead");
            ensure!(folded == (self.started - self.workers.len()) as f64, "{folded} folded");
            Ok(())
        })
    }

    /// Waits until every server that runs has read all that is in the store now, so that what a source which died pushed last
    /// survives even a store that loses everything. (What nobody read before that is the bound of a total loss.)
    pub(crate) fn wait_until_remembered(&self) -> Result<()> {
        for server in self.collectors.iter().chain(&self.exporters).filter(|server| !server.is_killed()) {
            let passes = || -> Result<f64> {
                Ok(Scrape::parse(&get(&server.own_metrics())?)?.value("metrifold_reaper_passes_total"))
            };
            let before = passes()?;
            eventually("a whole pass over the store", AMPLE, || {
                let now = passes()?;
                // One may have been under way.
                ensure!(now >= before + 2.0, "{now} passes of {} after {before}", server.url());
                Ok(())
            })?;
        }
        Ok(())
    }

    fn exporters_say(&self) -> String {
        self.exporters.iter().map(|exporter| format!("{}:\n{}\n", exporter.url(), exporter.log())).collect()
    }

    /// How many sources are `live`, `dead` or `folded`, as the first exporter says after a scrape.
    pub(crate) fn sources(&self, state: &str) -> Result<f64> {
        self.exporters[0].sources(state)
    }

    /// Demands that both exporters say the same, byte for byte, while every source stands still.
    pub(crate) fn demand_equal_pages(&mut self) -> Result<()> {
        self.signal_sources(Signal::STOP)?;
        eventually("both exporters say the same", AMPLE, || {
            let [first, second] = [0, 1].map(|number| get(&self.exporters[number].metrics()));
            let (first, second) = (first?, second?);
            ensure!(first.contains("worker_seconds_bucket"), "{first}");
            let mut lines = first.lines().zip(second.lines());
            let differing = lines.find(|(one, other)| one != other);
            ensure!(first == second, "of {} and {} bytes, {differing:?}", first.len(), second.len());
            Ok(())
        })?;
        self.signal_sources(Signal::CONT)
    }

    /// Ends all workers in order, and demands: nothing of theirs is lost, both exporters show what the ledgers say,
    /// nothing ever went down, and since the last demand there was no time without a view that is longer than this.
    pub(crate) fn finish(mut self, absence: Absence) -> Result<()> {
        for worker in &self.workers {
            worker.signal(Signal::TERM)?;
        }
        let mut truth = self.truth;
        for worker in &mut self.workers {
            worker.process.wait(AMPLE)?;
            let [started, finished, acknowledged] = worker.words()?;
            ensure!(
                started == finished && finished == acknowledged,
                "an orderly end loses nothing: {started} started, {finished} finished, {acknowledged} acknowledged: {}",
                worker.process.log()
            );
            truth.least += finished;
            truth.most += finished;
        }
        for exporter in &self.exporters {
            let url = exporter.metrics();
            eventually("the view shows what the ledgers say", AMPLE, || check(&Scrape::of(&url)?, truth))?;
        }
        let watch = self.watch.take().context("the watch runs from the start")?;
        let watched = watch.finish(SAMPLES_MIN).with_context(|| self.exporters_say())?;
        // Once more: nothing comes to it after the end.
        for exporter in &self.exporters {
            check(&Scrape::of(&exporter.metrics())?, truth)?;
        }
        println!("{truth:?}, {watched:?}");
        absence.check(watched.gap).with_context(|| self.exporters_say())
    }
}

impl Settings {
    fn server(&self, role: &str, number: usize, directory: &Path) -> Result<Server> {
        let url = if role == "exporter" { &self.exporters_url } else { &self.collectors_url };
        let arguments = [role, "--redis-url", url, "--namespace", NAMESPACE];
        Server::with(&format!("{role}-{number}"), &arguments, &self.environment(), directory)
    }

    fn agent(&self, upstream: &str, directory: &Path) -> Result<Server> {
        let segments = segments(directory);
        std::fs::create_dir_all(&segments)?;
        let segments = segments.display().to_string();
        let arguments = ["agent", "--to", upstream, "--segment-dir", &segments, "--namespace", NAMESPACE];
        Server::with("agent", &arguments, &self.environment(), directory)
    }

    /// To each of these servers, if one of those is to use them.
    fn links(&self, users: &[Linked], servers: &[Server]) -> Result<Vec<Link>> {
        let are_used = users.iter().any(|user| self.linked.contains(user));
        servers.iter().filter(|_| are_used).map(|server| Link::to(server.port()?)).collect()
    }

    /// Where somebody reaches a collector.
    fn door(&self, who: Linked, collectors: &[Server], links: &[Link], number: usize) -> String {
        match self.linked.contains(&who) {
            true => format!("http://127.0.0.1:{}", links[number].port()),
            false => collectors[number].url().to_owned(),
        }
    }

    fn environment(&self) -> Vec<(&str, &str)> {
        self.environment.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }
}

fn segments(directory: &Path) -> PathBuf {
    directory.join("segments")
}

/// A counter, a labelled counter and a histogram, all of the same events.
fn check(scrape: &Scrape, truth: Truth) -> Result<()> {
    let by_path: f64 = scrape.starting("worker_requests_total{").map(|(_, value)| value).sum();
    for merged in [scrape.value("worker_events_total"), by_path, scrape.value("worker_seconds_count")] {
        ensure!(
            ((truth.least - truth.loss) as f64..=truth.most as f64).contains(&merged),
            "{merged} of {truth:?}"
        );
    }
    Ok(())
}

/// A Redis and the whole stack over it.
pub(crate) fn on_redis(
    settings: &[&str],
    change: impl FnOnce(Settings) -> Settings,
) -> Result<(Redis, Stack)> {
    let redis = Redis::with(settings, &[])?;
    let stack = Stack::start(change(Settings::new(&redis.url())))?;
    Ok((redis, stack))
}

//! What Redis must allow, and what it never sees.

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use metrifold_tests::{Process, Redis, Scrape, Server, Watch, eventually, get, rust_example};
use rustix::process::Signal;
use tempfile::tempdir;

/// As `metrifold_redis` documents it, for one server and without the index of namespaces.
const RIGHTS: &str = "~shop:* -@all +eval +evalsha +hset +hget +hmget +hgetall +hsetnx +hdel +hlen +hincrby +zadd \
                      +zcard +zrange +zrem +set +get +rename +del +unlink +exists +pexpire +time +info";
/// The last word of a watched conversation.
const MARK: &str = "that-was-all";
const AMPLE: Duration = Duration::from_secs(60);

/// Half of them push straight to Redis.
const WORKERS: usize = 20;
/// What each counts, but for the one that is killed.
const EVENTS: u32 = 1000;
/// What the page shows of a worker's counters and histogram is more than this.
const SERIES_MIN: usize = 15;
/// The most words of one command to a hash or sorted set: a record's eleven fields with their names. A field per series
/// would be more than twice that.
const WORDS_MAX: usize = 24;
/// The most commands inside a script: some for the shard, and some for each key, of which a source has two. A fold, which
/// has most, has five for each source.
const INSIDE_MAX: usize = 10;
const INSIDE_PER_KEY: usize = 3;

/// Goal: a user who may touch the namespace's keys only, by few commands, suffices for every role, and nobody scans or
/// sends a command, key or field per series. Method: MONITOR while twenty workers push by both ways, one is killed and
/// all are folded, and two exporters are scraped in turn.
#[test]
fn a_user_with_its_namespace_and_few_commands_suffices_and_nobody_scans() -> Result<()> {
    let directory = tempdir()?;
    let directory = directory.path();
    let redis = Redis::start()?;
    let mut user = vec!["ACL", "SETUSER", "app", "on", ">pw"];
    user.extend(RIGHTS.split_whitespace());
    ensure!(redis.command(&user)? == "OK", "Redis knows these rights");
    let monitor = monitor(&redis, directory)?;

    let url = format!("redis://app:pw@127.0.0.1:{}", redis.port());
    let servers = ["collector", "collector", "exporter", "exporter"];
    let servers = servers.iter().enumerate().map(|(number, role)| server(role, number, &url, directory));
    let servers: Vec<_> = servers.collect::<Result<_>>()?;
    let (collectors, exporters) = servers.split_at(2);
    let target = |number: usize| [&url, collectors[0].url(), &url, collectors[1].url()][number % 4];
    let workers = (0..WORKERS).map(|number| worker(number, target(number), directory));
    let mut workers: Vec<_> = workers.collect::<Result<_>>()?;
    wait_for_sources(&exporters[0], "live")?;
    let watch = Watch::start(&[exporters[0].page(), exporters[1].page()]);
    workers[1].signal(Signal::KILL)?;
    workers[1].wait(AMPLE)?;
    for (number, process) in workers.iter_mut().enumerate().filter(|(number, _)| *number != 1) {
        ensure!(process.wait(AMPLE)?.success(), "{number}: {}", process.log());
    }
    wait_for_sources(&exporters[0], "folded")?;
    let view = Scrape::of(&exporters[1].metrics())?;
    let (shown, most) = (view.value("worker_events_total"), f64::from(EVENTS) * WORKERS as f64);
    ensure!((most - f64::from(EVENTS)..=most).contains(&shown), "{shown}: all but one counted {EVENTS}");
    ensure!(view.monotone().count() > SERIES_MIN, "{:?}", view.samples);
    watch.finish(10)?;

    let reads = reads(&servers)?;
    let conversation = Conversation::end(&redis, &monitor)?;
    conversation.demand_nobody_scans()?;
    conversation.demand_nothing_per_series()?;
    conversation.demand_reads_by_source(reads)
}

fn monitor(redis: &Redis, directory: &Path) -> Result<Process> {
    let mut watching = Command::new("redis-cli");
    watching.args(["-p", &redis.port().to_string(), "MONITOR"]).stdin(Stdio::null());
    let monitor = Process::start("monitor", &mut watching, directory)?;
    eventually("MONITOR runs", AMPLE, || {
        ensure!(monitor.log().contains("OK"), "not yet");
        Ok(())
    })?;
    Ok(monitor)
}

fn server(role: &str, number: usize, url: &str, directory: &Path) -> Result<Server> {
    let short = [
        ("METRIFOLD_WORKERS__TTL", "2s"),
        ("METRIFOLD_STORE__SETTLE", "500ms"),
        ("METRIFOLD_STORE__RESTORE_GRACE", "100ms"),
    ];
    let arguments = [role, "--redis-url", url, "--namespace", "shop"];
    Server::with(&format!("{role}-{number}"), &arguments, &short, directory)
}

fn worker(number: usize, target: &str, directory: &Path) -> Result<Process> {
    let mut command = Command::new(rust_example("worker")?);
    command.args(["--rate", "200", "--events", &EVENTS.to_string(), "--target", target, "--ledger"]);
    command.arg(directory.join(format!("{number}.ledger"))).env("METRIFOLD_NAMESPACE", "shop");
    Process::start(&format!("worker-{number}"), &mut command, directory)
}

fn wait_for_sources(exporter: &Server, state: &str) -> Result<()> {
    eventually(&format!("all are {state}"), AMPLE, || {
        let count = exporter.sources(state)?;
        ensure!(count == WORKERS as f64, "{count} {state}");
        Ok(())
    })
}

/// How often the store was read as a whole until now: passes of reapers, scrapes, and what was asked for readiness.
fn reads(servers: &[Server]) -> Result<usize> {
    let mut sum = 0.0;
    for server in servers {
        let own = Scrape::parse(&get(&server.own_metrics())?)?;
        sum += own.value("metrifold_reaper_passes_total");
        sum += own.starting("metrifold_scrapes_total").map(|(_, count)| count).sum::<f64>();
    }
    Ok(sum as usize)
}

/// All that was said to Redis: each command of a client, with those that it carried out inside a script.
struct Conversation(Vec<Asked>);

struct Asked {
    words: Vec<String>,
    within: Vec<Vec<String>>,
}

impl Conversation {
    fn end(redis: &Redis, monitor: &Process) -> Result<Conversation> {
        // MONITOR tells what is carried out later than who sent it hears of it: until it has told of what is sent last.
        ensure!(redis.command(&["ECHO", MARK])? == MARK, "Redis echoes");
        let log = eventually("MONITOR has told all", AMPLE, || {
            let log = monitor.log();
            ensure!(log.contains(MARK), "not yet: {} bytes, {}", log.len(), log.get(..200).unwrap_or(&log));
            Ok(log)
        })?;
        let mut all: Vec<Asked> = Vec::new();
        // A command stands as: time [database client] "NAME" "argument"…, where a client called lua is a script.
        for line in log.lines() {
            let words = words(line);
            match words.is_empty() {
                true => {}
                false if line.contains(" lua] ") => {
                    all.last_mut().context("a script is called first")?.within.push(words);
                }
                false => all.push(Asked { words, within: Vec::new() }),
            }
        }
        Ok(Conversation(all))
    }

    fn commands(&self) -> impl Iterator<Item = &Vec<String>> {
        self.0.iter().flat_map(|asked| asked.within.iter().chain([&asked.words]))
    }

    fn demand_nobody_scans(&self) -> Result<()> {
        let names: BTreeSet<_> = self.commands().map(|words| words[0].to_uppercase()).collect();
        ensure!(
            !names.iter().any(|name| name.contains("SCAN") || name == "KEYS"),
            "somebody scans: {names:?}"
        );
        let mut keyed = self
            .commands()
            .filter(|words| words[0].to_uppercase().starts_with(['H', 'Z']) && words.len() > 2);
        let foreign = keyed.find(|words| !words[1].starts_with("shop:"));
        ensure!(foreign.is_none(), "keys of others: {foreign:?}");
        Ok(())
    }

    /// Whatever is carried out takes a few commands for each source that it names, and none has room for a field of each
    /// series.
    fn demand_nothing_per_series(&self) -> Result<()> {
        let of_push =
            |asked: &&Asked| asked.within.iter().any(|words| words[0].eq_ignore_ascii_case("PEXPIRE"));
        let pushes = self.0.iter().filter(of_push).count();
        ensure!(pushes > 5 * WORKERS, "{pushes} pushes: MONITOR says nothing");
        for Asked { words, within } in &self.0 {
            // As EVALSHA says.
            let keys: usize = words.get(2).and_then(|count| count.parse().ok()).unwrap_or(0);
            let inside = within.len();
            ensure!(inside <= INSIDE_MAX + INSIDE_PER_KEY * keys, "{inside} inside {:?}", words.get(..3));
            let long = within.iter().find(|words| words.len() > WORDS_MAX);
            ensure!(long.is_none(), "{} words in {:?}", long.map_or(0, Vec::len), words.get(..3));
        }
        Ok(())
    }

    /// So many reads of everything took no more commands than a few for each source and read.
    fn demand_reads_by_source(&self, reads: usize) -> Result<()> {
        let is_push = |asked: &Asked| asked.within.iter().any(|words| words[0].eq_ignore_ascii_case("ZADD"));
        let asked = self.0.iter().filter(|asked| !is_push(asked)).count();
        println!("{asked} commands that are no pushes, for {reads} reads of {WORKERS} sources");
        ensure!(reads > 20, "{reads} reads: MONITOR says nothing");
        ensure!(asked < reads * (WORKERS + 10), "{asked} commands for {reads} reads");
        Ok(())
    }
}

/// What stands between quotes, a quote behind a backslash included.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut is_escaped) = (Vec::new(), None::<String>, false);
    for character in line.chars() {
        match (&mut word, character) {
            (Some(inside), _) if is_escaped => {
                inside.push(character);
                is_escaped = false;
            }
            (Some(_), '\\') => is_escaped = true,
            (Some(_), '"') => words.extend(word.take()),
            (Some(inside), _) => inside.push(character),
            (None, '"') => word = Some(String::new()),
            (None, _) => {}
        }
    }
    words
}

//! What Redis must allow, and what it never sees.

use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Result, ensure};
use metrifold_tests::{Process, Redis, Scrape, Server, eventually, rust_example};
use rustix::process::Signal;
use tempfile::tempdir;

/// As `metrifold_redis` documents it, for one server and without the index of namespaces.
const RIGHTS: &str = "~shop:* -@all +eval +evalsha +hset +hget +hmget +hgetall +hsetnx +hdel +hlen +hincrby +zadd \
                      +zcard +zrange +zrem +set +get +rename +del +unlink +exists +pexpire +time +info";
/// The last word of a watched conversation.
const MARK: &str = "that-was-all";
const AMPLE: Duration = Duration::from_secs(60);

/// Goal: a user who may touch the namespace's keys only, by few commands, suffices for every role, and nobody scans or
/// sends a command per series. Method: MONITOR while workers push by both ways, one is killed and folded, and the view
/// is scraped.
#[test]
fn a_user_with_its_namespace_and_few_commands_suffices_and_nobody_scans() -> Result<()> {
    let directory = tempdir()?;
    let redis = Redis::start()?;
    let mut user = vec!["ACL", "SETUSER", "app", "on", ">pw"];
    user.extend(RIGHTS.split_whitespace());
    ensure!(redis.command(&user)? == "OK", "Redis knows these rights");
    let mut watching = Command::new("redis-cli");
    watching.args(["-p", &redis.port().to_string(), "MONITOR"]).stdin(Stdio::null());
    let monitor = Process::start("monitor", &mut watching, directory.path())?;
    eventually("MONITOR runs", AMPLE, || {
        ensure!(monitor.log().contains("OK"), "not yet");
        Ok(())
    })?;

    let url = format!("redis://app:pw@127.0.0.1:{}", redis.port());
    let store = ["--redis-url", &url, "--namespace", "shop"];
    let short = [
        ("METRIFOLD_WORKERS__TTL", "2s"),
        ("METRIFOLD_STORE__SETTLE", "500ms"),
        ("METRIFOLD_STORE__RESTORE_GRACE", "100ms"),
    ];
    let server = |role: &str| Server::with(role, &[&[role], &store[..]].concat(), &short, directory.path());
    let (collector, exporter) = (server("collector")?, server("exporter")?);
    let worker = |name: &str, target: &str| -> Result<Process> {
        let mut command = Command::new(rust_example("worker")?);
        command.args(["--rate", "500", "--events", "5000", "--target", target, "--ledger"]);
        command.arg(directory.path().join(format!("{name}.ledger"))).env("METRIFOLD_NAMESPACE", "shop");
        Process::start(name, &mut command, directory.path())
    };
    let (mut direct, mut remote) = (worker("direct", &url)?, worker("remote", collector.url())?);
    let mut victim = worker("victim", collector.url())?;
    eventually("all three are live", AMPLE, || {
        let live = exporter.sources("live")?;
        ensure!(live == 3.0, "{live} live");
        Ok(())
    })?;
    victim.signal(Signal::KILL)?;
    victim.wait(AMPLE)?;
    for process in [&mut direct, &mut remote] {
        ensure!(process.wait(AMPLE)?.success(), "{}", process.log());
    }
    let shown = eventually("all are folded", AMPLE, || {
        let shown = Scrape::of(&exporter.metrics())?.value("worker_events_total");
        let folded = exporter.sources("folded")?;
        ensure!(folded == 3.0, "{folded} folded");
        Ok(shown)
    })?;
    ensure!(
        (10_000.0..=15_000.0).contains(&shown),
        "two counted 5000 events each, the third no more: {shown}"
    );

    // MONITOR tells what is carried out later than who sent it hears of it: until it has told of what is sent last.
    ensure!(redis.command(&["ECHO", MARK])? == MARK, "Redis echoes");
    let log = eventually("MONITOR has told all", AMPLE, || {
        let log = monitor.log();
        ensure!(log.contains(MARK), "not yet: {} bytes, {}", log.len(), log.get(..200).unwrap_or(&log));
        Ok(log)
    })?;
    // A command stands as: time [database client] "NAME" "argument"…, where a client called lua is a script.
    let words = |line: &str| line.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let commands: Vec<_> = log.lines().map(words).filter(|words| !words.is_empty()).collect();
    let names: BTreeSet<_> = commands.iter().map(|words| words[0].to_uppercase()).collect();
    ensure!(!names.iter().any(|name| name.contains("SCAN") || name == "KEYS"), "somebody scans: {names:?}");
    let keyed = commands.iter().filter(|words| words[0].starts_with(['H', 'Z']) && words.len() > 1);
    let foreign: Vec<_> = keyed.filter(|words| !words[1].starts_with("shop:")).collect();
    ensure!(foreign.is_empty(), "keys of others: {foreign:?}");
    // Twenty series in each push, and no more than these few commands, those inside the script included.
    let pushes = commands.iter().filter(|words| words[0].eq_ignore_ascii_case("PEXPIRE")).count();
    let written = commands.iter().filter(|words| words[0].eq_ignore_ascii_case("HSET")).count();
    ensure!(
        pushes > 10 && written < pushes * 2,
        "{written} writes for {pushes} pushes: {}",
        &log[log.len().saturating_sub(1000)..]
    );
    Ok(())
}

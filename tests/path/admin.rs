//! `metrifold workers`, `retire` and `wipe` beside running servers and workers.

use std::{
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use metrifold_tests::{Redis, Scrape, Server, binary, eventually, get};
use rustix::process::Signal;
use tempfile::tempdir;

use crate::worker::Worker;

const AMPLE: Duration = Duration::from_secs(60);
/// What a wipe of `shop` needs besides what servers need, and the keys that it may touch.
const RIGHTS: &str = "~shop:* -@all +eval +evalsha +hset +hget +hmget +hgetall +hsetnx +hdel +hlen +hincrby +zadd +zcard \
                      +zrange +zrem +set +get +rename +del +unlink +exists +pexpire +time +info +memory|usage";

fn start(name: &str, namespace: &str, url: &str, directory: &Path) -> Result<Worker> {
    let host = format!("host-of-{name}");
    let variables = [("METRIFOLD_NAMESPACE", namespace), ("METRIFOLD_INSTANCE", &host)];
    Worker::start(name, url, 500, &variables, directory)?.acknowledged(0, AMPLE)
}

fn metrifold(words: &[&str], url: &str) -> Result<Output> {
    let mut command = Command::new(binary()?);
    command.args(words).args(["--namespace", "shop", "--redis-url", url]);
    Ok(command.env("METRIFOLD_STORE__SETTLE", "500ms").output()?)
}

/// What it prints, if it succeeds.
fn answer(words: &[&str], url: &str) -> Result<String> {
    let output = metrifold(words, url)?;
    ensure!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Every key that does not belong to `shop`, with its whole contents.
fn foreign(redis: &Redis) -> Result<Vec<(String, String)>> {
    let keys = redis.command(&["KEYS", "*"])?;
    let mut keys: Vec<_> = keys.lines().filter(|key| !key.is_empty() && !key.starts_with("shop:")).collect();
    keys.sort_unstable();
    keys.into_iter().map(|key| Ok((key.to_owned(), redis.command(&["--no-raw", "DUMP", key])?))).collect()
}

fn total(exporter: &Server) -> Result<f64> {
    Ok(Scrape::of(&exporter.metrics())?.value("worker_events_total"))
}

#[test]
fn workers_are_shown_retired_and_wiped_and_nothing_else_is_touched() -> Result<()> {
    let directory = tempdir()?;
    let directory = directory.path();
    let mut redis = Redis::start()?;
    let url = redis.url();
    let short = [("METRIFOLD_STORE__SETTLE", "500ms"), ("METRIFOLD_STORE__RESTORE_GRACE", "100ms")];
    let server = |role, namespace| {
        let store = [role, "--redis-url", &url, "--namespace", namespace];
        Server::with(&format!("{role}-{namespace}"), &store, &short, directory)
    };
    let mut collector = server("collector", "shop")?;
    let mut exporter = server("exporter", "shop")?;
    let of_shop = |name| start(name, "shop", &url, directory);
    let (mut first, mut second, mut victim) = (of_shop("a")?, of_shop("b")?, of_shop("c")?);

    // Silent for ever, as far as the default time to live of five minutes goes.
    victim.end(Signal::KILL, AMPLE)?;
    let shown = answer(&["workers"], &url)?;
    ensure!(
        shown.lines().count() == 5 && shown.contains("3 live, 0 dead, 0 folded in namespace shop"),
        "{shown}"
    );
    let line = shown.lines().find(|line| line.contains("host-of-c")).context("its line")?;
    let words: Vec<_> = line.split_whitespace().collect();
    ensure!(words[0] == "live" && words[3] == victim.process.pid().to_string(), "{line}");
    let (series, bytes) = (words[words.len() - 2], words[words.len() - 1]);
    ensure!(series.parse::<u32>()? > 10 && bytes.parse::<u32>()? > 200, "{line}");
    answer(&["retire", words[1]], &url)?;
    let shown = answer(&["workers"], &url)?;
    ensure!(shown.contains("2 live, 0 dead, 1 folded"), "{shown}");
    let line = shown.lines().find(|line| line.contains("host-of-c")).context("its line")?;
    ensure!(line.starts_with("folded"), "{line}");
    // One that lives comes back, and is counted once.
    answer(&["retire", "--host", "host-of-a"], &url)?;
    eventually("the retired one is back", AMPLE, || {
        let shown = answer(&["workers"], &url)?;
        ensure!(shown.contains("2 live, 0 dead, 1 folded"), "{shown}");
        Ok(())
    })?;
    let sum = |workers: &[&Worker], word: usize| -> Result<f64> {
        workers.iter().try_fold(0.0, |sum, worker| Ok(sum + worker.words()?[word] as f64))
    };
    let everybody = [&first, &second, &victim];
    let least = sum(&everybody, 2)?;
    let seen = total(&exporter)?;
    let most = sum(&everybody, 0)?;
    ensure!((least..=most).contains(&seen), "{seen} of {least} to {most}");

    let refused = metrifold(&["wipe"], &url)?;
    let reason = String::from_utf8_lossy(&refused.stderr);
    ensure!(
        !refused.status.success() && reason.contains("--yes") && reason.contains("2 sources"),
        "{reason}"
    );
    ensure!(total(&exporter)? >= seen, "nothing happened");

    let mut user = vec!["ACL", "SETUSER", "app", "on", ">pw"];
    user.extend(RIGHTS.split_whitespace());
    ensure!(redis.command(&user)? == "OK", "Redis knows these rights");
    let as_user = format!("redis://app:pw@127.0.0.1:{}", redis.port());
    let living = [&first, &second];
    let acknowledged = sum(&living, 2)?;
    answer(&["wipe", "--yes"], &as_user)?;
    let started = sum(&living, 0)?;
    ensure!(total(&exporter)? < seen, "it begins anew");
    ensure!(answer(&["workers"], &url)?.contains(" 0 folded"), "no tombstone is left");
    // Servers that remember the time before must not bring it back, not even to a Redis that loses everything.
    eventually("the living are back", AMPLE, || {
        let shown = answer(&["workers"], &url)?;
        ensure!(shown.contains("2 live"), "{shown}");
        Ok(())
    })?;
    let passes = || -> Result<f64> {
        Ok(Scrape::parse(&get(&collector.own_metrics())?)?.value("metrifold_reaper_passes_total"))
    };
    let passed = passes()?;
    eventually("the collector has read it", AMPLE, || {
        ensure!(passes()? >= passed + 2.0, "not yet");
        Ok(())
    })?;
    redis.kill()?;
    redis.start_again()?;
    // An end has two seconds for its last push, and the store may need as long to open again.
    for worker in [&mut first, &mut second] {
        let [.., before] = worker.words()?;
        eventually("its pushes are acknowledged again", AMPLE, || {
            ensure!(worker.words()?[2] > before, "not yet: {}", worker.process.log());
            Ok(())
        })?;
        worker.end(Signal::TERM, AMPLE)?;
    }
    let ended = sum(&[&first, &second], 1)?;
    let (least, most) = (ended - started, ended - acknowledged);
    eventually("the exporter shows what was counted since the wipe", AMPLE, || {
        let shown = total(&exporter)?;
        ensure!((least..=most).contains(&shown), "{shown} of {least} to {most}");
        Ok(())
    })?;

    collector.kill()?;
    exporter.kill()?;
    // A neighbour under a name that begins like ours, whose server has ended too: from here on nobody else changes keys.
    let mut neighbour = server("collector", "shop2")?;
    start("neighbour", "shop2", &url, directory)?.end(Signal::TERM, AMPLE)?;
    neighbour.kill()?;
    for name in ["shop", "shop*", "{shop/0}"] {
        redis.command(&["SET", name, "not ours"])?;
    }
    let before = foreign(&redis)?;
    ensure!(before.len() >= 7, "{before:?}");
    answer(&["wipe", "--yes", "--forget"], &url)?;
    let keys = redis.command(&["KEYS", "*"])?;
    ensure!(!keys.contains("shop:"), "{keys}");
    let mut after = foreign(&redis)?;
    after.retain(|(key, _)| key != "metrifold:namespaces");
    ensure!(
        before.iter().filter(|(key, _)| key != "metrifold:namespaces").eq(&after),
        "{before:?}, {after:?}"
    );
    let unused = metrifold(&["workers"], &url)?;
    let reason = String::from_utf8_lossy(&unused.stderr);
    ensure!(!unused.status.success() && reason.contains("nobody has used namespace shop"), "{reason}");
    Ok(())
}

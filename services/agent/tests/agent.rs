//! What an agent owes to the memory of its workers: nothing lost, nothing twice, whoever dies.

mod support;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use metrifold_agent::AgentSettings;
use metrifold_merge::{MergeOptions, View, merge};
use metrifold_model::{Descriptor, Exemplar, Kind, Labels, Namespace};
use metrifold_push::Transport;
use metrifold_segment::{Recorder, RecorderSettings, SegmentDirectory, is_served};
use metrifold_session::{ReapPolicy, reap};
use metrifold_store::{CommitOutcome, EmbeddedSettings, EmbeddedStore, ShardIndex, Store};
use support::{
    Faulty, Running, Worker, assert_exact, count_if_worker, counted, eventually, quick, start, store, total,
};

/// Not a test: the worker that the others start.
#[test]
fn worker_process() -> Result<()> {
    count_if_worker()
}

#[tokio::test]
async fn the_last_values_of_killed_workers_arrive_and_their_segments_go() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let segments = directory.path().join("segments");
    let store = store()?;
    let running = start(&segments, vec![Faulty::new("store", &store)], quick())?;
    let (mut began, mut ended) = (0, 0);
    for number in 0..4 {
        let worker = Worker::start(&segments, &directory.path().join(number.to_string()))?;
        counted(&worker, 1_000).await?;
        let (b, e) = worker.kill()?;
        (began, ended) = (began + b, ended + e);
    }
    assert_exact(&store, &segments, began, ended).await?;
    running.shutdown.cancel();
    running.task.await??;
    Ok(())
}

async fn fold(store: &dyn Store) -> Result<()> {
    let snapshot = store.snapshot(&Namespace::default(), ShardIndex(0)).await?;
    let fold = reap(&snapshot, &ReapPolicy::default()).context("somebody has ended")?;
    ensure!(store.commit(&Namespace::default(), ShardIndex(0), &fold).await? == CommitOutcome::Committed);
    Ok(())
}

/// A segment goes at the acknowledgement, so a store with a data directory must have on disk what it has acknowledged: both
/// are killed before anybody has folded.
#[tokio::test]
async fn what_went_with_its_segment_outlives_an_embedded_store() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (segments, data) = (directory.path().join("segments"), directory.path().join("data"));
    let open = || -> Result<_> {
        let settings = EmbeddedSettings { data_dir: Some(data.clone()), ..EmbeddedSettings::default() };
        Ok(Arc::new(EmbeddedStore::open(settings)?))
    };
    let store = open()?;
    let running = start(&segments, vec![Faulty::new("own", &store)], quick())?;
    let worker = Worker::start(&segments, &directory.path().join("ledger"))?;
    counted(&worker, 1_000).await?;
    let (began, ended) = worker.kill()?;
    assert_exact(&store, &segments, began, ended).await?;
    running.task.abort();
    ensure!(running.task.await.is_err_and(|error| error.is_cancelled()), "the agent ended by itself");
    drop(store);

    let store = open()?;
    for _ in 0..2 {
        let (total, live) = total(&*store).await?;
        ensure!(total >= ended as f64 && total <= began as f64, "{ended} ended, {total} after a restart");
        if live == 1 {
            fold(&*store).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_segment_that_is_removed_under_its_worker_is_counted_to_the_end() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let segments = directory.path().join("segments");
    let store = store()?;
    let target = Faulty::new("store", &store);
    let mut running = start(&segments, vec![target.clone()], quick())?;
    let worker = Worker::start(&segments, &directory.path().join("ledger"))?;
    counted(&worker, 1_000).await?;
    eventually(|| async {
        ensure!(total(&*store).await?.0 > 0.0, "nothing arrived");
        Ok(())
    })
    .await?;
    for segment in SegmentDirectory::open(&segments)?.segments()? {
        std::fs::remove_file(segment)?;
    }
    let before = worker.events().1;
    counted(&worker, before + 1_000).await?;
    // The last push cannot be made at once.
    target.is_down.store(true, Ordering::Relaxed);
    let (began, ended) = worker.kill()?;
    while running.status.borrow_and_update().dead == 0 {
        running.status.changed().await?;
    }
    for _ in 0..10 {
        running.status.changed().await?;
    }
    target.is_down.store(false, Ordering::Relaxed);
    eventually(|| async {
        let (total, live) = total(&*store).await?;
        ensure!(live == 0 && total >= ended as f64 && total <= began as f64, "{total}, {live} live");
        Ok(())
    })
    .await?;
    ensure!(!running.task.is_finished(), "the agent has ended");
    Ok(())
}

/// Nobody can remove a directory as if it were a file, which is what stands in the place of the segment by then.
#[tokio::test]
async fn a_segment_that_cannot_be_removed_neither_ends_the_agent_nor_is_pushed_again() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let segments = directory.path().join("segments");
    let store = store()?;
    let target = Faulty::new("store", &store);
    let mut running = start(&segments, vec![target.clone()], quick())?;
    let worker = Worker::start(&segments, &directory.path().join("ledger"))?;
    counted(&worker, 1_000).await?;
    eventually(|| async {
        ensure!(total(&*store).await?.0 > 0.0, "nothing arrived");
        Ok(())
    })
    .await?;
    let path = SegmentDirectory::open(&segments)?.segments()?.pop().context("a segment")?;
    std::fs::rename(&path, directory.path().join("elsewhere"))?;
    std::fs::create_dir(&path)?;
    let (began, ended) = worker.kill()?;
    eventually(|| async {
        let (total, live) = total(&*store).await?;
        ensure!(live == 0 && total >= ended as f64 && total <= began as f64, "{total}, {live} live");
        Ok(())
    })
    .await?;
    let calls = target.calls.load(Ordering::Relaxed);
    for _ in 0..10 {
        running.status.changed().await?;
    }
    ensure!(target.calls.load(Ordering::Relaxed) == calls, "it is pushed again");
    std::fs::remove_dir(&path)?;
    let other = Worker::start(&segments, &directory.path().join("other"))?;
    counted(&other, 1_000).await?;
    let (also_began, also_ended) = other.kill()?;
    assert_exact(&store, &segments, began + also_began, ended + also_ended).await
}

#[tokio::test]
async fn an_agent_outlives_a_want_of_open_files() -> Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    // Of this test's process alone.
    setrlimit(Resource::Nofile, Rlimit { current: Some(128), maximum: Some(128) })?;
    let directory = tempfile::tempdir()?;
    let segments = directory.path().join("segments");
    let store = store()?;
    let mut running = start(&segments, vec![Faulty::new("store", &store)], quick())?;
    let worker = Worker::start(&segments, &directory.path().join("ledger"))?;
    counted(&worker, 1_000).await?;
    eventually(|| async {
        ensure!(total(&*store).await?.0 > 0.0, "nothing arrived");
        Ok(())
    })
    .await?;
    let mut hoard = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        hoard.push(file);
    }
    for _ in 0..10 {
        running.status.changed().await.context("the agent has ended")?;
    }
    drop(hoard);
    let (began, ended) = worker.kill()?;
    assert_exact(&store, &segments, began, ended).await
}

/// The first agent dies without a word while answers are being lost; the second reads in the segment what was sent.
#[tokio::test]
async fn a_successor_goes_on_where_a_killed_agent_stopped() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let segments = directory.path().join("segments");
    let store = store()?;
    let target = Faulty::new("store", &store);
    let worker = Worker::start(&segments, &directory.path().join("ledger"))?;
    for _ in 0..5 {
        target.loses_answers.store(true, Ordering::Relaxed);
        let running = start(&segments, vec![target.clone()], quick())?;
        let before = total(&*store).await?.0;
        eventually(|| async {
            ensure!(total(&*store).await?.0 > before, "nothing new arrived");
            Ok(())
        })
        .await?;
        running.task.abort();
        ensure!(running.task.await.is_err_and(|error| error.is_cancelled()), "the agent ended by itself");
    }
    let (began, ended) = worker.kill()?;
    target.loses_answers.store(false, Ordering::Relaxed);
    let _running = start(&segments, vec![target], quick())?;
    assert_exact(&store, &segments, began, ended).await
}

#[tokio::test]
async fn a_target_that_is_down_loses_nothing_and_delays_nobody() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let segments = directory.path().join("segments");
    let (near, far) = (store()?, store()?);
    let upstream = Faulty::new("upstream", &far);
    upstream.is_down.store(true, Ordering::Relaxed);
    let targets: Vec<Arc<dyn Transport>> = vec![Faulty::new("near", &near), upstream.clone()];
    let _running = start(&segments, targets, quick())?;
    let worker = Worker::start(&segments, &directory.path().join("ledger"))?;
    counted(&worker, 1_000).await?;
    let (began, ended) = worker.kill()?;
    eventually(|| async {
        ensure!(
            total(&*near).await? == (total(&*near).await?.0, 0) && total(&*near).await?.0 >= ended as f64
        );
        Ok(())
    })
    .await?;
    ensure!(SegmentDirectory::open(&segments)?.segments()?.len() == 1, "the segment waits for the upstream");
    ensure!(total(&*far).await?.0 == 0.0);
    upstream.is_down.store(false, Ordering::Relaxed);
    assert_exact(&far, &segments, began, ended).await?;
    assert_exact(&near, &segments, began, ended).await
}

#[tokio::test]
async fn a_target_that_hangs_does_not_delay_the_other() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let segments = directory.path().join("segments");
    let (near, far) = (store()?, store()?);
    let upstream = Faulty::new("upstream", &far);
    upstream.hangs.store(true, Ordering::Relaxed);
    let targets: Vec<Arc<dyn Transport>> = vec![upstream, Faulty::new("near", &near)];
    let settings = AgentSettings { drain_timeout: Duration::from_millis(200), ..quick() };
    let running = start(&segments, targets, settings)?;
    let worker = Worker::start(&segments, &directory.path().join("ledger"))?;
    counted(&worker, 1_000).await?;
    let (_, ended) = worker.kill()?;
    eventually(|| async {
        ensure!(total(&*near).await?.0 >= ended as f64, "not everything yet");
        Ok(())
    })
    .await?;
    // The drain brings the last values to the one and has a deadline although the other never answers.
    let worker = Worker::start(&segments, &directory.path().join("second"))?;
    eventually(|| async {
        ensure!(total(&*near).await?.1 == 1, "not known yet");
        Ok(())
    })
    .await?;
    counted(&worker, 1_000).await?;
    let ended = ended + worker.events().1;
    running.shutdown.cancel();
    running.task.await??;
    ensure!(total(&*near).await?.0 >= ended as f64, "the last values did not arrive");
    ensure!(SegmentDirectory::open(&segments)?.segments()?.len() == 2, "segments wait for the next agent");
    Ok(())
}

#[tokio::test]
async fn lost_answers_count_nothing_twice() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let segments = directory.path().join("segments");
    let store = store()?;
    let target = Faulty::new("store", &store);
    target.loses_answers.store(true, Ordering::Relaxed);
    let _running = start(&segments, vec![target], quick())?;
    let worker = Worker::start(&segments, &directory.path().join("ledger"))?;
    counted(&worker, 20_000).await?;
    let (began, ended) = worker.kill()?;
    assert_exact(&store, &segments, began, ended).await
}

#[tokio::test]
async fn the_drain_brings_the_last_values_of_the_living() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let segments = directory.path().join("segments");
    let store = store()?;
    let mut settings = quick();
    settings.pusher.interval = Duration::from_secs(3600);
    let running = start(&segments, vec![Faulty::new("store", &store)], settings)?;
    let worker = Worker::start(&segments, &directory.path().join("ledger"))?;
    eventually(|| async {
        ensure!(total(&*store).await?.1 == 1, "not known yet");
        Ok(())
    })
    .await?;
    counted(&worker, 1_000).await?;
    let (_, before) = worker.events();
    running.shutdown.cancel();
    running.task.await??;
    let (total, live) = total(&*store).await?;
    ensure!(total >= before as f64 && live == 1, "{total} of {before}, {live} live");
    Ok(())
}

/// Waits until an agent that was just left alone is about to leave, or has left.
async fn about_to_leave(running: &Running, wait: Duration) {
    let began = std::time::Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    while began.elapsed() < wait && !running.task.is_finished() {
        ticks.tick().await;
    }
}

#[tokio::test]
async fn an_idle_agent_leaves_and_a_late_worker_is_still_served() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let segments = directory.path().join("segments");
    let store = store()?;
    let settings = AgentSettings { exit_when_idle: true, linger: Duration::from_millis(300), ..quick() };
    let (mut began, mut ended) = (0, 0);
    // Workers that come at about the time at which the agent leaves: each finds this agent or starts one, as the
    // gunicorn master does.
    let mut running = start(&segments, vec![Faulty::new("store", &store)], settings.clone())?;
    for number in 0..4 {
        let worker = Worker::start(&segments, &directory.path().join(number.to_string()))?;
        counted(&worker, 100).await?;
        if running.task.is_finished() || !is_served(&segments) {
            running.task.await??;
            running = start(&segments, vec![Faulty::new("store", &store)], settings.clone())?;
        }
        let (b, e) = worker.kill()?;
        (began, ended) = (began + b, ended + e);
        about_to_leave(&running, Duration::from_millis(280 + 10 * number)).await;
    }
    assert_exact(&store, &segments, began, ended).await?;
    tokio::time::timeout(Duration::from_secs(10), running.task).await???;
    ensure!(!is_served(&segments), "the lock is free");
    Ok(())
}

#[tokio::test]
async fn segments_that_cannot_be_read_are_skipped_and_the_others_served() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let segments = directory.path().join("segments");
    let store = store()?;
    std::fs::create_dir_all(&segments)?;
    std::fs::write(segments.join("00000000000000aa.seg"), [0x5a; 5000])?;
    std::fs::write(segments.join("00000000000000ab.seg"), b"MTFDSEG1")?;
    let running = start(&segments, vec![Faulty::new("store", &store)], quick())?;
    let worker = Worker::start(&segments, &directory.path().join("ledger"))?;
    counted(&worker, 1_000).await?;
    let (began, ended) = worker.kill()?;
    eventually(|| async {
        let (total, live) = total(&*store).await?;
        ensure!(live == 0 && total >= ended as f64 && total <= began as f64, "{ended} {total} {began}");
        Ok(())
    })
    .await?;
    ensure!(running.status.borrow().corrupt == 2, "{:?}", *running.status.borrow());
    let directory = SegmentDirectory::open(&segments)?;
    eventually(|| async {
        let left = directory.segments()?;
        ensure!(left.len() == 2, "what cannot be read is not removed, the rest is: {left:?}");
        Ok(())
    })
    .await
}

/// A segment has room for the state of two targets; an agent whose configuration changed takes a former one's.
#[tokio::test]
async fn a_worker_outlives_any_number_of_changes_of_the_targets() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let segments = directory.path().join("segments");
    let worker = Worker::start(&segments, &directory.path().join("ledger"))?;
    counted(&worker, 100).await?;
    for name in ["first", "second", "third", "fourth"] {
        let store = store()?;
        let running = start(&segments, vec![Faulty::new(name, &store)], quick())?;
        eventually(|| async {
            ensure!(total(&*store).await?.0 > 0.0, "nothing arrived at {name}");
            Ok(())
        })
        .await?;
        running.shutdown.cancel();
        running.task.await??;
    }
    Ok(())
}

/// The pace of pushes that lead nowhere: `attempts` per second at most, over half a second.
async fn assert_calm(target: &Faulty, attempts: u64) -> Result<()> {
    let (began, before) = (std::time::Instant::now(), target.calls.load(Ordering::Relaxed));
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    while began.elapsed() < Duration::from_millis(500) {
        ticks.tick().await;
    }
    let calls = target.calls.load(Ordering::Relaxed) - before;
    ensure!(calls <= attempts, "{calls} calls in {:?}", began.elapsed());
    Ok(())
}

#[tokio::test]
async fn the_last_values_of_a_refused_source_are_not_pushed_without_pause() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let segments = directory.path().join("segments");
    let target = Faulty::new("store", &store()?);
    let running = start(&segments, vec![target.clone()], quick())?;
    let worker = Worker::start(&segments, &directory.path().join("ledger"))?;
    eventually(|| async {
        ensure!(running.status.borrow().live == 1, "not seen yet");
        Ok(())
    })
    .await?;
    counted(&worker, 100).await?;
    target.refuses.store(true, Ordering::Relaxed);
    worker.kill()?;
    eventually(|| async {
        let status = *running.status.borrow();
        ensure!(status.dead == 1 && status.refused > 0, "{status:?}");
        Ok(())
    })
    .await?;
    assert_calm(&target, 20).await
}

#[tokio::test]
async fn a_drain_towards_a_target_that_is_down_keeps_its_pace_and_its_deadline() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let segments = directory.path().join("segments");
    let store = store()?;
    let target = Faulty::new("store", &store);
    let settings = AgentSettings { drain_timeout: Duration::from_secs(1), ..quick() };
    let running = start(&segments, vec![target.clone()], settings)?;
    let worker = Worker::start(&segments, &directory.path().join("ledger"))?;
    eventually(|| async {
        ensure!(total(&*store).await?.0 > 0.0, "nothing arrived");
        Ok(())
    })
    .await?;
    target.is_down.store(true, Ordering::Relaxed);
    let before = target.calls.load(Ordering::Relaxed);
    eventually(|| async {
        ensure!(target.calls.load(Ordering::Relaxed) > before + 2, "no push is unanswered yet");
        Ok(())
    })
    .await?;
    let before = target.calls.load(Ordering::Relaxed);
    running.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(10), running.task).await???;
    let calls = target.calls.load(Ordering::Relaxed) - before;
    ensure!(calls > 0 && calls <= 50, "{calls} calls in a second");
    target.is_down.store(false, Ordering::Relaxed);
    let (began, ended) = worker.kill()?;
    let _running = start(&segments, vec![target], quick())?;
    assert_exact(&store, &segments, began, ended).await
}

/// It was the last hope of those values: an outage longer than its linger time must not strand them.
#[tokio::test]
async fn an_idle_agent_waits_for_a_target_that_is_down() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let segments = directory.path().join("segments");
    let store = store()?;
    let target = Faulty::new("store", &store);
    let settings = AgentSettings { exit_when_idle: true, linger: Duration::from_millis(400), ..quick() };
    // First the worker: on a busy machine it may take longer to come than the agent lingers for.
    let worker = Worker::start(&segments, &directory.path().join("ledger"))?;
    counted(&worker, 1_000).await?;
    let running = start(&segments, vec![target.clone()], settings)?;
    eventually(|| async {
        ensure!(running.status.borrow().live == 1, "not seen yet");
        Ok(())
    })
    .await?;
    target.is_down.store(true, Ordering::Relaxed);
    let (began, ended) = worker.kill()?;
    eventually(|| async {
        ensure!(running.status.borrow().dead == 1, "not seen yet");
        Ok(())
    })
    .await?;
    let died = std::time::Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    while died.elapsed() < Duration::from_secs(1) {
        ticks.tick().await;
    }
    ensure!(!running.task.is_finished(), "it left unacknowledged values behind");
    target.is_down.store(false, Ordering::Relaxed);
    tokio::time::timeout(Duration::from_secs(10), running.task).await???;
    assert_exact(&store, &segments, began, ended).await
}

#[tokio::test]
async fn an_idle_agent_does_not_wait_for_ever_and_leaves_the_values_to_the_next() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let segments = directory.path().join("segments");
    let store = store()?;
    let target = Faulty::new("store", &store);
    target.is_down.store(true, Ordering::Relaxed);
    let worker = Worker::start(&segments, &directory.path().join("ledger"))?;
    counted(&worker, 1_000).await?;
    let settings = AgentSettings { exit_when_idle: true, linger: Duration::from_millis(10), ..quick() };
    let running = start(&segments, vec![target.clone()], settings.clone())?;
    let (began, ended) = worker.kill()?;
    tokio::time::timeout(Duration::from_secs(20), running.task).await???;
    ensure!(SegmentDirectory::open(&segments)?.segments()?.len() == 1, "the segment waits");
    target.is_down.store(false, Ordering::Relaxed);
    // It gives up after sixty times as long, which is to be more than a busy machine takes for one push.
    let patient = AgentSettings { linger: Duration::from_millis(200), ..settings };
    let successor = start(&segments, vec![target], patient)?;
    tokio::time::timeout(Duration::from_secs(20), successor.task).await???;
    assert_exact(&store, &segments, began, ended).await
}

async fn merged(store: &dyn Store) -> Result<View> {
    let snapshot = store.snapshot(&Namespace::default(), ShardIndex(0)).await?;
    Ok(merge(&[snapshot], &MergeOptions::default()))
}

/// Goal: what a segment says of its slots besides their values is in the merged view, and stays there as far as it should
/// when the source has ended and is folded.
#[tokio::test]
async fn what_goes_along_with_values_reaches_the_view_and_outlives_its_source() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let segments = directory.path().join("segments");
    let store = store()?;
    let running = start(&segments, vec![Faulty::new("store", &store)], quick())?;
    let settings = RecorderSettings { directory: Some(segments.clone()), ..RecorderSettings::default() };
    let recorder = Recorder::open(settings);
    let exemplar = Exemplar { labels: Labels::new([("trace_id", "a")]), value: 2.0, timestamp: 1.5 };
    let counter = |label: &str| Descriptor {
        unit: "bytes".to_owned(),
        ..Descriptor::new(Kind::Counter, "sent_bytes", "sent_bytes_total", Labels::new([("to", label)]), "")
    };
    let kept = recorder.slot(counter("kept"));
    kept.add(3.0);
    kept.set_created(1_000.25);
    ensure!(kept.set_exemplar(&exemplar), "there is room");
    let removed = recorder.slot(counter("removed"));
    removed.add(4.0);
    removed.remove();
    recorder.slot(Descriptor::new(Kind::Info, "build", "build_info", Labels::default(), "")).set(1.0);

    let is_whole = |view: &View| {
        let family = view.families.last().filter(|family| family.name == "sent_bytes");
        family.is_some_and(|family| {
            (&family.values[..], &family.created[..], family.unit.as_ref()) == (&[3.0], &[1_000.25], "bytes")
                && family.exemplars == [(0, Arc::new(exemplar.clone()))]
        }) && view.removed.len() == 1
    };
    eventually(|| async {
        let view = merged(&*store).await?;
        ensure!(is_whole(&view) && view.families.len() == 2, "{view:?}");
        Ok(())
    })
    .await?;
    drop((recorder, kept, removed));
    eventually(|| async {
        ensure!(SegmentDirectory::open(&segments)?.segments()?.is_empty(), "the segment remains");
        Ok(())
    })
    .await?;
    let view = merged(&*store).await?;
    ensure!(is_whole(&view) && view.families.len() == 1, "{view:?}");
    let snapshot = store.snapshot(&Namespace::default(), ShardIndex(0)).await?;
    let fold = reap(&snapshot, &ReapPolicy::default()).expect("it has ended");
    store.commit(&Namespace::default(), ShardIndex(0), &fold).await?;
    let view = merged(&*store).await?;
    ensure!(is_whole(&view) && view.sources.dead == 0, "{view:?}");
    running.shutdown.cancel();
    running.task.await??;
    Ok(())
}

//! Folding, ageing and trimming over a real store.

mod support;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Result, ensure};
use metrifold_collector::{Reaper, ReaperSettings};
use metrifold_model::{Descriptor, DescriptorList, Incarnation, Kind, Labels, Namespace, Values, Worker};
use metrifold_session::{Instant, Pusher, PusherSettings, ReapPolicy, ShardSnapshot};
use metrifold_store::{EmbeddedStore, ShardIndex, Store};
use support::{fragile::Fragile, store, total};

fn settings(ttl: Duration, tombstone_lifetime: Duration) -> ReaperSettings {
    let policy = ReapPolicy { ttl: Some(ttl), tombstone_lifetime, ..ReapPolicy::default() };
    ReaperSettings { policy, ..ReaperSettings::default() }
}

async fn snapshot(store: &EmbeddedStore) -> Result<Arc<ShardSnapshot>> {
    Ok(store.snapshot(&Namespace::default(), ShardIndex(0)).await?)
}

/// Pushes one counter's value until the store has it.
async fn push(store: &dyn Store, pusher: &mut Pusher, value: f64, ended: bool) -> Result<()> {
    let counter = Descriptor::new(Kind::Counter, "events", "events_total", Labels::default(), "Events");
    let descriptors: DescriptorList = [counter].into_iter().collect();
    for _ in 0..2 {
        let push = pusher.offer(Instant(1), &descriptors, Values::from_slots(vec![value]), ended);
        let answer = store.push(&Namespace::default(), &push).await?;
        pusher.answered(Instant(1), push.seq, answer);
    }
    Ok(())
}

fn source(id: u64) -> Pusher {
    Pusher::new(Incarnation(id), Worker::default(), PusherSettings::default(), Instant(1))
}

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn the_ended_are_folded_and_the_silent_after_their_time_to_live() -> Result<()> {
    let store = store()?;
    let (mut ended, mut silent) = (source(1), source(2));
    push(&*store, &mut ended, 3.0, true).await?;
    push(&*store, &mut silent, 4.0, false).await?;
    let mut patient = Reaper::new(store.clone(), Namespace::default(), settings(DAY, DAY));
    patient.pass().await;
    let shard = snapshot(&store).await?;
    ensure!(shard.records.len() == 1 && shard.tombstones.len() == 1, "only the ended one is folded");
    let mut impatient = Reaper::new(store.clone(), Namespace::default(), settings(Duration::ZERO, DAY));
    for _ in 0..200 {
        impatient.pass().await;
        if snapshot(&store).await?.records.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    ensure!(snapshot(&store).await?.tombstones.len() == 2);
    ensure!(total(&*store).await?.0 == 7.0);
    push(&*store, &mut silent, 6.0, false).await?;
    ensure!(total(&*store).await?.0 == 9.0, "the silent one was alive: only its two new events count");
    Ok(())
}

/// Reapers advance one clock by the time that passed: not each of them by all of it, and not by half of it.
#[tokio::test]
async fn several_reapers_do_not_make_tombstones_age_faster() -> Result<()> {
    for reapers in [1, 4] {
        assert_age(reapers).await?;
    }
    Ok(())
}

async fn assert_age(reapers: usize) -> Result<()> {
    let store = store()?;
    push(&*store, &mut source(1), 3.0, true).await?;
    let mut reapers: Vec<_> =
        (0..reapers).map(|_| Reaper::new(store.clone(), Namespace::default(), settings(DAY, DAY))).collect();
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_millis(500) {
        for reaper in &mut reapers {
            reaper.pass().await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let passed = u64::try_from(began.elapsed().as_millis())?;
    let age = snapshot(&store).await?.head.age.0;
    ensure!(age <= passed + 1 && age >= passed * 3 / 4, "aged {age} ms in {passed} ms");
    Ok(())
}

#[tokio::test]
async fn a_tombstone_is_trimmed_after_its_lifetime_and_its_counts_stay() -> Result<()> {
    let store = store()?;
    push(&*store, &mut source(1), 3.0, true).await?;
    let mut reaper =
        Reaper::new(store.clone(), Namespace::default(), settings(DAY, Duration::from_millis(100)));
    for _ in 0..500 {
        reaper.pass().await;
        let shard = snapshot(&store).await?;
        if shard.head.counter == 2 {
            ensure!(shard.tombstones.is_empty() && shard.records.is_empty());
            ensure!(total(&*store).await?.0 == 3.0);
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    anyhow::bail!("never trimmed: {:?}", snapshot(&store).await?.head)
}

/// A reaper that passes until the shard satisfies a condition.
async fn pass_until(
    store: &Fragile,
    reaper: &mut Reaper,
    condition: impl Fn(&ShardSnapshot) -> bool,
) -> Result<Arc<ShardSnapshot>> {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    loop {
        reaper.pass().await;
        let shard = store.snapshot(&Namespace::default(), ShardIndex(0)).await?;
        if condition(&shard) {
            return Ok(shard);
        }
        ensure!(std::time::Instant::now() < deadline, "not in time: {:?}", shard.head);
        ticks.tick().await;
    }
}

fn with(settle: Duration, restore_grace: Duration) -> ReaperSettings {
    let policy = ReapPolicy { settle, ..ReapPolicy::default() };
    ReaperSettings { policy, restore_grace, ..ReaperSettings::default() }
}

#[tokio::test]
async fn a_reaper_without_memory_leaves_a_sealed_shard_to_others_for_its_grace() -> Result<()> {
    let store = Fragile::sealed();
    let grace = Duration::from_millis(300);
    let mut reaper = Reaper::new(store.clone(), Namespace::default(), with(Duration::ZERO, grace));
    let began = std::time::Instant::now();
    pass_until(&store, &mut reaper, |shard| !shard.head.sealed).await?;
    ensure!(began.elapsed() >= grace, "opened after {:?}", began.elapsed());
    Ok(())
}

/// One source is in the archive, one lives. The store loses both; the reaper's memory brings them back at once, and
/// nothing is folded before others had the time to bring something newer.
#[tokio::test]
async fn a_lost_shard_comes_back_from_memory_and_is_folded_only_once_settled() -> Result<()> {
    let store = Fragile::sealed();
    let settle = Duration::from_millis(300);
    let mut reaper = Reaper::new(store.clone(), Namespace::default(), with(settle, Duration::ZERO));
    pass_until(&store, &mut reaper, |shard| !shard.head.sealed).await?;
    let mut live = source(2);
    push(&*store, &mut source(1), 3.0, true).await?;
    push(&*store, &mut live, 4.0, false).await?;
    pass_until(&store, &mut reaper, |shard| shard.tombstones.len() == 1).await?;
    push(&*store, &mut live, 5.0, true).await?;
    let counter = store.snapshot(&Namespace::default(), ShardIndex(0)).await?.head.counter;

    store.lose().await;
    let lost = std::time::Instant::now();
    reaper.pass().await;
    let shard = store.snapshot(&Namespace::default(), ShardIndex(0)).await?;
    ensure!(!shard.head.sealed && shard.head.counter == counter, "{:?}", shard.head);
    ensure!(total(&*store).await?.0 >= 7.0, "the archive or the live source is missing");
    push(&*store, &mut live, 5.0, true).await?;
    push(&*store, &mut live, 5.0, true).await?;
    pass_until(&store, &mut reaper, |shard| shard.head.counter > counter).await?;
    ensure!(lost.elapsed() >= settle, "folded after {:?}", lost.elapsed());
    ensure!(total(&*store).await?.0 == 8.0);
    Ok(())
}

/// The one that opens the shard first knows less. While it settles, the other brings what it knows: here a live source
/// of which the archive says nothing.
#[tokio::test]
async fn what_a_second_reaper_remembers_is_added_to_a_shard_that_an_ignorant_one_opened() -> Result<()> {
    let store = Fragile::sealed();
    let settings = with(Duration::from_secs(60), Duration::ZERO);
    let mut knowing = Reaper::new(store.clone(), Namespace::default(), settings.clone());
    knowing.pass().await;
    push(&*store, &mut source(2), 4.0, false).await?;
    knowing.pass().await;
    store.lose().await;
    Reaper::new(store.clone(), Namespace::default(), settings).pass().await;
    ensure!(total(&*store).await? == (0.0, 0), "an ignorant reaper opens it empty");
    knowing.pass().await;
    ensure!(total(&*store).await? == (4.0, 1), "what was remembered is missing");
    Ok(())
}

/// What the reaper reads back after its fold is an empty shard: that must not replace what it remembers.
#[tokio::test]
async fn a_loss_right_after_a_fold_does_not_empty_the_memory() -> Result<()> {
    let store = Fragile::sealed();
    let mut reaper = Reaper::new(store.clone(), Namespace::default(), with(Duration::ZERO, Duration::ZERO));
    reaper.pass().await;
    push(&*store, &mut source(1), 3.0, true).await?;
    push(&*store, &mut source(2), 4.0, false).await?;
    store.loses_all_after_commit.store(true, Ordering::Relaxed);
    reaper.pass().await;
    ensure!(!store.loses_all_after_commit.load(Ordering::Relaxed), "nothing was folded");
    pass_until(&store, &mut reaper, |shard| !shard.head.sealed).await?;
    ensure!(total(&*store).await? == (7.0, 1), "{:?}", total(&*store).await?);
    Ok(())
}

/// Also one that is full, which no check would find in order: folding is what makes room.
#[tokio::test]
async fn a_store_that_fails_is_tended_again_afterwards() -> Result<()> {
    let store = Fragile::sealed();
    let mut reaper = Reaper::new(store.clone(), Namespace::default(), with(Duration::ZERO, Duration::ZERO));
    reaper.pass().await;
    push(&*store, &mut source(1), 3.0, true).await?;
    store.fails.store(true, Ordering::Relaxed);
    reaper.pass().await;
    store.fails.store(false, Ordering::Relaxed);
    pass_until(&store, &mut reaper, |shard| shard.tombstones.len() == 1).await?;
    ensure!(total(&*store).await?.0 == 3.0);
    Ok(())
}

/// What was carried out in memory is not found due again, so the pass after it has to see to it.
#[tokio::test]
async fn a_fold_that_could_not_be_kept_is_kept_by_the_next_pass() -> Result<()> {
    let store = Fragile::sealed();
    let mut reaper = Reaper::new(store.clone(), Namespace::default(), with(Duration::ZERO, Duration::ZERO));
    pass_until(&store, &mut reaper, |shard| !shard.head.sealed).await?;
    push(&*store, &mut source(1), 3.0, true).await?;
    store.cannot_keep.store(true, Ordering::Relaxed);
    ensure!(!reaper.pass().await, "the pass has failed");
    ensure!(store.is_behind.load(Ordering::Relaxed), "the fold was carried out");
    ensure!(reaper.pass().await, "the next one has not");
    ensure!(!store.is_behind.load(Ordering::Relaxed), "and it is kept");
    Ok(())
}

//! Folding, ageing and trimming over a real store.

mod support;

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use metrifold_collector::{Reaper, ReaperSettings};
use metrifold_model::{Descriptor, DescriptorList, Incarnation, Kind, Labels, Namespace, Values, Worker};
use metrifold_session::{Instant, Pusher, PusherSettings, ReapPolicy, ShardSnapshot};
use metrifold_store::{EmbeddedStore, ShardIndex, Store};
use support::{store, total};

fn settings(ttl: Duration, tombstone_lifetime: Duration) -> ReaperSettings {
    let policy = ReapPolicy { ttl: Some(ttl), tombstone_lifetime, ..ReapPolicy::default() };
    ReaperSettings { policy, ..ReaperSettings::default() }
}

async fn snapshot(store: &EmbeddedStore) -> Result<Arc<ShardSnapshot>> {
    Ok(store.snapshot(&Namespace::default(), ShardIndex(0)).await?)
}

/// Pushes one counter's value until the store has it.
async fn push(store: &EmbeddedStore, pusher: &mut Pusher, value: f64, ended: bool) -> Result<()> {
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
    push(&store, &mut ended, 3.0, true).await?;
    push(&store, &mut silent, 4.0, false).await?;
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
    ensure!(total(&store).await?.0 == 7.0);
    push(&store, &mut silent, 6.0, false).await?;
    ensure!(total(&store).await?.0 == 9.0, "the silent one was alive: only its two new events count");
    Ok(())
}

/// Two reapers advance one clock by the time that passed, not each of them by all of it.
#[tokio::test]
async fn several_reapers_do_not_make_tombstones_age_faster() -> Result<()> {
    let store = store()?;
    push(&store, &mut source(1), 3.0, true).await?;
    let mut reapers: Vec<_> =
        (0..4).map(|_| Reaper::new(store.clone(), Namespace::default(), settings(DAY, DAY))).collect();
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_millis(500) {
        for reaper in &mut reapers {
            reaper.pass().await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let passed = u64::try_from(began.elapsed().as_millis())?;
    let age = snapshot(&store).await?.head.age.0;
    ensure!(age > 0 && age <= passed + 1, "aged {age} ms in {passed} ms");
    Ok(())
}

#[tokio::test]
async fn a_tombstone_is_trimmed_after_its_lifetime_and_its_counts_stay() -> Result<()> {
    let store = store()?;
    push(&store, &mut source(1), 3.0, true).await?;
    let mut reaper =
        Reaper::new(store.clone(), Namespace::default(), settings(DAY, Duration::from_millis(100)));
    for _ in 0..500 {
        reaper.pass().await;
        let shard = snapshot(&store).await?;
        if shard.head.counter == 2 {
            ensure!(shard.tombstones.is_empty() && shard.records.is_empty());
            ensure!(total(&store).await?.0 == 3.0);
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    anyhow::bail!("never trimmed: {:?}", snapshot(&store).await?.head)
}

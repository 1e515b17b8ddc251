//! Redis' processor time per push against a plain `SET` of the same bytes.

use anyhow::{Result, ensure};
use bytes::Bytes;
use metrifold_format::encode_values;
use metrifold_redis::{Judgement, PushScript, PushSettings, keys::shard_of, parse_push_reply};
use metrifold_session::{Answer, Payload};

use crate::{
    median,
    redis::{LIMIT, LoadRedis},
    source::{LoadSource, descriptors},
};

const ROUNDS: usize = 9;

/// What each size may cost, as a ratio.
const SIZES: [(usize, usize, f64); 2] = [(1_000, 4_000, 3.0), (100_000, 200, 1.5)];

pub(crate) async fn measure(redis: &LoadRedis) -> Result<()> {
    let (pushing, setting) = (redis.client()?, redis.client()?);
    let store = redis.store()?;
    let script =
        PushScript::new(&redis.namespace, shard_of(metrifold_model::Incarnation(0), 1), PushSettings::new(1));
    for (number, (slots, count, allowed)) in (0..).zip(SIZES) {
        let mut source = LoadSource::new(number, &descriptors(slots));
        source.push(&store, &redis.namespace).await?;
        let mut ratios = Vec::new();
        let mut bytes = 0;
        for _ in 0..ROUNDS {
            let pushes: Vec<_> = (0..count).map(|_| source.next()).collect();
            let blobs: Vec<_> = pushes
                .iter()
                .map(|push| match &push.payload {
                    Payload::Values(values) => Bytes::from(encode_values(values)),
                    Payload::Hello | Payload::Unchanged => Bytes::new(),
                })
                .collect();
            bytes = blobs[0].len();
            let calls: Vec<_> = pushes.iter().map(|push| script.call(push, Judgement::Sound)).collect();
            let began = redis.cpu()?;
            for call in &calls {
                let reply = pushing.script(call, LIMIT).await?;
                let answer = parse_push_reply(&reply)?;
                ensure!(matches!(answer, Answer::Ok { .. }), "{answer:?}");
            }
            let pushed = redis.cpu()?;
            for blob in blobs {
                let words = vec![Bytes::from_static(b"SET"), Bytes::from_static(b"plain"), blob];
                setting.command("plain", words, LIMIT).await?;
            }
            let set = redis.cpu()?;
            ratios.push((pushed - began) / (set - pushed));
        }
        println!(
            "a push of {bytes} bytes costs Redis {:.2} times a SET of as many (at most {allowed})",
            median(ratios)
        );
    }
    Ok(())
}

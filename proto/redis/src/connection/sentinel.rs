//! Asking sentinels for the master.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;

use super::open::{ConnectOptions, Connection, flat};
use crate::{
    RedisError,
    address::{Endpoint, Login},
};

/// How long the others may take once one sentinel has answered, which takes it milliseconds.
const STRAGGLERS: Duration = Duration::from_millis(250);

/// What one sentinel believes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Belief {
    /// Counts fail-overs: of two beliefs, the one with the higher epoch is newer.
    epoch: u64,
    endpoint: Endpoint,
}

/// The master's endpoint, as the sentinel knows that has heard of the last fail-over.
///
/// All are asked, and the answers of all are waited for: after a fail-over the others need some seconds to hear of it, and
/// the former master, if it comes back, goes on as a master for as long. What would be written there would be lost. Once
/// one has answered, the others have little time: a host that is gone takes its sentinel along with its master.
pub(crate) async fn find(
    sentinels: &[Endpoint],
    name: &str,
    login: &Login,
    options: &ConnectOptions,
) -> Result<Endpoint, RedisError> {
    let options = ConnectOptions { login: login.clone(), database: 0, ..options.clone() };
    let answers = sentinels.iter().map(|sentinel| ask(sentinel, name, &options)).collect();
    let (beliefs, failures) = settle(answers, STRAGGLERS).await;
    let newest = beliefs.into_iter().max_by_key(|belief| belief.epoch);
    newest.map(|belief| belief.endpoint).ok_or_else(|| {
        RedisError::Unavailable(format!("no sentinel names the master {name:?}: {}", failures.join("; ")))
    })
}

/// What comes in until all have answered, or `patience` has passed since the first that did not fail; and what failed.
async fn settle<T>(
    mut answers: FuturesUnordered<impl Future<Output = Result<T, RedisError>>>,
    patience: Duration,
) -> (Vec<T>, Vec<String>) {
    let (mut given, mut failures) = (Vec::new(), Vec::new());
    let mut end = None;
    loop {
        let next = match end {
            None => answers.next().await,
            Some(end) => tokio::time::timeout_at(end, answers.next()).await.ok().flatten(),
        };
        match next {
            Some(Ok(answer)) => {
                given.push(answer);
                end.get_or_insert_with(|| Instant::now() + patience);
            }
            Some(Err(failure)) => failures.push(failure.to_string()),
            None => return (given, failures),
        }
    }
}

async fn ask(sentinel: &Endpoint, name: &str, options: &ConnectOptions) -> Result<Belief, RedisError> {
    let connection = Connection::open(sentinel, options).await?;
    let question = |word: &'static str| {
        ["SENTINEL", word, name].map(|word| Bytes::copy_from_slice(word.as_bytes())).to_vec()
    };
    // The state first: the address is not older then. (The state's own address is the former master's for as long as
    // a fail-over goes on.)
    let questions = [question("MASTER"), question("GET-MASTER-ADDR-BY-NAME")];
    let answers = connection.send(&questions, options.settings.connect_timeout).await;
    let answers = answers.into_iter().map(|answer| answer.map(flat)).collect::<Result<Vec<_>, _>>();
    let answers = answers.map_err(|cause| RedisError::of(&cause).at(sentinel))?;
    let belief = match answers.as_slice() {
        [state, address] => read(state, address),
        _ => None,
    };
    belief.ok_or_else(|| RedisError::Unavailable(format!("{sentinel} knows no such master")))
}

/// Reads the state, names and values in turn, and the address, host and port.
fn read(state: &[Bytes], address: &[Bytes]) -> Option<Belief> {
    let (pairs, _) = state.as_chunks::<2>();
    let (_, epoch) =
        pairs.iter().map(|[name, value]| (name, value)).find(|(name, _)| *name == "config-epoch")?;
    let [host, port] = address else { return None };
    let text = |word| std::str::from_utf8(word).ok();
    let endpoint = Endpoint::Tcp { host: text(host)?.to_owned(), port: text(port)?.parse().ok()? };
    Some(Belief { epoch: text(epoch)?.parse().ok()?, endpoint })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words<const N: usize>(words: [&'static str; N]) -> Vec<Bytes> {
        words.map(|word| Bytes::from_static(word.as_bytes())).to_vec()
    }

    #[tokio::test(start_paused = true)]
    async fn once_one_has_answered_the_others_have_little_time() {
        let settled = async |answers: &[(u64, Result<u64, &str>)]| {
            let begin = Instant::now();
            let answers = answers.iter().map(|(millis, answer)| async move {
                tokio::time::sleep(Duration::from_millis(*millis)).await;
                answer.map_err(|cause| RedisError::Unavailable(cause.into()))
            });
            let (given, failures) = settle(answers.collect(), STRAGGLERS).await;
            (given, failures.len(), begin.elapsed().as_millis())
        };
        assert_eq!(settled(&[(5, Ok(1)), (3, Ok(2)), (60_000, Ok(3))]).await, (vec![2, 1], 0, 253));
        assert_eq!(settled(&[(5, Ok(1)), (200, Ok(2))]).await, (vec![1, 2], 0, 200));
        // A failure is no answer.
        assert_eq!(settled(&[(1, Err("gone")), (900, Ok(2)), (950, Err("gone"))]).await, (vec![2], 2, 950));
        assert_eq!(settled(&[(1, Err("gone")), (1_000, Err("gone"))]).await, (vec![], 2, 1_000));
    }

    #[test]
    fn a_sentinels_belief_is_its_address_at_the_epoch_of_its_state() {
        let state = words(["name", "main", "ip", "former", "port", "1", "config-epoch", "3"]);
        let endpoint = Endpoint::Tcp { host: "::1".into(), port: 7000 };
        assert_eq!(read(&state, &words(["::1", "7000"])), Some(Belief { epoch: 3, endpoint }));
        assert_eq!(read(&state[..6], &words(["::1", "7000"])), None);
        assert_eq!(read(&state, &[]), None);
    }
}

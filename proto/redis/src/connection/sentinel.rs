//! Asking sentinels for the master.

use bytes::Bytes;
use futures::future::join_all;

use super::open::{ConnectOptions, Connection, flat};
use crate::{
    RedisError,
    address::{Endpoint, Login},
};

/// What one sentinel believes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Belief {
    /// Counts fail-overs: of two beliefs, the one with the higher epoch is newer.
    epoch: u64,
    endpoint: Endpoint,
}

/// The master's endpoint, as the sentinel knows that has heard of the last fail-over.
///
/// All are asked, and all answers are waited for: after a fail-over the others need some seconds to hear of it, and the
/// former master, if it comes back, goes on as a master for as long. What would be written there would be lost.
pub(crate) async fn find(
    sentinels: &[Endpoint],
    name: &str,
    login: &Login,
    options: &ConnectOptions,
) -> Result<Endpoint, RedisError> {
    let options = ConnectOptions { login: login.clone(), database: 0, ..options.clone() };
    let answers = join_all(sentinels.iter().map(|sentinel| ask(sentinel, name, &options))).await;
    let failures: Vec<_> =
        answers.iter().filter_map(|answer| answer.as_ref().err()).map(ToString::to_string).collect();
    let newest = answers.into_iter().flatten().max_by_key(|belief| belief.epoch);
    newest.map(|belief| belief.endpoint).ok_or_else(|| {
        RedisError::Unavailable(format!("no sentinel names the master {name:?}: {}", failures.join("; ")))
    })
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

    #[test]
    fn a_sentinels_belief_is_its_address_at_the_epoch_of_its_state() {
        let state = words(["name", "main", "ip", "former", "port", "1", "config-epoch", "3"]);
        let endpoint = Endpoint::Tcp { host: "::1".into(), port: 7000 };
        assert_eq!(read(&state, &words(["::1", "7000"])), Some(Belief { epoch: 3, endpoint }));
        assert_eq!(read(&state[..6], &words(["::1", "7000"])), None);
        assert_eq!(read(&state, &[]), None);
    }
}

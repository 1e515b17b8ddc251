//! Asking sentinels for the master.

use bytes::Bytes;
use fred::prelude::Value;
use futures::{StreamExt, stream::FuturesUnordered};

use crate::{
    DialError,
    address::{Door, Login},
    connection::{Connection, Manner, flat},
};

/// The master's door, by the first sentinel that knows it: all are asked at once, so that one that hangs delays nobody.
pub(crate) async fn find(
    sentinels: &[Door],
    name: &str,
    login: &Login,
    manner: &Manner,
) -> Result<Door, DialError> {
    let manner = Manner { login: login.clone(), database: 0, ..manner.clone() };
    let mut answers: FuturesUnordered<_> =
        sentinels.iter().map(|sentinel| ask(sentinel, name, &manner)).collect();
    let mut failures = Vec::new();
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(door) => return Ok(door),
            Err(error) => failures.push(error.to_string()),
        }
    }
    Err(DialError::Unavailable(format!("no sentinel names the master {name:?}: {}", failures.join("; "))))
}

async fn ask(sentinel: &Door, name: &str, manner: &Manner) -> Result<Door, DialError> {
    let connection = Connection::open(sentinel, manner).await?;
    let question = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name];
    let question = question.map(|word| Bytes::copy_from_slice(word.as_bytes())).to_vec();
    let mut answers = connection.send(&[question], manner.settings.connect_timeout).await;
    let answer =
        answers.pop().unwrap_or(Ok(Value::Null)).map_err(|cause| DialError::of(&cause).at(sentinel))?;
    let words = flat(answer);
    let text = |place: usize| words.get(place).and_then(|word| std::str::from_utf8(word).ok());
    let door = text(0).zip(text(1).and_then(|port| port.parse().ok()));
    let door = door.map(|(host, port)| Door::Tcp { host: host.to_owned(), port });
    door.ok_or_else(|| DialError::Unavailable(format!("{sentinel} knows no such master")))
}

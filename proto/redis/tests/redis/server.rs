//! One server: signing in, databases, sockets, and what happens when it goes away.

use std::time::{Duration, Instant};

use metrifold_redis::RedisError;

use crate::support::{AMPLE, Server, client, client_within, command, command_within, eventually};

const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn an_acl_user_with_a_password_reaches_the_database_that_the_address_names() {
    let server = Server::plain();
    server.cli(&["ACL", "SETUSER", "app", "on", ">p@ss/w:rd", "~shop:*", "+@all"]);
    let client = client(&format!("redis://app:p%40ss%2Fw%3Ard@127.0.0.1:{}/3", server.port));
    command(&client, &["SET", "shop:x", "1"]).await.expect("its own key");
    assert_eq!(server.cli(&["-n", "3", "GET", "shop:x"]), "1");
    let refused = command(&client, &["SET", "other", "1"]).await.expect_err("not its key");
    assert!(matches!(&refused, RedisError::Refused(words) if words.contains("NOPERM")), "{refused}");
}

#[tokio::test]
async fn a_wrong_password_is_refused_in_redis_words_without_being_shown() {
    let server = Server::plain();
    server.cli(&["CONFIG", "SET", "requirepass", "right"]);
    let client = client(&format!("redis://:hunter2@127.0.0.1:{}", server.port));
    let refused = command(&client, &["GET", "x"]).await.expect_err("the password is wrong");
    assert!(matches!(&refused, RedisError::Refused(words) if words.contains("WRONGPASS")), "{refused}");
    assert!(!refused.to_string().contains("hunter2"));
}

#[tokio::test]
async fn a_unix_socket_is_a_server_too() {
    let server = Server::start(&["--port", "{port}", "--unixsocket", "redis.sock"]);
    let socket = server.directory.path().join("redis.sock");
    let client = client(&format!("redis+unix://{}?db=1", socket.display()));
    eventually(&client, &["SET", "x", "1"]).await;
    assert_eq!(server.cli(&["-n", "1", "GET", "x"]), "1");
}

#[tokio::test]
async fn a_replica_is_no_store() {
    let (master, replica) = (Server::plain(), Server::plain());
    replica.cli(&["REPLICAOF", "127.0.0.1", &master.port.to_string()]);
    let client = client(&format!("redis://127.0.0.1:{}", replica.port));
    let refused = command(&client, &["GET", "x"]).await.expect_err("a replica");
    assert!(refused.to_string().contains("name its master"), "{refused}");
}

#[tokio::test]
async fn a_server_that_hangs_costs_no_more_than_the_limit_and_is_used_again_when_it_goes_on() {
    let server = Server::plain();
    let client = client_within(&format!("redis://127.0.0.1:{}", server.port), AMPLE).expect("good");
    command(&client, &["SET", "x", "1"]).await.expect("it answers");
    server.signal(rustix::process::Signal::STOP);
    let begun = Instant::now();
    let late = command_within(&client, &["GET", "x"], SHORT).await.expect_err("it hangs");
    assert!(late.to_string().contains("no answer within 200ms"), "{late}");
    assert!(begun.elapsed() < AMPLE);
    server.signal(rustix::process::Signal::CONT);
    assert_eq!(eventually(&client, &["GET", "x"]).await[0], "1");
}

#[tokio::test]
async fn nobody_there_is_said_at_once_and_an_attempt_follows_after_a_pause() {
    let server = Server::plain();
    let port = server.port;
    let client = client_within(&format!("redis://127.0.0.1:{port}"), AMPLE).expect("good");
    drop(server);
    for _ in 0..100 {
        let error = command(&client, &["GET", "x"]).await.expect_err("nobody listens");
        assert!(
            matches!(&error, RedisError::Unavailable(words) if words.contains(&port.to_string())),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_fails_what_is_under_way_and_nothing_later() {
    let server = Server::plain();
    let client = client(&format!("redis://127.0.0.1:{}", server.port));
    command(&client, &["SET", "x", "1"]).await.expect("it answers");
    let waiting = command(&client, &["BLPOP", "list", "0"]);
    let cut = async {
        while !server.cli(&["CLIENT", "LIST"]).contains("cmd=blpop") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    };
    let (failed, ()) = tokio::join!(waiting, cut);
    assert!(matches!(failed, Err(RedisError::Unavailable(_))), "{failed:?}");
    assert_eq!(command(&client, &["GET", "x"]).await.expect("a new connection")[0], "1");
}

#[tokio::test]
async fn one_refused_command_of_a_batch_leaves_the_connection_alone() {
    let server = Server::plain();
    let client = client(&format!("redis://127.0.0.1:{}", server.port));
    let word = |text: &'static str| bytes::Bytes::from_static(text.as_bytes());
    let batch = vec![vec![word("SET"), word("x"), word("1")], vec![word("HGET"), word("x"), word("f")]];
    let refused = client.commands("x", batch, AMPLE).await.expect_err("x is no hash");
    assert!(refused.to_string().contains("WRONGTYPE"), "{refused}");
    assert_eq!(command(&client, &["GET", "x"]).await.expect("the same connection")[0], "1");
    assert!(server.cli(&["INFO", "stats"]).contains("total_connections_received:"));
}

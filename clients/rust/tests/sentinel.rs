//! Pushes to a Redis behind real sentinels.

use std::{net::TcpListener, time::Duration};

use metrifold_client::Pusher;
use metrifold_tests::Sentinel;

/// A host that is gone with its sentinel: whoever connects is never answered.
#[test]
fn a_sentinel_that_never_answers_keeps_nobody_from_redis() {
    let sentinel = Sentinel::start().expect("redis-server is installed and starts");
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("bound").port();
    let url = sentinel.url().replace("://", &format!("://127.0.0.1:{port},"));
    let start = Pusher::builder().target(&url).namespace("shop").push_interval(Duration::from_millis(50));
    let pusher = start.start().expect("valid settings");
    let error = pusher.flush(Duration::from_secs(10)).expect_err("no server role opened the namespace");
    // Redis was asked, then: what cannot be reached is "no connection".
    assert!(error.to_string().contains("sealed"), "{error}");
}

//! A Cluster of three masters: every shard's commands go to its master, whatever the others do.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use metrifold_redis::Client;

use crate::support::{AMPLE, Server, client_within, command, command_within, eventually};

struct Cluster {
    nodes: Vec<Server>,
}

impl Cluster {
    fn start() -> Cluster {
        let node = |_| {
            // The bus takes the port plus 10000 unless told otherwise, which may be taken or no port at all.
            let bus = metrifold_tests::free_port().expect("a free port").to_string();
            let cluster =
                ["--cluster-enabled", "yes", "--cluster-node-timeout", "60000", "--cluster-port", &bus];
            Server::start(&[&["--port", "{port}"], &cluster[..]].concat())
        };
        let nodes: Vec<Server> = (0..3).map(node).collect();
        let endpoints = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port));
        let output = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(endpoints)
            .args(["--cluster-replicas", "0", "--cluster-yes"])
            .output()
            .expect("redis-cli runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let cluster = Cluster { nodes };
        let deadline = Instant::now() + AMPLE;
        while !cluster.nodes.iter().all(|node| node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")) {
            assert!(Instant::now() < deadline, "the Cluster does not form");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        cluster
    }

    /// Knows the first node only.
    fn client(&self) -> Client {
        let address = format!("redis-cluster://127.0.0.1:{}", self.nodes[0].port);
        client_within(&address, Duration::from_secs(1)).expect("the address is good")
    }

    /// A key of each node, in their order.
    fn keys(&self) -> Vec<String> {
        let mut keys = vec![None; self.nodes.len()];
        for name in (0..).map(|number| format!("{{{number}}}")) {
            for (node, key) in self.nodes.iter().zip(&mut keys) {
                if node.cli(&["EXISTS", &name]) == "0" {
                    key.get_or_insert(name.clone());
                }
            }
            if keys.iter().all(Option::is_some) {
                break;
            }
        }
        keys.into_iter().flatten().collect()
    }

    fn id(&self, node: usize) -> String {
        self.nodes[node].cli(&["CLUSTER", "MYID"])
    }
}

#[tokio::test]
async fn commands_reach_the_master_of_their_slot_while_another_hangs() {
    let cluster = Cluster::start();
    let (client, keys) = (cluster.client(), cluster.keys());
    for key in &keys {
        command(&client, &["SET", key, "1"]).await.expect("each has a master");
    }
    cluster.nodes[2].signal(rustix::process::Signal::STOP);
    let short = Duration::from_millis(300);
    for _ in 0..3 {
        command_within(&client, &["GET", &keys[2]], short).await.expect_err("its master hangs");
        for key in &keys[..2] {
            // Well below the second that every attempt to connect to the third may take.
            let reply = command_within(&client, &["GET", key], AMPLE).await.expect("its master lives");
            assert_eq!(reply[0], "1");
        }
    }
    cluster.nodes[2].signal(rustix::process::Signal::CONT);
    assert_eq!(eventually(&client, &["GET", &keys[2]]).await[0], "1");
}

#[tokio::test]
async fn a_slot_that_is_on_its_way_is_followed_key_by_key() {
    let cluster = Cluster::start();
    let (client, keys) = (cluster.client(), cluster.keys());
    let (old, new) = (format!("{}old", keys[1]), format!("{}new", keys[1]));
    command(&client, &["SET", &old, "1"]).await.expect("a key before the move");
    let slot = cluster.nodes[0].cli(&["CLUSTER", "KEYSLOT", &old]);
    let (from, to) = (&cluster.nodes[1], &cluster.nodes[2]);
    to.cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &cluster.id(1)]);
    from.cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &cluster.id(2)]);
    command(&client, &["SET", &new, "2"]).await.expect("it is sent on by ASK");
    assert_eq!(command(&client, &["GET", &old]).await.expect("still there")[0], "1");
    from.cli(&["MIGRATE", "127.0.0.1", &to.port.to_string(), &old, "0", "5000"]);
    for node in [to, from, &cluster.nodes[0]] {
        node.cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &cluster.id(2)]);
    }
    for (key, value) in [(&old, "1"), (&new, "2")] {
        assert_eq!(command(&client, &["GET", key]).await.expect("it is sent on by MOVED")[0], value);
    }
}

//! A Redis Cluster of three masters and three replicas.

use std::{process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::{
    node::Node,
    process::{eventually, free_port},
};

const DEADLINE: Duration = Duration::from_secs(60);

/// Six nodes.
pub struct Cluster {
    nodes: Vec<Node>,
    _directory: TempDir,
}

impl Cluster {
    /// Starts the nodes and waits until every master has its replica and every slot its master.
    pub fn start() -> Result<Cluster> {
        let directory = tempfile::tempdir()?;
        let node = |number| -> Result<Node> {
            let port = free_port()?;
            let home = directory.path().join(format!("node-{number}"));
            std::fs::create_dir(&home)?;
            // The bus takes the port plus 10000 unless told otherwise, which may be taken or no port at all.
            let bus = free_port()?.to_string();
            let settings = [
                ["--cluster-enabled", "yes"],
                ["--cluster-port", &bus],
                ["--cluster-node-timeout", "4000"],
                ["--repl-diskless-sync-delay", "0"],
            ];
            Node::server(&format!("node-{number}"), port, &home, settings.as_flattened(), &[])
        };
        let nodes: Vec<Node> = (0..6).map(node).collect::<Result<_>>()?;
        let cluster = Cluster { nodes, _directory: directory };
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create"]).args(cluster.doors());
        let output = create.args(["--cluster-replicas", "1", "--cluster-yes"]).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        cluster.wait_until_whole(3)?;
        Ok(cluster)
    }

    fn doors(&self) -> Vec<String> {
        self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect()
    }

    /// `redis-cluster://…` with all nodes.
    pub fn url(&self) -> String {
        format!("redis-cluster://{}", self.doors().join(","))
    }

    /// Waits until so many replicas are in step and every running node finds the Cluster in order.
    pub fn wait_until_whole(&self, replicas: usize) -> Result<()> {
        eventually("the Cluster is whole", DEADLINE, || {
            let mut in_step = 0;
            for node in &self.nodes {
                let Ok(state) = node.command(&["CLUSTER", "INFO"]) else { continue };
                ensure!(state.contains("cluster_state:ok"), "{}: {state}", node.port);
                in_step +=
                    usize::from(node.command(&["INFO", "replication"])?.contains("master_link_status:up"));
            }
            ensure!(in_step >= replicas, "{in_step} replicas in step");
            Ok(())
        })
    }

    /// The node that holds a key, as the others say: asks the one of this number.
    pub fn master_of(&self, key: &str, asked: usize) -> Result<usize> {
        let slot: u16 = self.nodes[asked].command(&["CLUSTER", "KEYSLOT", key])?.parse()?;
        let table = self.nodes[asked].command(&["CLUSTER", "NODES"])?;
        for line in table.lines().filter(|line| line.contains("master") && !line.contains("fail")) {
            let words: Vec<_> = line.split_whitespace().collect();
            let holds = words.iter().skip(8).filter(|word| !word.starts_with('[')).any(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                first.parse::<u16>().is_ok_and(|first| first <= slot)
                    && last.parse::<u16>().is_ok_and(|last| slot <= last)
            });
            if holds {
                let port = words[1].split(['@', ':']).nth(1).context("no port")?;
                return self.nodes.iter().position(|node| node.port.to_string() == port).context("unknown");
            }
        }
        anyhow::bail!("nobody holds {key}")
    }

    /// Runs one command on a node.
    pub fn command(&self, node: usize, words: &[&str]) -> Result<String> {
        self.nodes[node].command(words)
    }

    /// The master of a key.
    pub fn master(&self, key: &str) -> Result<usize> {
        self.master_of(key, 0)
    }

    /// Sends a signal to a node.
    pub fn signal(&self, node: usize, signal: Signal) -> Result<()> {
        self.nodes[node].process.signal(signal)
    }

    /// Waits until a key is held by another node than `former`.
    pub fn wait_for_promotion(&self, key: &str, former: usize) -> Result<usize> {
        let asked = usize::from(former == 0);
        eventually("a replica is promoted", DEADLINE, || {
            let now = self.master_of(key, asked)?;
            ensure!(now != former, "not yet");
            Ok(now)
        })
    }

    /// Moves the slot of a key, with all its keys, to another master, while it is in use.
    pub fn migrate(&self, key: &str, to: usize) -> Result<()> {
        let from = self.master(key)?;
        let slot = self.nodes[0].command(&["CLUSTER", "KEYSLOT", key])?;
        let id = |node: usize| self.nodes[node].command(&["CLUSTER", "MYID"]);
        let (from_id, to_id) = (id(from)?, id(to)?);
        self.nodes[to].command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id])?;
        self.nodes[from].command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id])?;
        let port = self.nodes[to].port.to_string();
        eventually("all keys have moved", DEADLINE, || {
            let keys = self.nodes[from].command(&["CLUSTER", "GETKEYSINSLOT", &slot, "10"])?;
            for key in keys.lines().filter(|key| !key.is_empty()) {
                let moved = self.nodes[from].command(&[
                    "MIGRATE",
                    "127.0.0.1",
                    &port,
                    key,
                    "0",
                    "5000",
                    "REPLACE",
                ])?;
                ensure!(moved == "OK" || moved == "NOKEY", "{key}: {moved}");
            }
            ensure!(keys.is_empty(), "some are left");
            Ok(())
        })?;
        for node in [to, from].into_iter().chain(0..self.nodes.len()) {
            // Replicas are told by their masters.
            let _ = self.nodes[node].command(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]);
        }
        Ok(())
    }
}

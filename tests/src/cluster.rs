//! A Redis Cluster of three masters and three replicas.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::{
    Link,
    node::Node,
    process::{eventually, free_port},
};

const DEADLINE: Duration = Duration::from_secs(60);

fn start_node(number: usize, port: u16, settings: &[String], directory: &Path) -> Result<Node> {
    let home = directory.join(format!("node-{number}"));
    std::fs::create_dir_all(&home)?;
    Node::server(&format!("node-{number}"), port, &home, settings, &[])
}

fn doors(ports: impl Iterator<Item = u16>) -> Vec<String> {
    ports.map(|port| format!("127.0.0.1:{port}")).collect()
}

/// Six nodes.
pub struct Cluster {
    nodes: Vec<Node>,
    /// The settings of each.
    settings: Vec<Vec<String>>,
    /// To each node where the others say it is, if clients are to use them.
    links: Vec<Link>,
    directory: TempDir,
}

impl Cluster {
    /// Starts the nodes and waits until every master has its replica and every slot its master.
    pub fn start() -> Result<Cluster> {
        Cluster::with(|_| Ok(None))
    }

    /// The same with links between clients and every node. Nodes hear of each other all the same, by the Cluster's bus.
    pub fn linked() -> Result<Cluster> {
        Cluster::with(|port| Link::to(port).map(Some))
    }

    fn with(link: impl Fn(u16) -> Result<Option<Link>>) -> Result<Cluster> {
        let directory = tempfile::tempdir()?;
        let (mut nodes, mut settings, mut links) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..6 {
            let port = free_port()?;
            let link = link(port)?;
            // The bus takes the port plus 10000 unless told otherwise, which may be taken or no port at all.
            let bus = free_port()?.to_string();
            let announced = link.as_ref().map_or(port, Link::port).to_string();
            let of_node = [
                ["--cluster-enabled", "yes"],
                ["--cluster-port", &bus],
                ["--cluster-announce-port", &announced],
                ["--cluster-node-timeout", "4000"],
                ["--repl-diskless-sync-delay", "0"],
            ];
            let of_node: Vec<_> = of_node.as_flattened().iter().map(|word| (*word).to_owned()).collect();
            nodes.push(start_node(number, port, &of_node, directory.path())?);
            settings.push(of_node);
            links.extend(link);
        }
        let cluster = Cluster { nodes, settings, links, directory };
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create"]).args(doors(cluster.nodes.iter().map(|node| node.port)));
        let output = create.args(["--cluster-replicas", "1", "--cluster-yes"]).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        cluster.wait_until_whole(3)?;
        Ok(cluster)
    }

    /// Where the nodes say that they are.
    fn announced(&self) -> Vec<u16> {
        match self.links.is_empty() {
            true => self.nodes.iter().map(|node| node.port).collect(),
            false => self.links.iter().map(Link::port).collect(),
        }
    }

    /// `redis-cluster://…` with all nodes.
    pub fn url(&self) -> String {
        format!("redis-cluster://{}", doors(self.announced().into_iter()).join(","))
    }

    /// Of [`Cluster::linked`].
    pub fn links(&self) -> &[Link] {
        &self.links
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
                let mut announced = self.announced().into_iter();
                return announced.position(|announced| announced.to_string() == port).context("unknown");
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

    /// Kills a node by SIGKILL.
    pub fn kill(&mut self, node: usize) -> Result<()> {
        self.signal(node, Signal::KILL)?;
        self.nodes[node].process.wait(DEADLINE).map(drop)
    }

    /// Starts it again after [`Cluster::kill`]: it comes back without what it held, as what the others take it for.
    pub fn start_again(&mut self, node: usize) -> Result<()> {
        let port = self.nodes[node].port;
        self.nodes[node] = start_node(node, port, &self.settings[node], self.directory.path())?;
        Ok(())
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

//! A master, a replica and three sentinels.

use std::{net::SocketAddr, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::{
    node::Node,
    process::{eventually, free_port},
};

const DEADLINE: Duration = Duration::from_secs(60);
const NAME: &str = "main";

/// A Redis behind Sentinel.
pub struct Sentinel {
    /// The first is the master at the start.
    nodes: [Node; 2],
    sentinels: Vec<Node>,
    _directory: TempDir,
}

fn server(name: &str, directory: &Path, settings: &[&str]) -> Result<Node> {
    let file = format!("{name}.rdb");
    let common = ["--repl-diskless-sync-delay", "0", "--dbfilename", &file];
    Node::server(name, free_port()?, directory, &[&common, settings].concat(), &[])
}

fn sentinel(number: usize, master: u16, directory: &Path) -> Result<Node> {
    let port = free_port()?;
    let file = directory.join(format!("sentinel-{number}.conf"));
    // A replica that was cut off for more than ten times `down-after-milliseconds` is no candidate any more.
    let lines = format!(
        "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor {NAME} 127.0.0.1 {master} 2\n\
         sentinel down-after-milliseconds {NAME} 2000\nsentinel failover-timeout {NAME} 5000\n",
        directory.display()
    );
    std::fs::write(&file, lines)?;
    let mut command = Command::new("redis-server");
    command.arg(&file).arg("--sentinel");
    Node::start(&format!("sentinel-{number}"), port, directory, &mut command)
}

impl Sentinel {
    /// Starts all five, and waits until the sentinels know each other and the replica.
    pub fn start() -> Result<Sentinel> {
        let directory = tempfile::tempdir()?;
        let master = server("node-0", directory.path(), &[])?;
        let replica =
            server("node-1", directory.path(), &["--replicaof", &format!("127.0.0.1 {}", master.port)])?;
        let sentinels: Vec<Node> =
            (0..3).map(|number| sentinel(number, master.port, directory.path())).collect::<Result<_>>()?;
        let sentinel = Sentinel { nodes: [master, replica], sentinels, _directory: directory };
        sentinel.wait_until_whole()?;
        Ok(sentinel)
    }

    /// `redis-sentinel://…/main`.
    pub fn url(&self) -> String {
        let doors: Vec<_> = self.sentinels.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("redis-sentinel://{}/{NAME}", doors.join(","))
    }

    /// Waits until there is a master with a replica that is in step, and all sentinels know of both and each other.
    pub fn wait_until_whole(&self) -> Result<()> {
        for sentinel in &self.sentinels {
            eventually("a sentinel knows master, replica and its like", DEADLINE, || {
                let state = sentinel.command(&["SENTINEL", "MASTER", NAME])?;
                let words: Vec<_> = state.lines().collect();
                let value = |name: &str| {
                    words
                        .iter()
                        .position(|word| *word == name)
                        .and_then(|place| words.get(place + 1))
                        .copied()
                };
                ensure!(value("num-slaves") == Some("1"), "replicas: {:?}", value("num-slaves"));
                ensure!(
                    value("num-other-sentinels") == Some("2"),
                    "sentinels: {:?}",
                    value("num-other-sentinels")
                );
                ensure!(value("flags") == Some("master"), "flags: {:?}", value("flags"));
                Ok(())
            })?;
        }
        let replica = &self.nodes[1 - self.master()?];
        eventually("the replica is in step", DEADLINE, || {
            ensure!(
                replica.command(&["INFO", "replication"])?.contains("master_link_status:up"),
                "it is not"
            );
            Ok(())
        })
    }

    /// Which of the two nodes the sentinels take for the master.
    pub fn master(&self) -> Result<usize> {
        let answer = self.sentinels[0].command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME])?;
        let port = answer.lines().nth(1).context("no port")?;
        let door: SocketAddr = format!("127.0.0.1:{port}").parse()?;
        self.nodes.iter().position(|node| node.port == door.port()).context("an unknown master")
    }

    /// From now on the replica gets nothing more of its master, though both believe that all is well: it asks for
    /// replication with a password that the master does not know.
    pub fn cut_replication(&self) -> Result<()> {
        let master = self.master()?;
        let (master, replica) = (&self.nodes[master], &self.nodes[1 - master]);
        replica.command(&["CONFIG", "SET", "masteruser", "nobody"])?;
        replica.command(&["CONFIG", "SET", "masterauth", "nothing"])?;
        master.command(&["CLIENT", "KILL", "TYPE", "replica"])?;
        Ok(())
    }

    /// Undoes [`Sentinel::cut_replication`].
    pub fn mend_replication(&self) -> Result<()> {
        for node in &self.nodes {
            node.command(&["CONFIG", "SET", "masteruser", ""])?;
            node.command(&["CONFIG", "SET", "masterauth", ""])?;
        }
        Ok(())
    }

    /// Stops the master (SIGSTOP) until the sentinels have promoted the other node, then lets it go on (SIGCONT): it
    /// becomes the replica of the new one, without ever having ended.
    pub fn fail_over(&self) -> Result<()> {
        let former = self.master()?;
        self.nodes[former].process.signal(Signal::STOP)?;
        let promoted = eventually("the other node is promoted", DEADLINE, || {
            ensure!(self.master()? != former, "not yet");
            ensure!(self.nodes[1 - former].command(&["ROLE"])?.starts_with("master"), "not yet");
            Ok(())
        });
        self.nodes[former].process.signal(Signal::CONT)?;
        promoted
    }
}

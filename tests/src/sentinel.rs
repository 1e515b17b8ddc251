//! A master, a replica and three sentinels.

use std::{net::SocketAddr, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::{
    Link,
    node::Node,
    process::{eventually, free_port},
};

const DEADLINE: Duration = Duration::from_secs(60);
const NAME: &str = "main";
/// After this a master that does not answer is taken for down.
const DOWN_AFTER: Duration = Duration::from_secs(2);

/// A Redis behind Sentinel.
pub struct Sentinel {
    /// The first is the master at the start.
    nodes: [Node; 2],
    sentinels: Vec<Node>,
    /// To every sentinel, and to the master that they tell of, if clients are to use them.
    links: Vec<Link>,
    directory: TempDir,
}

fn server(name: &str, port: u16, directory: &Path, settings: &[&str]) -> Result<Node> {
    let file = format!("{name}.rdb");
    let common = ["--repl-diskless-sync-delay", "0", "--dbfilename", &file];
    Node::server(name, port, directory, &[&common, settings].concat(), &[])
}

/// One that takes the master for down after so long.
fn sentinel(number: usize, master: u16, down_after: Duration, directory: &Path) -> Result<Node> {
    let port = free_port()?;
    let down_after = down_after.as_millis();
    let file = directory.join(format!("sentinel-{number}.conf"));
    // A replica that was cut off for more than ten times `down-after-milliseconds` is no candidate any more.
    let lines = format!(
        "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor {NAME} 127.0.0.1 {master} 2\n\
         sentinel down-after-milliseconds {NAME} {down_after}\nsentinel failover-timeout {NAME} 5000\n",
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
        let master = server("node-0", free_port()?, directory.path(), &[])?;
        let known = master.port;
        Sentinel::around(master, known, DOWN_AFTER, Vec::new(), directory)
    }

    /// The same with links between clients and everything: to each sentinel, and to the master where sentinels say it is.
    /// They promote nobody, however long the link to the master is troubled.
    pub fn linked() -> Result<Sentinel> {
        let directory = tempfile::tempdir()?;
        let master = server("node-0", free_port()?, directory.path(), &[])?;
        let link = Link::to(master.port)?;
        let known = link.port();
        let mut sentinel = Sentinel::around(master, known, DEADLINE * 10, vec![link], directory)?;
        for node in &sentinel.sentinels {
            sentinel.links.push(Link::to(node.port)?);
        }
        Ok(sentinel)
    }

    /// Around a master that sentinels know under a port.
    fn around(
        master: Node,
        known: u16,
        down_after: Duration,
        links: Vec<Link>,
        directory: TempDir,
    ) -> Result<Sentinel> {
        let of_master = format!("127.0.0.1 {known}");
        let replica = server("node-1", free_port()?, directory.path(), &["--replicaof", &of_master])?;
        let sentinel = |number| sentinel(number, known, down_after, directory.path());
        let sentinels: Vec<Node> = (0..3).map(sentinel).collect::<Result<_>>()?;
        let sentinel = Sentinel { nodes: [master, replica], sentinels, links, directory };
        sentinel.wait_until_whole()?;
        Ok(sentinel)
    }

    /// `redis-sentinel://…/main`.
    pub fn url(&self) -> String {
        let door = |port: u16| format!("127.0.0.1:{port}");
        let doors: Vec<_> = match self.links.split_first() {
            Some((_, to_sentinels)) => to_sentinels.iter().map(|link| door(link.port())).collect(),
            None => self.sentinels.iter().map(|node| door(node.port)).collect(),
        };
        format!("redis-sentinel://{}/{NAME}", doors.join(","))
    }

    /// Of [`Sentinel::linked`].
    pub fn links(&self) -> &[Link] {
        &self.links
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
        let is_it = |node: &Node| node.port == door.port();
        // By its link there is the first one only.
        let linked = self.links.first().is_some_and(|link| link.port() == door.port()).then_some(0);
        self.nodes.iter().position(is_it).or(linked).context("an unknown master")
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

    /// Stops the master (SIGSTOP).
    pub fn stop_master(&self) -> Result<usize> {
        let former = self.master()?;
        self.nodes[former].process.signal(Signal::STOP)?;
        Ok(former)
    }

    /// Lets it go on (SIGCONT): it becomes the replica of the new one, without ever having ended.
    pub fn go_on(&self, former: usize) -> Result<()> {
        self.nodes[former].process.signal(Signal::CONT)
    }

    /// Kills the master (SIGKILL).
    pub fn kill_master(&mut self) -> Result<usize> {
        let former = self.master()?;
        self.nodes[former].process.signal(Signal::KILL)?;
        self.nodes[former].process.wait(DEADLINE)?;
        Ok(former)
    }

    /// Starts it again: as a master without anything, until the sentinels make it the replica of the new one.
    pub fn start_again(&mut self, former: usize) -> Result<()> {
        let port = self.nodes[former].port;
        self.nodes[former] = server(&format!("node-{former}"), port, self.directory.path(), &[])?;
        Ok(())
    }

    /// Waits until the sentinels have promoted the other node.
    pub fn wait_for_promotion(&self, former: usize) -> Result<()> {
        eventually("the other node is promoted", DEADLINE, || {
            ensure!(self.master()? != former, "not yet");
            ensure!(self.nodes[1 - former].command(&["ROLE"])?.starts_with("master"), "not yet");
            Ok(())
        })
    }
}

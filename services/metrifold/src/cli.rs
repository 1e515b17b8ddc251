//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use metrifold_admin::HealthQuestion;
use metrifold_demo::{DemoSettings, WorkerArguments};
use metrifold_model::Incarnation;

use crate::config::{Inputs, Layer, RedisFlags, ServerFlags};

/// One correct Prometheus scrape over many worker processes.
#[derive(Debug, Parser)]
#[command(name = "metrifold", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Collector, local agent and exporter in one process; embedded store unless --redis-url is set.
    Serve(ServerArguments),
    /// Holds the segments of this host and pushes them on; its own /metrics shows this host.
    Agent(ServerArguments),
    /// Takes pushes in, watches over workers, folds the dead.
    Collector(ServerArguments),
    /// The merged view for Prometheus.
    Exporter(ServerArguments),
    /// Real workers, real deaths, live totals; the exit status says whether they were exact.
    Demo(DemoSettings),
    /// Who is live, dead or folded in a namespace of a Redis: last push, series, bytes, host.
    Workers(AdminArguments),
    /// Folds sources at once, without waiting for their time to live; one that is alive comes back by itself.
    Retire(RetireArguments),
    /// Empties one namespace of a Redis, and touches nothing else; whoever still counts goes on from zero.
    Wipe(WipeArguments),
    /// Prints the effective settings with secrets hidden, or everything that is wrong with them.
    CheckConfig(ServerArguments),
    /// Asks a running server whether it is ready; the exit status says so. For health checks of containers.
    Health(HealthArguments),
    /// A worker of the demo.
    #[command(hide = true)]
    DemoWorker(WorkerArguments),
}

/// Whom to ask, and as whom. A token is taken from METRIFOLD_TOKEN or METRIFOLD_TOKEN_FILE.
#[derive(Clone, Debug, Args)]
pub struct HealthArguments {
    /// The page to ask; any answer but 200 is a failure. https: with ?ca=/file.pem and &cert=/file.pem&key=/file.pem.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9091/-/ready")]
    pub url: url::Url,
    /// The name in the server's certificate, where it is asked by another, such as localhost.
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<String>,
    /// A user of basic_auth_users.
    #[arg(long, value_name = "NAME", requires = "password_file")]
    pub user: Option<String>,
    /// The file with the user's password.
    #[arg(long, value_name = "FILE", requires = "user")]
    pub password_file: Option<PathBuf>,
}

impl HealthArguments {
    /// The question that they ask.
    pub fn question(&self) -> HealthQuestion {
        let HealthArguments { url, server_name, user, password_file } = self.clone();
        HealthQuestion { url, server_name, user, password_file }
    }
}

/// Which store, for a question or an order.
#[derive(Clone, Debug, Default, Args)]
pub struct AdminArguments {
    /// Configuration file, TOML or YAML.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Which Redis, and which namespace in it.
    #[command(flatten)]
    pub flags: RedisFlags,
}

impl AdminArguments {
    /// Everything that settings are read from, the process's environment included.
    pub fn inputs(&self) -> Inputs {
        inputs(self.config.clone(), self.flags.0.clone())
    }
}

/// Which sources to retire.
#[derive(Clone, Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true))]
pub struct RetireArguments {
    /// The store.
    #[command(flatten)]
    pub store: AdminArguments,
    /// Sources by the name that `metrifold workers` shows.
    #[arg(value_name = "WORKER", group = "which", conflicts_with_all = ["host", "silent_for"])]
    pub sources: Vec<Incarnation>,
    /// All of this host.
    #[arg(long, group = "which")]
    pub host: Option<String>,
    /// All that were not heard of for at least this long, as in 10m.
    #[arg(long, value_name = "SPAN", group = "which", value_parser = humantime::parse_duration)]
    pub silent_for: Option<Duration>,
}

/// What to empty.
#[derive(Clone, Debug, Args)]
pub struct WipeArguments {
    /// The store.
    #[command(flatten)]
    pub store: AdminArguments,
    /// Really.
    #[arg(long)]
    pub yes: bool,
    /// Also delete the keys of the emptied namespace. Only after its workers and servers have ended: a server that
    /// still remembers what was there would bring it back.
    #[arg(long)]
    pub forget: bool,
}

/// Flags of every server role. A flag wins over the environment and the file.
#[derive(Clone, Debug, Default, Args)]
pub struct ServerArguments {
    /// Configuration file, TOML or YAML.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Those of settings.
    #[command(flatten)]
    pub flags: ServerFlags,
    /// Go on in the background, in a session of its own; returns once it is ready.
    #[arg(long)]
    pub detach: bool,
    /// Set by --detach for the process in the background.
    #[arg(long, hide = true)]
    pub detached: bool,
}

impl ServerArguments {
    /// Everything that settings are read from, the process's environment included.
    pub fn inputs(&self) -> Inputs {
        inputs(self.config.clone(), self.flags.0.clone())
    }
}

fn inputs(file: Option<PathBuf>, flags: Layer) -> Inputs {
    Inputs { file, environment: environment(), flags }
}

/// Variables that are not UTF-8 cannot be settings.
fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::config::load;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_reaches_its_setting() {
        let words = [
            "metrifold serve --listen 127.0.0.1:1 --unix-socket /run/m.sock --redis-url redis://cache:1/0 --namespace shop",
            "--segment-dir /segments --multiproc-dir /files --to http://up:1 --exit-when-idle --log-file /log",
        ];
        let shown = shown(&words.join(" "));
        for line in [
            "http.listen = 127.0.0.1:1  # the flag --listen",
            "http.unix_socket = /run/m.sock  # the flag --unix-socket",
            "redis.url = redis://cache:1/0  # the flag --redis-url",
            "redis.namespace = shop  # the flag --namespace",
            "agent.segment_dir = /segments  # the flag --segment-dir",
            "agent.multiproc_dir = /files  # the flag --multiproc-dir",
            "upstream.target = http://up:1  # the flag --to",
            "agent.exit_when_idle = true  # the flag --exit-when-idle",
            "log.file = /log  # the flag --log-file",
        ] {
            assert!(shown.contains(line), "{line} is missing in {shown}");
        }
        assert!(self::shown("metrifold serve --data-dir /data").contains("store.data_dir = /data"));
        assert!(
            self::shown("metrifold agent --exit-when-idle=false").contains("agent.exit_when_idle = false")
        );
        let workers = Cli::try_parse_from("metrifold workers --redis-url redis://r --namespace n".split(' '));
        assert!(matches!(workers.expect("good").command, Command::Workers(_)));
        assert!(Cli::try_parse_from(["metrifold", "workers", "--listen", "127.0.0.1:1"]).is_err());
    }

    fn shown(words: &str) -> String {
        let (Command::Serve(arguments) | Command::Agent(arguments)) =
            Cli::try_parse_from(words.split(' ')).expect("good").command
        else {
            panic!("a role")
        };
        let inputs = Inputs { flags: arguments.flags.0, ..Inputs::default() };
        load(&inputs).expect("a good configuration").show()
    }
}

//! The stack of `docker-compose.yml`, brought up by one command.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use metrifold_tests::{Scrape, eventually, free_port, get, repository, worker_words};
use serde_json::Value;

use crate::engine::{Engine, said};

/// Everything but Grafana, whose image no engine without a registry has: its panels are asked of Prometheus instead.
const SERVICES: [&str; 8] =
    ["redis", "collector-1", "collector-2", "exporter-1", "exporter-2", "app", "worker", "prometheus"];
const PATIENCE: Duration = Duration::from_secs(90);

/// A running stack; it is taken down when dropped.
pub(crate) struct Stack {
    engine: Engine,
    project: String,
    ports: [(&'static str, u16); 3],
}

impl Stack {
    /// Builds the images from `binaries` and `wheels`, and brings the stack up.
    pub(crate) fn up(engine: Engine, binaries: &Path, wheels: &Path) -> Result<Stack> {
        let cache = repository().join("target/stack/cache");
        said(engine.command("tests/deploy/images.sh").args([binaries, wheels, cache.as_path()]))?;
        let ports =
            [("METRIFOLD_PORT", free_port()?), ("APP_PORT", free_port()?), ("PROMETHEUS_PORT", free_port()?)];
        let stack = Stack { engine, project: format!("metrifold-{}", std::process::id()), ports };
        said(stack.compose(&["up", "--detach", "--no-build"]).args(SERVICES))?;
        Ok(stack)
    }

    fn compose(&self, arguments: &[&str]) -> Command {
        let mut command = self.engine.command("docker-compose");
        command.args(["--file", "docker-compose.yml", "--file", "tests/deploy/offline.yml"]);
        command.args(["--project-name", &self.project]).args(arguments);
        command.envs(self.ports.map(|(name, port)| (name, port.to_string())));
        command
    }

    /// SIGKILL for all of a service's processes, by the engine.
    pub(crate) fn kill(&self, service: &str) -> Result<()> {
        self.engine.docker(&["kill", &self.container(service)?]).map(drop)
    }

    /// An orderly end.
    pub(crate) fn stop(&self, service: &str) -> Result<()> {
        self.engine.docker(&["stop", "--time", "20", &self.container(service)?]).map(drop)
    }

    /// Starts a service that has ended.
    pub(crate) fn start(&self, service: &str) -> Result<()> {
        self.engine.docker(&["start", &self.container(service)?]).map(drop)
    }

    fn container(&self, service: &str) -> Result<String> {
        let id = said(&mut self.compose(&["ps", "--quiet", service]))?;
        ensure!(!id.is_empty(), "{service} has no container");
        Ok(id)
    }

    /// Waits until the health check of a service passes.
    pub(crate) fn until_healthy(&self, service: &str) -> Result<()> {
        let container = self.container(service)?;
        eventually(&format!("{service} is healthy"), PATIENCE, || {
            let health =
                self.engine.docker(&["inspect", "--format", "{{json .State.Health}}", &container])?;
            let health: Value = serde_json::from_str(&health)?;
            ensure!(health["Status"] == "healthy", "{service}: {health}");
            Ok(())
        })
    }

    /// The last lines of every service.
    pub(crate) fn logs(&self) -> String {
        let logs = said(&mut self.compose(&["logs", "--no-color", "--tail", "40"]));
        logs.unwrap_or_else(|error| error.to_string())
    }

    /// The address that a port variable of the compose file publishes.
    pub(crate) fn url(&self, variable: &str, path: &str) -> String {
        let port = self.ports.iter().find(|(name, _)| *name == variable).map_or(0, |(_, port)| *port);
        format!("http://127.0.0.1:{port}{path}")
    }

    /// The merged view.
    pub(crate) fn merged(&self) -> Result<Scrape> {
        Scrape::of(&self.url("METRIFOLD_PORT", "/metrics"))
    }

    /// Events that the Rust worker has begun, finished, and knows to be acknowledged, since it was started last.
    pub(crate) fn worker_events(&self) -> Result<[u64; 3]> {
        let directory = tempfile::tempdir()?;
        let copy = directory.path().join("ledger");
        let source = format!("{}:/ledger/worker", self.container("worker")?);
        self.engine.docker(&["cp", &source, &copy.display().to_string()])?;
        worker_words(&copy)
    }

    /// The results of an instant query.
    pub(crate) fn query(&self, expression: &str) -> Result<Vec<f64>> {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let body = get(&self.url("PROMETHEUS_PORT", &format!("/api/v1/query?query={encoded}")))
            .with_context(|| expression.to_owned())?;
        let answer: Value = serde_json::from_str(&body)?;
        let results = answer["data"]["result"].as_array().context("no result list")?;
        let values =
            results.iter().map(|result| Ok(result["value"][1].as_str().context("no value")?.parse()?));
        values.collect()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let down = said(&mut self.compose(&["down", "--volumes", "--timeout", "1"]));
        if let Err(error) = down {
            eprintln!("the stack was not taken down: {error}");
        }
    }
}

//! A real Prometheus that scrapes every two seconds, and gives a scrape as long: within one, a machine that builds beside
//! the tests may not answer.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    process::{Process, eventually, free_port},
    scrape::get,
};

/// A Prometheus server.
pub struct Prometheus {
    _process: Process,
    url: String,
    _directory: TempDir,
}

impl Prometheus {
    /// Starts it against `target` (`host:port`) and waits until the target is up.
    pub fn start(target: &str) -> Result<Prometheus> {
        let directory = tempfile::tempdir()?;
        let configuration = directory.path().join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 2s, scrape_timeout: 2s}}\nscrape_configs:\n- job_name: metrifold\n  static_configs: [{{targets: ['{target}']}}]\n"
        );
        std::fs::write(&configuration, text)?;
        let prometheus = Prometheus::with(&configuration)?;
        eventually("Prometheus has scraped its target", Duration::from_secs(30), || {
            ensure!(prometheus.query("up")? == Some(1.0), "the target is not up");
            Ok(())
        })?;
        Ok(prometheus)
    }

    /// Starts it with a configuration file, and waits for no target.
    pub fn with(configuration: &Path) -> Result<Prometheus> {
        let directory = tempfile::tempdir()?;
        let port = free_port()?;
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let process = Process::start("prometheus", &mut command, directory.path())?;
        let url = format!("http://127.0.0.1:{port}");
        Ok(Prometheus { _process: process, url, _directory: directory })
    }

    /// The one value of an instant query; `None` if it has no result.
    pub fn query(&self, expression: &str) -> Result<Option<f64>> {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let answer = self.get(&format!("/api/v1/query?query={encoded}"))?;
        let results = answer["data"]["result"].as_array().context("no result list")?;
        ensure!(results.len() <= 1, "{expression} has {} results", results.len());
        let value = results.first().and_then(|result| result["value"][1].as_str());
        value.map(|text| text.parse().context("not a number")).transpose()
    }

    /// What it says of each target that it scrapes: labels, address, health, and why the last scrape failed.
    pub fn targets(&self) -> Result<Vec<Value>> {
        let answer = self.get("/api/v1/targets?state=active")?;
        answer["data"]["activeTargets"].as_array().cloned().context("no list of targets")
    }

    fn get(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_str(&get(&format!("{}{path}", self.url))?)?)
    }
}

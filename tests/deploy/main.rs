//! The files that people deploy from.

mod engine;
mod kills;
mod stack;

use std::process::Command;

use anyhow::{Context, Result, ensure};
use metrifold_tests::repository;
use serde_json::Value;

/// `docker-compose config` accepts the stack and resolves every service.
#[test]
fn the_compose_file_is_valid() -> Result<()> {
    let config = engine::said(Command::new("docker-compose").arg("config").current_dir(repository()))?;
    for service in ["redis:", "collector-2:", "exporter-2:", "app:", "worker:", "prometheus:", "grafana:"] {
        ensure!(config.contains(&format!("\n  {service}")), "no service {service} in {config}");
    }
    Ok(())
}

/// Every file that the compose file builds from or mounts exists.
#[test]
fn the_compose_file_names_files_that_exist() -> Result<()> {
    let text = std::fs::read_to_string(repository().join("docker-compose.yml"))?;
    let mounted = text.lines().filter_map(|line| line.trim().strip_prefix("- ./")?.split(':').next());
    let built = text.lines().filter_map(|line| line.trim().strip_prefix("dockerfile: "));
    let paths: Vec<_> = mounted.chain(built).collect();
    ensure!(paths.len() >= 6, "only {paths:?} are mounted or built from");
    for path in paths {
        ensure!(repository().join(path).exists(), "{path} is missing");
    }
    Ok(())
}

/// Prometheus's own checker accepts configuration and alerts.
#[test]
fn promtool_accepts_the_configuration_and_the_alerts() -> Result<()> {
    for arguments in [["check", "config", "deploy/prometheus.yml"], ["check", "rules", "deploy/alerts.yml"]] {
        engine::said(Command::new("promtool").args(arguments).current_dir(repository()))?;
    }
    Ok(())
}

/// Every own metric that an alert or a panel asks for is one that a server has.
#[test]
fn alerts_and_panels_ask_for_metrics_that_exist() -> Result<()> {
    let names = std::fs::read_to_string(repository().join("services/telemetry/src/names.rs"))?;
    let alerts = std::fs::read_to_string(repository().join("deploy/alerts.yml"))?;
    let expressions: Vec<_> =
        alerts.lines().filter(|line| line.contains("expr:")).map(str::to_owned).collect();
    for expression in expressions.into_iter().chain(panels()?) {
        let words = expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        for word in words.filter(|word| word.starts_with("metrifold_")) {
            let family = word.strip_suffix("_bucket").unwrap_or(word);
            ensure!(names.contains(&format!("\"{family}\"")), "{word} in {expression} is no metric of ours");
        }
    }
    Ok(())
}

/// The queries of the dashboard, with Grafana's variable for the window replaced.
fn panels() -> Result<Vec<String>> {
    let path = repository().join("deploy/grafana/dashboards/metrifold.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let queries = targets.map(|target| target["expr"].as_str().context("a target without a query"));
    queries.map(|query| Ok(query?.replace("$__rate_interval", "1m"))).collect()
}

//! The files that people deploy from.

use std::process::Command;

use anyhow::{Result, ensure};
use metrifold_tests::repository;

/// `docker-compose config` accepts the stack and resolves every service.
#[test]
fn the_compose_file_is_valid() -> Result<()> {
    let output = Command::new("docker-compose").arg("config").current_dir(repository()).output()?;
    let (said, complained) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    ensure!(output.status.success(), "docker-compose config: {complained}");
    for service in ["redis:", "metrifold:", "app:", "prometheus:"] {
        ensure!(said.contains(&format!("\n  {service}")), "no service {service} in {said}");
    }
    Ok(())
}

/// Every file that the compose file builds from or mounts exists.
#[test]
fn the_compose_file_names_files_that_exist() -> Result<()> {
    for path in ["deploy/metrifold.Dockerfile", "deploy/app.Dockerfile", "deploy/prometheus.yml"] {
        ensure!(repository().join(path).exists(), "{path} is missing");
    }
    Ok(())
}

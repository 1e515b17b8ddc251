//! The laws of CONTRIBUTING.md that a dependency list can show.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use metrifold_tests::repository;
use serde_json::Value;

/// The crates of the services, each below those that may use it.
const SERVICES: [&str; 11] = [
    "telemetry",
    "store",
    "merge",
    "exposition",
    "gate",
    "collector",
    "agent",
    "exporter",
    "status",
    "admin",
    "demo",
];

/// Direct dependencies of every workspace crate by name, those for tests and build scripts left out.
fn dependencies() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(repository())
        .output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let named = |package: &Value| -> Option<(String, BTreeSet<String>)> {
        let normal =
            package["dependencies"].as_array()?.iter().filter(|dependency| dependency["kind"].is_null());
        let names = normal.filter_map(|dependency| Some(dependency["name"].as_str()?.to_owned())).collect();
        Some((package["name"].as_str()?.to_owned(), names))
    };
    packages.iter().map(|package| named(package).context("a package without a name")).collect()
}

#[test]
fn the_pure_crates_depend_on_nothing_impure() -> Result<()> {
    let all = dependencies()?;
    let pure = ["model", "session", "format", "merge", "exposition"].map(|name| format!("metrifold-{name}"));
    let computing = ["thiserror", "xxhash-rust", "itoa", "zmij", "prost", "prost-types", "crc32fast", "zstd"];
    let allowed: BTreeSet<&str> = pure.iter().map(String::as_str).chain(computing).collect();
    for name in &pure {
        let found = all.get(name).with_context(|| format!("no crate {name}"))?;
        let impure: Vec<_> =
            found.iter().filter(|dependency| !allowed.contains(dependency.as_str())).collect();
        ensure!(impure.is_empty(), "{name} is pure, but depends on {impure:?}");
    }
    Ok(())
}

/// Each of these stands behind the crates that are named here, and every one of those uses it.
const BEHIND: [(&str, &[&str]); 7] = [
    ("fred", &["redis"]),
    ("redb", &["store"]),
    ("tonic", &["channel", "collector", "push", "wire"]),
    ("axum", &["", "exporter", "gate", "status"]),
    ("pyo3", &["python"]),
    // The clock of the machines: who drives them.
    ("metrifold-clock", &["agent", "client", "collector"]),
    // The way of values to their targets: clients name its tokens and addresses, servers ask each other.
    ("metrifold-channel", &["", "admin", "client", "push"]),
];

#[test]
fn libraries_stay_behind_the_crates_that_are_there_for_them() -> Result<()> {
    let all = dependencies()?;
    for (library, behind) in BEHIND {
        let name = |of: &&str| if of.is_empty() { "metrifold".to_owned() } else { format!("metrifold-{of}") };
        let expected: BTreeSet<String> = behind.iter().map(name).collect();
        let found = all.iter().filter(|(_, found)| found.contains(library)).map(|(user, _)| user.clone());
        let found: BTreeSet<String> = found.collect();
        ensure!(found == expected, "{library} is used by {found:?}, not by {expected:?}");
    }
    Ok(())
}

/// A tokio with signals shares a descriptor between its runtimes, and the Python package's thread has descriptors of its own.
#[test]
fn the_tokio_of_the_python_package_has_no_signals() -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = "tree --offline -p metrifold-python -e normal --prefix none --format {p}:{f}".split(' ');
    let output = Command::new(cargo).args(arguments).current_dir(repository()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout)?;
    let tokio = tree.lines().find(|line| line.starts_with("tokio v"));
    ensure!(tokio.is_some_and(|line| !line.contains("signal")), "found {tokio:?}");
    Ok(())
}

/// What a program that only records into segments must not have to build.
#[test]
fn a_client_of_local_targets_links_neither_tonic_nor_fred_nor_rustls() -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = |features: &[&str]| -> Result<BTreeSet<String>> {
        let arguments = [
            "tree",
            "--offline",
            "-p",
            "metrifold-client",
            "-e",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{lib}",
        ];
        let output =
            Command::new(&cargo).args(arguments).args(features).current_dir(repository()).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
    };
    let heavy = ["tonic", "fred", "rustls", "tokio", "hyper"];
    let found =
        |tree: &BTreeSet<String>| heavy.into_iter().filter(|name| tree.contains(*name)).collect::<Vec<_>>();
    let local = tree(&["--no-default-features", "--features", "local"])?;
    ensure!(found(&local).is_empty(), "a local client links {:?}", found(&local));
    ensure!(found(&tree(&[])?) == heavy, "the default has both remote targets");
    Ok(())
}

#[test]
fn generated_types_never_reach_store_or_merge() -> Result<()> {
    let all = dependencies()?;
    for name in
        ["store", "merge", "session", "format", "redis", "model"].map(|name| format!("metrifold-{name}"))
    {
        let found = all.get(&name).with_context(|| format!("no crate {name}"))?;
        ensure!(!found.contains("metrifold-wire") && !found.contains("prost"), "{name} uses generated types");
    }
    Ok(())
}

#[test]
fn clients_and_services_meet_only_in_proto() -> Result<()> {
    let all = dependencies()?;
    let clients = ["metrifold-client", "metrifold-python"];
    let services: BTreeSet<String> = SERVICES.iter().map(|name| format!("metrifold-{name}")).collect();
    for client in clients {
        let mut found = all.get(client).with_context(|| format!("no crate {client}"))?.clone();
        if client == "metrifold-python" {
            // Its collector of a directory is the servers' merge and text, which are pure, inside the application.
            found.retain(|dependency| {
                !["metrifold-merge", "metrifold-exposition"].contains(&dependency.as_str())
            });
        }
        ensure!(found.is_disjoint(&services), "{client} depends on a service");
    }
    for service in services.iter().map(String::as_str).chain(["metrifold"]) {
        let found = all.get(service).with_context(|| format!("no crate {service}"))?;
        ensure!(clients.iter().all(|client| !found.contains(*client)), "{service} depends on a client");
    }
    Ok(())
}

#[test]
fn every_crate_of_the_services_stands_in_their_list() -> Result<()> {
    let mut folders = BTreeSet::new();
    for entry in std::fs::read_dir(repository().join("services"))? {
        let entry = entry?;
        if entry.path().join("Cargo.toml").exists() {
            folders.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    // The composition root knows all of them.
    folders.remove("metrifold");
    let listed: BTreeSet<String> = SERVICES.iter().map(ToString::to_string).collect();
    ensure!(folders == listed, "{folders:?} are there, {listed:?} are listed");
    Ok(())
}

#[test]
fn the_rooms_of_the_services_know_only_those_below_them() -> Result<()> {
    let all = dependencies()?;
    for (place, name) in SERVICES.iter().enumerate() {
        let crate_name = format!("metrifold-{name}");
        let found = all.get(&crate_name).with_context(|| format!("no crate {crate_name}"))?;
        let above = SERVICES[place..].iter().filter(|other| found.contains(&format!("metrifold-{other}")));
        let above: Vec<_> = above.collect();
        ensure!(above.is_empty(), "{name} depends on {above:?}, which stand above it");
    }
    for (name, apart) in
        [("collector", "agent"), ("agent", "collector"), ("collector", "exporter"), ("agent", "exporter")]
    {
        let found = &all[&format!("metrifold-{name}")];
        ensure!(
            !found.contains(&format!("metrifold-{apart}")),
            "the role {name} depends on the role {apart}"
        );
    }
    Ok(())
}

/// JSON lines of the log have these keys already; a field of the same name would stand there twice.
const KEYS_OF_EVERY_LINE: [&str; 4] = ["timestamp", "level", "target", "message"];

#[test]
fn no_field_of_a_log_line_is_called_like_what_every_line_has() -> Result<()> {
    let mut events = 0;
    for crate_name in SERVICES.iter().chain(&["metrifold"]) {
        for file in rust_files(&repository().join("services").join(crate_name).join("src"))? {
            let text = std::fs::read_to_string(&file)?;
            for event in text.split("tracing::").skip(1).filter_map(arguments_of_event) {
                events += 1;
                let names = event.split(',').map(|part| part.split('=').next().unwrap_or_default());
                let names: Vec<_> = names.map(|name| name.trim().trim_start_matches(['%', '?'])).collect();
                let taken = names.iter().find(|name| KEYS_OF_EVERY_LINE.contains(name));
                ensure!(taken.is_none(), "{}: a field is called {taken:?}", file.display());
            }
        }
    }
    ensure!(events > 50, "only {events} events were found: they are written in another way now");
    Ok(())
}

/// The fields of `warn!(…)` and its like, up to the message.
fn arguments_of_event(text: &str) -> Option<&str> {
    let levels = ["error!(", "warn!(", "info!(", "debug!(", "trace!("];
    let rest = levels.iter().find_map(|level| text.strip_prefix(level))?;
    rest.split('"').next()
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => files.extend(rust_files(&path)?),
            false if path.extension().is_some_and(|extension| extension == "rs") => files.push(path),
            false => {}
        }
    }
    Ok(files)
}

/// What the papers call by its path must be there.
#[test]
fn the_papers_name_only_files_that_are_there() -> Result<()> {
    let mut named = 0;
    for paper in
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "clients/README.md", "clients/python/README.md"]
    {
        let text = std::fs::read_to_string(repository().join(paper))?;
        for path in text.split('`').skip(1).step_by(2).filter(|code| is_path(code)) {
            named += 1;
            ensure!(repository().join(path).exists(), "{paper} names {path}, which is not there");
        }
    }
    ensure!(named > 40, "only {named} paths were found: they are written in another way now");
    Ok(())
}

fn is_path(code: &str) -> bool {
    ["clients/", "proto/", "services/", "docs/", "deploy/"].iter().any(|top| code.starts_with(top))
        && code.chars().all(|letter| letter.is_ascii_alphanumeric() || "/._-".contains(letter))
}

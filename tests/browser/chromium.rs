//! A real Chromium that visits a page.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use metrifold_tests::repository;
use serde::Deserialize;

/// Where Debian and macOS have it.
const PROGRAMS: [&str; 3] = [
    "/usr/bin/chromium",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

pub(crate) struct Chromium {
    program: PathBuf,
    screenshots: PathBuf,
}

/// What was found under one look: light, dark or narrow.
#[derive(Debug, Deserialize)]
pub(crate) struct Visit {
    pub(crate) look: String,
    /// Errors and warnings on the console.
    pub(crate) complaints: Vec<String>,
    /// Requests to anywhere else.
    pub(crate) foreign: Vec<String>,
    /// Serious and critical violations that axe found.
    pub(crate) faults: Vec<String>,
    /// `aria-expanded` of the first host after it was opened by keyboard.
    pub(crate) opened: Option<String>,
    /// The sentence at the top.
    pub(crate) health: String,
    /// All that can be read.
    pub(crate) text: String,
    pub(crate) hosts: usize,
    /// Pixels by which the page is wider than its window.
    pub(crate) overflow: i64,
}

impl Chromium {
    /// The browser of this machine. Only a developer's Mac may lack one; then there is nothing to test with.
    pub(crate) fn find() -> Result<Option<Chromium>> {
        let program = PROGRAMS.iter().map(PathBuf::from).find(|program| program.exists());
        let Some(program) = program else {
            ensure!(cfg!(target_os = "macos"), "there is no Chromium; run tests/install.sh");
            metrifold_tests::skip("this Mac has neither Chromium nor Chrome");
            return Ok(None);
        };
        let screenshots = repository().join("target/screenshots");
        std::fs::create_dir_all(&screenshots)?;
        Ok(Some(Chromium { program, screenshots }))
    }

    /// Visits `url` under every look, keeps screenshots as `target/screenshots/<name>-<look>.png`, and refuses what no
    /// page may do.
    pub(crate) fn visit(&self, url: &str, name: &str) -> Result<Vec<Visit>> {
        let modules = repository().join("target/browser");
        ensure!(modules.exists(), "{} is missing; run tests/install.sh", modules.display());
        let output = Command::new("node")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/visit.mjs"))
            .arg(url)
            .args([&self.program, &modules, &self.screenshots])
            .arg(name)
            .output()
            .context("node does not start; run tests/install.sh")?;
        if !output.status.success() {
            bail!("the visit {name} failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        let visits: Vec<Visit> = serde_json::from_slice(&output.stdout)?;
        for visit in &visits {
            let Visit { look, complaints, foreign, faults, overflow, .. } = visit;
            ensure!(complaints.is_empty(), "{name}, {look}: the console says {complaints:?}");
            ensure!(foreign.is_empty(), "{name}, {look}: asks elsewhere: {foreign:?}");
            ensure!(faults.is_empty(), "{name}, {look}: axe finds {faults:#?}");
            ensure!(*overflow <= 0, "{name}, {look}: {overflow} pixels too wide");
        }
        Ok(visits)
    }
}

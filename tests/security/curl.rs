//! curl, and what it says.

use std::process::Command;

use anyhow::{Context, Result};

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    /// 000 if there was no answer.
    pub(crate) status: String,
    /// Headers and body.
    pub(crate) text: String,
    /// What curl complains about.
    pub(crate) complaint: String,
    /// Time to the answer, in seconds.
    pub(crate) seconds: f64,
}

/// Runs curl with more arguments, the last of which is a URL.
pub(crate) fn curl<A: AsRef<str>>(arguments: &[A]) -> Result<Answer> {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--include", "--max-time", "20"])
        .args(["--write-out", "\n%{http_code} %{time_starttransfer}"])
        .args(arguments.iter().map(AsRef::as_ref))
        .env_clear()
        .output()?;
    let all = String::from_utf8_lossy(&output.stdout).into_owned();
    let (text, last) = all.rsplit_once('\n').context("curl wrote nothing")?;
    let (status, seconds) = last.split_once(' ').context("curl wrote no status")?;
    Ok(Answer {
        status: status.to_owned(),
        text: text.to_owned(),
        complaint: String::from_utf8_lossy(&output.stderr).into_owned(),
        seconds: seconds.parse()?,
    })
}

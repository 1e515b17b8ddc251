//! `--detach`: the same command again, in a session of its own.
//!
//! A server that is started by an application must not be its child: an application server's `waitpid` would see it
//! die, and a signal to the application's process group would reach it. So this process starts another one and ends as
//! soon as that is ready; the other one calls `setsid` and is inherited by init.

use std::{
    ffi::OsString,
    io::{self, BufRead, BufReader, Read},
    process::{Command, ExitCode, Stdio},
};

/// Flag that tells the second process that it is the one in the background.
const DETACHED: &str = "--detached";

/// Starts the process in the background, passes its first line on and returns when it is ready or has ended. Its stderr
/// is passed on until then, so that a reason not to start is not lost.
///
/// # Errors
/// If it cannot be started.
pub(crate) fn start_in_background() -> io::Result<ExitCode> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(background_arguments(std::env::args_os().skip(1)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    if let Some(output) = child.stdout.take() {
        BufReader::new(output).read_line(&mut line)?;
    }
    if !line.is_empty() {
        crate::say(line.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let mut reason = String::new();
    if let Some(mut errors) = child.stderr.take() {
        errors.read_to_string(&mut reason)?;
    }
    crate::complain(reason.trim_end());
    let status = child.wait()?;
    Ok(status.code().map_or(ExitCode::FAILURE, |code| ExitCode::from(code.clamp(0, 255) as u8)))
}

fn background_arguments(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut background: Vec<_> = arguments.filter(|argument| argument != "--detach").collect();
    background.push(DETACHED.into());
    background
}

/// The first thing that the process in the background does: leave the starter's session and terminal.
///
/// # Errors
/// If the system refuses; never for a process that was started by [`start_in_background`].
pub(crate) fn leave_session() -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_background_process_gets_the_same_arguments_but_does_not_detach_again() {
        let given = ["serve", "--detach", "--listen", "127.0.0.1:0"].map(OsString::from);
        let expected = ["serve", "--listen", "127.0.0.1:0", "--detached"].map(OsString::from);
        assert_eq!(background_arguments(given.into_iter()), expected);
    }
}

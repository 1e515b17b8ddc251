//! Which process this is, so that a later one with the same pid is not taken for it.

use std::io::ErrorKind;

/// A process as the operating system names it. Fields are 0 where it does not tell (outside Linux).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessIdentity {
    /// The pid, as the process itself sees it.
    pub pid: u32,
    /// When it started, in clock ticks since boot: tells a process from a later one with the same pid.
    pub start_ticks: u64,
    /// Inode of its pid namespace: pids of another namespace mean nothing here.
    pub pid_namespace: u64,
}

impl ProcessIdentity {
    /// This process.
    pub fn current() -> Self {
        ProcessIdentity {
            pid: std::process::id(),
            start_ticks: stat_of("self").ok().flatten().map_or(0, |stat| stat.start_ticks),
            pid_namespace: current_pid_namespace(),
        }
    }

    /// The running process with this pid, seen from here; `None` if there is none, or where nobody tells.
    ///
    /// # Errors
    /// If it cannot be seen now, which says nothing about whether it runs.
    pub fn of(pid: u32) -> std::io::Result<Option<Self>> {
        let stat = stat_of(&pid.to_string())?.filter(|stat| !stat.is_dead);
        let identity = |stat: Stat| ProcessIdentity {
            pid,
            start_ticks: stat.start_ticks,
            pid_namespace: current_pid_namespace(),
        };
        Ok(stat.map(identity))
    }

    /// Whether the process runs, seen from here. A pid of another namespace, or one without a known start time, is
    /// never said to run; one that cannot be seen now is. A zombie does not: its memory and its locks are gone.
    pub fn is_running(&self) -> bool {
        let comparable =
            self.start_ticks != 0 && self.pid_namespace != 0 && self.pid_namespace == current_pid_namespace();
        comparable
            && match stat_of(&self.pid.to_string()) {
                Ok(stat) => stat.is_some_and(|stat| stat.start_ticks == self.start_ticks && !stat.is_dead),
                Err(_) => true,
            }
    }
}

impl ProcessIdentity {
    /// Whether the running process has a file of this name mapped, or may have: who cannot look does not know. By its name,
    /// which no other file has, because a mapping may show another inode than the file.
    pub(crate) fn may_map(&self, name: &str) -> bool {
        let maps = std::fs::read(format!("/proc/{}/maps", self.pid));
        maps.map_or(true, |maps| maps.windows(name.len()).any(|part| part == name.as_bytes()))
    }
}

struct Stat {
    is_dead: bool,
    start_ticks: u64,
}

/// `None` if there is no such process.
fn stat_of(process: &str) -> std::io::Result<Option<Stat>> {
    match std::fs::read(format!("/proc/{process}/stat")) {
        Ok(stat) => Ok(parse_stat(&stat)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an error says that a process, or something of it, is not there (any more), and not that it cannot be seen now.
pub(crate) fn is_gone(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

/// Reads fields 3 (state) and 22 (start time) of proc(5)'s stat; the name in field 2 may hold spaces and brackets.
fn parse_stat(stat: &[u8]) -> Option<Stat> {
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let fields = std::str::from_utf8(stat.get(after_name..)?).ok()?;
    let mut fields = fields.split_ascii_whitespace();
    let is_dead = matches!(fields.next()?, "Z" | "X" | "x");
    Some(Stat { is_dead, start_ticks: fields.nth(18)?.parse().ok()? })
}

#[cfg(target_os = "linux")]
fn current_pid_namespace() -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self/ns/pid").map_or(0, |metadata| metadata.ino())
}

#[cfg(not(target_os = "linux"))]
fn current_pid_namespace() -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let line = b"42 (a) b) c) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 2";
        let stat = parse_stat(line).expect("well-formed");
        assert_eq!((stat.start_ticks, stat.is_dead), (987_654, false));
        assert!(parse_stat(b"42 (a) Z").is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_runs_and_one_with_another_start_time_does_not() {
        let me = ProcessIdentity::current();
        assert!(me.is_running());
        assert!(!ProcessIdentity { start_ticks: me.start_ticks + 1, ..me }.is_running());
        assert!(!ProcessIdentity { pid_namespace: 1, ..me }.is_running());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_zombie_does_not_run() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("spawn");
        let stat = stat_of(&child.id().to_string()).expect("visible").expect("running");
        let identity =
            ProcessIdentity { pid: child.id(), start_ticks: stat.start_ticks, ..ProcessIdentity::current() };
        assert!(identity.is_running());
        child.kill().expect("kill");
        while identity.is_running() {
            std::thread::yield_now();
        }
        assert!(std::path::Path::new(&format!("/proc/{}", child.id())).exists(), "still a zombie");
        child.wait().expect("reap");
    }
}

//! Process and host names of its own for a command, as in a container.

use std::process::{Command, Stdio};

/// A command in pid and uts namespaces of its own, where its pid is 1 and its host is called `host`. It dies with the
/// process that is started here. `None` where the system cannot do that (macOS, a kernel that forbids it).
pub fn contained(host: &str, program: &std::path::Path) -> Option<Command> {
    let namespaces =
        ["--user", "--map-root-user", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc"];
    let probe = Command::new("unshare").args(namespaces).arg("true").stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(namespaces).args(["sh", "-c", "hostname \"$0\" && exec \"$@\"", host]).arg(program);
    Some(command)
}

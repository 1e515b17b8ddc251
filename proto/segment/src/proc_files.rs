//! Who has a file open or mapped, as /proc says. Where there is no /proc, nobody can be seen.

use std::collections::HashSet;
#[cfg(doc)]
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::process::is_gone;

/// Which of some files one process holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Paths, as the kernel writes them.
    pub paths: HashSet<PathBuf>,
    /// Device and inode of mapped files.
    pub inodes: HashSet<(u64, u64)>,
}

impl Held {
    /// Whether a file, by its path or by device and inode, is among them. Either suffices: file systems that lie over
    /// others may show another inode in a mapping.
    pub fn holds(&self, path: &Path, identity: Option<(u64, u64)>) -> bool {
        self.paths.contains(path) || identity.is_some_and(|identity| self.inodes.contains(&identity))
    }

    /// Adds what another process holds.
    pub fn merge(&mut self, other: Held) {
        self.paths.extend(other.paths);
        self.inodes.extend(other.inodes);
    }
}

/// What a process has open or mapped below `directory`, and every inode that it maps; of a process that is gone, nothing.
///
/// Descriptors come before mappings: a file is opened, then mapped, and only then may be closed.
///
/// # Errors
/// If that cannot be seen: [`ErrorKind::PermissionDenied`] if this process may never look, another if it cannot now.
pub fn held_by(pid: u32, directory: &Path) -> std::io::Result<Held> {
    let mut held = Held::default();
    let descriptors = match std::fs::read_dir(format!("/proc/{pid}/fd")) {
        Ok(descriptors) => descriptors,
        Err(error) if is_gone(&error) => return Ok(held),
        Err(error) => return Err(error),
    };
    for descriptor in descriptors {
        match descriptor.and_then(|descriptor| std::fs::read_link(descriptor.path())) {
            Ok(path) if path.starts_with(directory) => drop(held.paths.insert(path)),
            Err(error) if !is_gone(&error) => return Err(error),
            _ => {}
        }
    }
    let maps = match std::fs::read(format!("/proc/{pid}/maps")) {
        Ok(maps) => String::from_utf8_lossy(&maps).into_owned(),
        Err(error) if is_gone(&error) => return Ok(held),
        Err(error) => return Err(error),
    };
    for (identity, path) in maps.lines().filter_map(parse_mapping) {
        held.inodes.insert(identity);
        if path.starts_with(directory) {
            held.paths.insert(path);
        }
    }
    Ok(held)
}

/// The processes that there are; none where there is no /proc.
///
/// # Errors
/// If they cannot be seen now.
pub fn processes() -> std::io::Result<Vec<u32>> {
    match std::fs::read_dir("/proc") {
        Ok(entries) => {
            Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
        }
        Err(error) if is_gone(&error) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Device and inode and path of a line of proc(5)'s maps; `None` for memory without a file.
fn parse_mapping(line: &str) -> Option<((u64, u64), PathBuf)> {
    let mut fields = line.splitn(6, ' ');
    let (major, minor) = fields.nth(3)?.split_once(':')?;
    let (major, minor) = (u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?);
    let inode: u64 = fields.next()?.parse().ok()?;
    let path = PathBuf::from(fields.next()?.trim_start());
    (inode != 0).then(|| ((rustix::fs::makedev(major, minor), inode), path))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_line_of_maps_gives_device_inode_and_path() {
        let line = "7f0a-7f0b rw-s 00000000 fe:01 1234                       /tmp/a dir/counter_1.db";
        let identity = (rustix::fs::makedev(0xfe, 1), 1234);
        assert_eq!(parse_mapping(line), Some((identity, "/tmp/a dir/counter_1.db".into())));
        assert_eq!(parse_mapping("7f0a-7f0b rw-p 00000000 00:00 0"), None);
        assert_eq!(parse_mapping("7f0a-7f0b rw-p 00000000 00:00 0                  [heap]"), None);
    }

    #[test]
    fn an_open_file_is_held_until_it_is_closed_under_whatever_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = std::fs::canonicalize(directory.path()).expect("it is there");
        let (first, second) = (place.join("a"), place.join("b"));
        let file = std::fs::File::create(&first).expect("writable");
        let identity = file.metadata().map(|metadata| (metadata.dev(), metadata.ino())).expect("metadata");
        let held = || held_by(std::process::id(), &place).expect("this process may look at itself");
        assert!(held().holds(&first, None));
        std::fs::rename(&first, &second).expect("renamed");
        assert!(held().holds(&second, Some(identity)) && !held().holds(&first, None));
        drop(file);
        assert!(!held().holds(&second, Some(identity)));
        assert!(processes().expect("visible").contains(&std::process::id()));
    }
}

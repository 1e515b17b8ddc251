//! A thread's own table of descriptors.
//!
//! Descriptors are numbers that everybody in a process shares. A daemoniser closes all of them, and what the application
//! opens next gets the same numbers: a thread that goes on with its own would write into the application's files, and close
//! them. On Linux a thread may have a table for itself, which nobody else can close anything in, and which no fork inherits.
#![expect(unsafe_code, reason = "no safe wrapper closes a range of descriptors")]

/// Gives the calling thread, and those that it starts, a table of descriptors of its own, empty but for the three standard
/// ones, which lead nowhere. Nobody else's descriptors change, nor the record locks of the process. Says whether that was
/// possible: it takes Linux 5.9, or the right to `unshare`.
///
/// Only for a thread that uses no descriptor of others, and whose work nobody expects to see what the process opens later.
pub fn leave_shared_descriptors() -> bool {
    unshare_and_close_all() && open_standard_descriptors()
}

#[cfg(target_os = "linux")]
fn unshare_and_close_all() -> bool {
    const EVERY: libc::c_uint = libc::c_uint::MAX;
    // SAFETY: the call takes plain numbers. The table that it closes descriptors in is the copy that it has just made for
    // this thread; if it cannot make one it closes nothing.
    let closed =
        unsafe { libc::syscall(libc::SYS_close_range, 0 as libc::c_uint, EVERY, libc::CLOSE_RANGE_UNSHARE) };
    closed == 0
}

#[cfg(not(target_os = "linux"))]
fn unshare_and_close_all() -> bool {
    false
}

/// What a panic or a library prints must not go into the socket that would get the number 2.
fn open_standard_descriptors() -> bool {
    // SAFETY: the path is a C string; the three lowest numbers are free in this thread's own table.
    let opened =
        [0, 1, 2].map(|_| unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) });
    opened == [0, 1, 2]
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{io::Write, os::unix::fs::MetadataExt, process::Command};

    use super::*;

    fn descriptors_of_this_thread() -> usize {
        // The listing holds one itself.
        std::fs::read_dir("/proc/thread-self/fd").expect("proc").count() - 1
    }

    #[test]
    fn a_thread_with_a_table_of_its_own_closes_nothing_of_others_and_shows_them_nothing() {
        let mut of_all = tempfile::tempfile().expect("temporary file");
        let in_thread = || {
            assert!(leave_shared_descriptors(), "this kernel has close_range");
            assert_eq!(descriptors_of_this_thread(), 3);
            let file = tempfile::tempfile().expect("temporary file");
            let own = file.metadata().expect("it is open").ino();
            // Those of the process's first thread.
            let of_others = std::fs::read_dir("/proc/self/fd").expect("proc").flatten();
            assert!(of_others.filter_map(|entry| entry.path().metadata().ok()).all(|file| file.ino() != own));
        };
        std::thread::spawn(in_thread).join().expect("nothing failed in the thread");
        of_all.write_all(b"still open").expect("the thread closed its copy only");
    }

    #[test]
    fn a_record_lock_of_the_process_outlives_a_thread_that_leaves_its_table() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let file = std::fs::File::create(directory.path().join("locked")).expect("a file");
        crate::lock::lock(&file).expect("nobody else has it");
        assert!(std::thread::spawn(leave_shared_descriptors).join().expect("no panic"));
        // Another process sees the lock.
        let inode = file.metadata().expect("it is open").ino().to_string();
        let seen = Command::new("cat").arg("/proc/locks").output().expect("cat runs");
        assert!(String::from_utf8_lossy(&seen.stdout).contains(&inode));
    }
}

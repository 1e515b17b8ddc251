//! POSIX record locks: not inherited by a fork, dropped by the kernel at death, visible across pid namespaces.
//!
//! The kernel also drops them when the process closes *any* descriptor of the file, even one opened elsewhere for
//! reading. So a process opens its own segment once and never closes it; see the `ownership` module.
#![expect(unsafe_code, reason = "fcntl takes its struct through a variadic C call")]

use std::fs::File;
use std::os::fd::AsRawFd;

/// Takes the lock for this process; fails if another process holds it.
pub(crate) fn lock(file: &File) -> std::io::Result<()> {
    fcntl(file, libc::F_SETLK).map(drop)
}

/// Whether another process holds the lock. This process's own lock does not show.
pub(crate) fn is_locked_by_another(file: &File) -> std::io::Result<bool> {
    Ok(fcntl(file, libc::F_GETLK)?.l_type != libc::F_UNLCK as libc::c_short)
}

fn fcntl(file: &File, command: libc::c_int) -> std::io::Result<libc::flock> {
    // SAFETY: `flock` is a plain C struct of integers, for which all zeros are valid.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_len = 1;
    // SAFETY: both commands take a pointer to a `flock`, which outlives the call; the descriptor is open.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, &mut lock) } {
        -1 => Err(std::io::Error::last_os_error()),
        _ => Ok(lock),
    }
}

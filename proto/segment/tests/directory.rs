//! Who serves a segment directory, and what is swept from it.
#![expect(unsafe_code, reason = "fork, waitpid and kill are what is tested")]

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use metrifold_segment::{
    AgentLockError, DirectoryError, ORPHAN_AGE, Recorder, RecorderMemory, RecorderSettings, SegmentDirectory,
    is_served,
};
use tempfile::tempdir;

/// A segment whose source has ended.
fn dead_segment(directory: &Path) -> PathBuf {
    let recorder =
        Recorder::open(RecorderSettings { directory: Some(directory.into()), ..RecorderSettings::default() });
    match recorder.status().memory {
        RecorderMemory::Mapped { path, .. } => path,
        other => panic!("not mapped: {other:?}"),
    }
}

fn make_old(path: &Path) {
    let file = std::fs::File::options().write(true).open(path).expect("open");
    file.set_modified(SystemTime::now() - 2 * ORPHAN_AGE).expect("set the time");
}

#[test]
fn a_missing_directory_is_made_for_its_user_only() {
    let parent = tempdir().expect("temporary directory");
    let directory = SegmentDirectory::open(parent.path().join("segments")).expect("made");
    let mode = directory.path().metadata().expect("metadata").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let path = dead_segment(directory.path());
    assert_eq!(path.metadata().expect("metadata").permissions().mode() & 0o777, 0o600);
    assert_eq!(directory.segments().expect("segments"), [path]);
}

#[test]
fn a_directory_of_another_user_or_a_link_is_refused() {
    let parent = tempdir().expect("temporary directory");
    let link = parent.path().join("link");
    std::os::unix::fs::symlink(parent.path(), &link).expect("link");
    assert!(matches!(SegmentDirectory::open(&link), Err(DirectoryError::NotADirectory { .. })));
    let other = parent.path().join("other");
    std::fs::create_dir(&other).expect("make");
    match std::os::unix::fs::chown(&other, Some(12_345), None) {
        Ok(()) => {
            let error = SegmentDirectory::open(&other).expect_err("another user's");
            assert!(matches!(error, DirectoryError::ForeignOwner { owner: 12_345, .. }), "{error}");
        }
        Err(error) => {
            metrifold_tests::skip(&format!("giving a directory away is not permitted here ({error})"))
        }
    }
}

#[test]
fn asking_for_an_agent_makes_nothing() {
    let parent = tempdir().expect("temporary directory");
    let path = parent.path().join("segments");
    assert!(!is_served(&path));
    assert!(!path.exists(), "a question made the directory");
    let directory = SegmentDirectory::open(&path).expect("made");
    assert!(!is_served(&path));
    assert_eq!(path.read_dir().expect("readable").count(), 0, "a question made a file");
    let lock = directory.agent_lock().expect("free");
    assert!(is_served(&path) && is_served(&path));
    drop(lock);
    assert!(!is_served(&path));
}

#[test]
fn one_agent_serves_a_directory_and_its_death_frees_it() {
    let parent = tempdir().expect("temporary directory");
    let directory = SegmentDirectory::open(parent.path()).expect("directory");
    let (mut here, there) = std::os::unix::net::UnixStream::pair().expect("socket pair");
    // SAFETY: the child never returns into the test harness.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let lock = directory.agent_lock();
        let _ = std::io::Write::write_all(&mut (&there), if lock.is_ok() { b"+" } else { b"-" });
        loop {
            std::thread::park();
        }
    }
    let mut taken = [0];
    here.read_exact(&mut taken).expect("the child's word");
    assert_eq!(&taken, b"+");
    match directory.agent_lock() {
        Err(AgentLockError::Held { pid, .. }) => assert_eq!(pid, Some(child as u32)),
        other => panic!("{other:?}"),
    }
    let path = dead_segment(parent.path());
    make_old(&path);
    assert!(directory.sweep_old(Duration::ZERO).expect("sweep").is_empty(), "the agent will want it");
    // SAFETY: signals and reaps our own child.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
    }
    let lock = directory.agent_lock().expect("free again");
    drop(lock);
    drop(directory.agent_lock().expect("free again"));
}

#[test]
fn only_what_was_found_dead_long_ago_is_swept() {
    let parent = tempdir().expect("temporary directory");
    let directory = SegmentDirectory::open(parent.path()).expect("directory");
    let dead = dead_segment(parent.path());
    let live = Recorder::open(RecorderSettings {
        directory: Some(parent.path().into()),
        ..RecorderSettings::default()
    });
    let RecorderMemory::Mapped { path: live_path, .. } = live.status().memory else { panic!("not mapped") };
    std::fs::write(parent.path().join("notes.seg"), b"somebody else's").expect("write");
    let half_made = parent.path().join("00000000000000aa.tmp");
    std::fs::write(&half_made, b"half").expect("write");

    assert!(directory.sweep_old(ORPHAN_AGE).expect("sweep").is_empty(), "all is young");
    [&dead, &live_path, &half_made].into_iter().for_each(|path| make_old(path));
    assert_eq!(
        directory.sweep_old(ORPHAN_AGE).expect("sweep"),
        [half_made],
        "a long-lived worker that is first found dead now must wait for an agent"
    );
    make_old(&dead);
    assert!(directory.sweep_old(ORPHAN_AGE).expect("sweep").is_empty(), "found dead a moment ago");
    make_old(&dead);
    assert_eq!(directory.sweep_old(Duration::ZERO).expect("sweep"), [dead]);
    assert_eq!(directory.segments().expect("segments"), [live_path]);
    assert!(parent.path().join("notes.seg").exists());
}

#[test]
fn removing_twice_is_fine() {
    let parent = tempdir().expect("temporary directory");
    let directory = SegmentDirectory::open(parent.path()).expect("directory");
    let path = dead_segment(parent.path());
    directory.remove(&path).expect("remove");
    directory.remove(&path).expect("gone already");
    assert!(directory.segments().expect("segments").is_empty());
}

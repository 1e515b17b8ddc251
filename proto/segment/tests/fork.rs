//! Real forks, real deaths. A child only runs what is given to it and leaves by `_exit`.
#![expect(unsafe_code, reason = "fork, waitpid, kill and setrlimit are what is tested")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use metrifold_model::{Descriptor, Incarnation, Kind, Labels};
use metrifold_segment::{
    CreateError, Liveness, Recorder, RecorderMemory, RecorderSettings, SegmentDirectory, SegmentReader, Slot,
};
use tempfile::{TempDir, tempdir};

fn recorder_in(directory: &Path) -> Recorder {
    Recorder::open(RecorderSettings { directory: Some(directory.into()), ..RecorderSettings::default() })
}

fn recorder() -> (TempDir, Recorder, Slot) {
    let directory = tempdir().expect("temporary directory");
    let recorder = recorder_in(directory.path());
    let slot = recorder.slot(counter("c"));
    (directory, recorder, slot)
}

fn counter(name: &str) -> Descriptor {
    Descriptor::new(Kind::Counter, name, format!("{name}_total"), Labels::default(), "")
}

/// Forks. The child runs `act` and exits with 0, or with 101 if it panicked.
fn fork(act: impl FnOnce()) -> libc::pid_t {
    // SAFETY: the child allocates and takes locks, which the C library's fork and this crate's handlers make safe; it never
    // returns into the test harness.
    match unsafe { libc::fork() } {
        0 => {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
            // SAFETY: ends the process.
            unsafe { libc::_exit(if outcome.is_ok() { 0 } else { 101 }) }
        }
        child => child,
    }
}

fn wait(child: libc::pid_t) -> libc::c_int {
    let mut status = 0;
    // SAFETY: waits for a child of this process; the pointer outlives the call.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    status
}

fn assert_succeeds(child: libc::pid_t) {
    assert_eq!(wait(child), 0, "the child has panicked; see its message");
}

fn path_of(recorder: &Recorder) -> PathBuf {
    match recorder.status().memory {
        RecorderMemory::Mapped { path, .. } => path,
        other => panic!("not mapped: {other:?}"),
    }
}

fn values(path: &Path) -> Vec<f64> {
    SegmentReader::open(path).expect("readable").refresh().expect("readable").1.slots
}

/// The segments of a directory except one.
fn others(directory: &TempDir, own: &Path) -> Vec<PathBuf> {
    let directory = SegmentDirectory::open(directory.path()).expect("directory");
    directory.segments().expect("segments").into_iter().filter(|path| path != own).collect()
}

#[test]
fn parent_and_child_count_for_themselves() {
    let (directory, recorder, slot) = recorder();
    let untouched = recorder.slot(counter("untouched"));
    slot.add(5.0);
    untouched.add(1.0);
    assert_succeeds(fork(|| {
        slot.add(2.0);
        slot.add(1.0);
        recorder.slot(counter("late")).add(7.0);
    }));
    slot.add(10.0);

    let parents = path_of(&recorder);
    assert_eq!(values(&parents), [15.0, 1.0]);
    let [childs] = others(&directory, &parents).try_into().expect("one child");
    assert_eq!(values(&childs), [3.0, 0.0, 7.0], "from zero, with all slots of the parent");
    assert_eq!(
        SegmentReader::open(&childs).expect("readable").liveness().expect("readable"),
        Liveness::LockGone
    );
    assert_eq!(
        SegmentReader::open(&parents).expect("readable").liveness().expect("readable"),
        Liveness::Alive,
        "the child's end and our own reading have not dropped our lock"
    );
}

#[test]
fn a_fork_that_records_nothing_leaves_nothing() {
    let (directory, recorder, _slot) = recorder();
    assert_succeeds(fork(|| ()));
    assert_eq!(others(&directory, &path_of(&recorder)), Vec::<PathBuf>::new());
}

#[test]
fn forks_of_forks_and_siblings_have_incarnations_of_their_own() {
    let (directory, recorder, slot) = recorder();
    slot.add(1.0);
    for _ in 0..3 {
        assert_succeeds(fork(|| {
            slot.add(2.0);
            assert_succeeds(fork(|| {
                slot.add(3.0);
                assert_succeeds(fork(|| slot.add(4.0)));
            }));
            assert_eq!(slot.get(), 2.0);
        }));
    }
    let mut totals: Vec<_> =
        others(&directory, &path_of(&recorder)).iter().flat_map(|path| values(path)).collect();
    totals.sort_by(f64::total_cmp);
    assert_eq!(totals, [2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 4.0, 4.0, 4.0]);
    assert_eq!(values(&path_of(&recorder)), [1.0]);
}

/// Goal: SIGKILL loses nothing that was added, and the lock goes with the process. Method: the child says when it has
/// added, and is then killed while it adds to another slot in a loop.
#[test]
fn a_killed_childs_last_add_is_in_its_segment() {
    let (directory, recorder, slot) = recorder();
    let (mut here, mut there) = UnixStream::pair().expect("socket pair");
    let child = fork(|| {
        slot.add(41.0);
        slot.add(1.0);
        there.write_all(b"!").expect("tell the parent");
        let busy = recorder.slot(counter("busy"));
        loop {
            busy.add(1.0);
        }
    });
    here.read_exact(&mut [0]).expect("the child has added");
    let [childs] = others(&directory, &path_of(&recorder)).try_into().expect("one child");
    let mut reader = SegmentReader::open(&childs).expect("readable");
    assert_eq!(reader.liveness().expect("readable"), Liveness::Alive);
    assert_eq!(reader.header().process.pid, child as u32);
    // SAFETY: signals our own child, which has not been waited for.
    assert_eq!(unsafe { libc::kill(child, libc::SIGKILL) }, 0);
    assert!(libc::WIFSIGNALED(wait(child)));
    assert_eq!(reader.liveness().expect("readable"), Liveness::LockGone);
    assert_eq!(reader.refresh().expect("readable").1.slots[0], 42.0);
}

/// Goal: a fork amid slot creation and counting by other threads leaves a child that can do both. Method: threads make
/// slots without pause while the main thread forks again and again.
#[test]
fn a_fork_amid_creation_leaves_a_working_child() {
    let (directory, recorder, slot) = recorder();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (recorder, done, slot) = (&recorder, &done, &slot);
            scope.spawn(move || {
                let mut index = 0;
                while !done.load(std::sync::atomic::Ordering::Relaxed) && index < 3_000 {
                    recorder.slot(counter(&format!("t{thread}_{index}"))).add(1.0);
                    slot.add(1.0);
                    index += 1;
                }
            });
        }
        for _ in 0..30 {
            assert_succeeds(fork(|| {
                slot.add(1.0);
                recorder.slot(counter("childs")).add(1.0);
                assert_eq!(recorder.snapshot().1.slots.iter().sum::<f64>(), 2.0);
            }));
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let children = others(&directory, &path_of(&recorder));
    assert_eq!(children.len(), 30);
    assert!(children.iter().all(|path| values(path).iter().sum::<f64>() == 2.0));
}

#[test]
fn the_lock_is_seen_by_others_and_not_inherited() {
    let (directory, recorder, slot) = recorder();
    slot.add(1.0);
    let path = path_of(&recorder);
    let (mut here, mut there) = UnixStream::pair().expect("socket pair");
    let owner = fork(|| {
        let recorder = recorder_in(directory.path());
        there.write_all(path_of(&recorder).display().to_string().as_bytes()).expect("tell the parent");
        // The owner's child must not keep the lock alive after the owner's death.
        let grandchild = fork(|| {
            // SAFETY: ends this process should the test fail before it does so.
            unsafe { libc::alarm(60) };
            loop {
                std::thread::park();
            }
        });
        there.write_all(&grandchild.to_ne_bytes()).expect("tell the parent");
        loop {
            std::thread::park();
        }
    });
    let mut name = vec![0; path.as_os_str().len()];
    here.read_exact(&mut name).expect("the owner's segment");
    let mut grandchild = [0; 4];
    here.read_exact(&mut grandchild).expect("the owner's child");
    let name = PathBuf::from(String::from_utf8(name).expect("a path"));
    let reader = SegmentReader::open(&name).expect("readable");
    let mut foreign = reader.header().clone();
    foreign.process.pid_namespace = 0;
    let directory = SegmentDirectory::open(directory.path()).expect("directory");
    assert_eq!(directory.liveness(&foreign, &name).expect("readable"), Liveness::Alive, "by the lock alone");
    // SAFETY: signals our own child, which has not been waited for.
    unsafe { libc::kill(owner, libc::SIGKILL) };
    wait(owner);
    assert_eq!(directory.liveness(&foreign, &name).expect("readable"), Liveness::LockGone);
    // SAFETY: signals the process that the owner has forked, which runs until this moment.
    assert_eq!(
        unsafe { libc::kill(i32::from_ne_bytes(grandchild), libc::SIGKILL) },
        0,
        "it outlived the owner"
    );
}

#[test]
fn a_low_file_size_limit_is_an_error_code_and_not_a_signal() {
    let directory = tempdir().expect("temporary directory");
    assert_succeeds(fork(|| {
        let limit = libc::rlimit { rlim_cur: 1 << 20, rlim_max: 1 << 20 };
        // SAFETY: only this child's limit changes.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) }, 0);
        let recorder = recorder_in(directory.path());
        let slot = recorder.slot(counter("c"));
        slot.add(2.0);
        assert_eq!(recorder.snapshot().1.slots, [2.0]);
        let RecorderMemory::Anonymous { reason: Some(reason) } = recorder.status().memory else {
            panic!("mapped");
        };
        assert!(matches!(*reason, CreateError::FileSizeLimit { .. }), "{reason}");
    }));
    assert_eq!(std::fs::read_dir(directory.path()).expect("directory").count(), 0);
}

/// Goal: an application that becomes a daemon and closes every descriptor neither loses counts nor has its files written to.
/// Method: close all, let another file take the number, then grow the segment and drop it.
#[test]
fn a_descriptor_closed_by_the_application_is_never_used_for_another_file() {
    let directory = tempdir().expect("temporary directory");
    let elsewhere = tempdir().expect("temporary directory");
    let path = elsewhere.path().join("precious");
    assert_succeeds(fork(|| {
        let recorder = recorder_in(directory.path());
        let slot = recorder.slot(counter("c"));
        // SAFETY: this child uses no descriptor opened before, except through the recorder under test.
        (3..256).for_each(|descriptor| {
            let _ = unsafe { libc::close(descriptor) };
        });
        let files: Vec<_> = (0..64)
            .map(|_| std::fs::File::options().create(true).append(true).open(&path).expect("open"))
            .collect();
        let slots: Vec<_> = (0..500).map(|index| recorder.slot(counter(&format!("m{index}")))).collect();
        slots.iter().chain([&slot]).for_each(|slot| slot.add(1.0));
        assert!(slots.iter().chain([&slot]).all(|slot| slot.get() == 1.0));
        let status = recorder.status();
        assert!(status.refused_slots > 0);
        let reason = &status.refused_slots_named[0].reason;
        assert!(reason.contains("has closed the segment's descriptor"), "{reason}");
        drop((slots, slot, recorder));
        assert!(files.iter().all(|file| file.metadata().is_ok_and(|metadata| metadata.len() == 0)));
    }));
    assert_eq!(std::fs::read(&path).expect("read"), b"");
}

/// Needs the right to mount a tmpfs of its own; says so and ends where that is missing.
#[test]
fn a_full_tmpfs_refuses_slots_and_kills_nobody() {
    let directory = tempdir().expect("temporary directory");
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=128k,mode=0700", "tmpfs"])
        .arg(directory.path())
        .output();
    if !mount.is_ok_and(|output| output.status.success()) {
        metrifold_tests::skip("mounting a tmpfs is not permitted here");
        return;
    }
    let child = fork(|| {
        let recorder = recorder_in(directory.path());
        let slots: Vec<_> = (0..5_000).map(|index| recorder.slot(counter(&format!("m{index}")))).collect();
        slots.iter().for_each(|slot| slot.add(1.0));
        assert!(slots.iter().all(|slot| slot.get() == 1.0));
        let status = recorder.status();
        assert!(status.refused_slots > 0 && status.refused_slots < 5_000, "{}", status.refused_slots);
        assert!(
            status.refused_slots_named[0].reason.contains("no space"),
            "{:?}",
            status.refused_slots_named[0]
        );
        let seen = values(&path_of(&recorder));
        assert_eq!(seen.len() as u64, 5_000 - status.refused_slots);
        assert!(seen.iter().all(|value| *value == 1.0));
        // The next process finds no room even for a header page, and counts all the same.
        std::fs::write(directory.path().join("filler"), vec![1; 128 << 10]).expect_err("full");
        assert_succeeds(fork(|| {
            slots[0].add(1.0);
            assert_eq!(slots[0].get(), 1.0);
            assert!(matches!(recorder.status().memory, RecorderMemory::Anonymous { reason: Some(_) }));
        }));
    });
    let status = wait(child);
    let unmount = Command::new("umount").arg(directory.path()).status();
    assert!(unmount.is_ok_and(|status| status.success()));
    assert_eq!(status, 0, "the child was killed or has panicked");
}

#[test]
fn anonymous_recorders_start_from_zero_after_a_fork_too() {
    let recorder = Recorder::anonymous(RecorderSettings::default());
    let slot = recorder.slot(counter("c"));
    slot.add(3.0);
    let parents: Incarnation = recorder.incarnation();
    assert_succeeds(fork(|| {
        slot.add(1.0);
        assert_eq!(recorder.snapshot().1.slots, [1.0]);
        assert_ne!(recorder.incarnation(), parents);
    }));
    assert_eq!(slot.get(), 3.0);
}

#[test]
fn a_child_states_what_its_parent_stated_and_inherits_no_exemplar_and_no_removed_series() {
    let (directory, recorder, slot) = recorder();
    let fact = recorder.slot(Descriptor::new(Kind::Info, "i", "i_info", Labels::new([("v", "1")]), ""));
    let exemplar = metrifold_model::Exemplar { labels: Labels::default(), value: 1.0, timestamp: 1.0 };
    fact.set(1.0);
    slot.add(2.0);
    assert!(slot.set_exemplar(&exemplar));
    let removed = recorder.slot(counter("removed"));
    removed.remove();
    let parent = recorder.snapshot().1;
    assert_succeeds(fork(|| {
        slot.add(1.0);
        let (descriptors, values) = recorder.snapshot();
        assert_eq!(values.slots, [1.0, 1.0, 0.0]);
        assert!(values.annotations.exemplars.is_empty() && values.annotations.is_removed(2));
        assert!(values.annotations.created(0) >= parent.annotations.created(0), "it begins anew here");
        assert!(slot.set_exemplar(&exemplar));
        removed.restore();
        let mut reader = SegmentReader::open(path_of(&recorder)).expect("readable");
        let (read, values) = reader.refresh().expect("readable");
        assert_eq!((read, &values), (&descriptors, &recorder.snapshot().1));
        assert!(values.annotations.exemplars.contains_key(&0) && !values.annotations.is_removed(2));
    }));
    assert_eq!(recorder.snapshot().1, parent);
    drop(directory);
}

//! The example worker, as a process that dies.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use metrifold_segment::{Liveness, SegmentDirectory, SegmentReader};

/// The example's binary, which cargo builds beside this test.
fn worker(directory: &Path) -> Command {
    let mut binary = std::env::current_exe().expect("a path");
    binary.pop();
    binary.pop();
    let mut command = Command::new(binary.join("examples/worker"));
    command.arg("--ledger").arg(directory.join("ledger"));
    command.arg("--target").arg(format!("local:{}", directory.join("segments").display()));
    command
}

fn ledger(directory: &Path) -> [u64; 3] {
    let bytes = std::fs::read(directory.join("ledger")).unwrap_or_default();
    let number = |index: usize| {
        bytes
            .get(index * 8..)
            .and_then(|rest| rest.first_chunk())
            .map_or(0, |bytes| u64::from_le_bytes(*bytes))
    };
    [number(0), number(1), number(2)]
}

fn segment(directory: &Path) -> PathBuf {
    let segments = SegmentDirectory::open(directory.join("segments")).and_then(|found| found.segments());
    segments.expect("listable").remove(0)
}

fn until(what: &str, mut is_met: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_met() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_killed_local_worker_loses_nothing_that_was_acknowledged() {
    let directory = tempfile::tempdir().expect("temporary");
    let mut running = Running(
        worker(directory.path()).args(["--flush-every", "5ms"]).spawn().expect("the example is built"),
    );
    until("nothing was acknowledged", || ledger(directory.path())[2] > 200);
    running.0.kill().expect("alive");
    running.0.wait().expect("our child");

    let [started, finished, acknowledged] = ledger(directory.path());
    let mut reader = SegmentReader::open(segment(directory.path())).expect("readable");
    assert_eq!(reader.liveness().expect("readable"), Liveness::LockGone);
    let (descriptors, values) = reader.refresh().expect("readable");
    let at = descriptors.iter().position(|slot| slot.sample == "worker_events_total").expect("pushed");
    let merged = values.slots[at] as u64;
    assert!((acknowledged..=started).contains(&merged), "{acknowledged} <= {merged} <= {started}");
    assert!(started - finished <= 1);
}

#[test]
fn a_worker_that_ends_in_order_loses_nothing() {
    let directory = tempfile::tempdir().expect("temporary");
    let status = worker(directory.path()).args(["--events", "500", "--rate", "100000"]).status();
    assert!(status.expect("the example is built").success());
    assert_eq!(ledger(directory.path()), [500, 500, 500]);
    let mut reader = SegmentReader::open(segment(directory.path())).expect("readable");
    let (descriptors, values) = reader.refresh().expect("readable");
    let sum = |sample: &str| -> f64 {
        descriptors
            .iter()
            .zip(&values.slots)
            .filter(|(slot, _)| slot.sample == sample)
            .map(|(_, value)| value)
            .sum()
    };
    assert_eq!(sum("worker_events_total"), 500.0);
    assert_eq!(sum("worker_requests_total"), 500.0);
    assert_eq!(sum("worker_seconds_bucket"), 500.0);
}

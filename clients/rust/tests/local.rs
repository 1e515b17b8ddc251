//! The local target: values in a segment, no network.

use std::{path::Path, time::Duration};

use metrifold_client::{FlushError, Pusher, Recorder, RecorderSettings};
use metrifold_segment::{Liveness, SegmentDirectory, SegmentReader};
use prometheus::{IntCounter, Registry, core::Collector, proto::MetricFamily};

const AMPLE: Duration = Duration::from_secs(10);

fn counting(registry: &Registry) -> IntCounter {
    let counter = IntCounter::new("events_total", "Events").expect("valid");
    registry.register(Box::new(counter.clone())).expect("new");
    counter
}

fn only_segment(directory: &Path) -> SegmentReader {
    let segments = SegmentDirectory::open(directory).and_then(|found| found.segments()).expect("listable");
    assert_eq!(segments.len(), 1);
    SegmentReader::open(&segments[0]).expect("readable")
}

fn target(directory: &Path) -> String {
    format!("local:{}", directory.display())
}

#[test]
fn what_was_counted_before_a_flush_is_in_the_segment_after_it() {
    let directory = tempfile::tempdir().expect("temporary");
    let registry = Registry::new();
    let counter = counting(&registry);
    let pusher = Pusher::builder()
        .registry(registry)
        .target(target(directory.path()))
        .push_interval(Duration::from_secs(300))
        .namespace("shop")
        .instance("pod-1")
        .labels([("zone", "a")])
        .start()
        .expect("valid");
    counter.inc_by(41);
    counter.inc();
    pusher.flush(AMPLE).expect("a local flush");

    let mut reader = only_segment(directory.path());
    let (descriptors, values) = reader.refresh().expect("readable");
    assert_eq!(descriptors.entries()[0].sample, "events_total");
    assert_eq!(values.slots, [42.0]);
    assert_eq!(reader.header().namespace.as_str(), "shop");
    assert_eq!(reader.header().worker().instance, "pod-1");
    assert_eq!(reader.header().labels.get("zone"), Some("a"));
    assert!(pusher.status().last_ok.is_some());
    assert_eq!(pusher.status().last_error, None);
}

#[test]
fn the_end_writes_the_last_values_and_says_that_the_source_ended() {
    let directory = tempfile::tempdir().expect("temporary");
    let registry = Registry::new();
    let counter = counting(&registry);
    let start = Pusher::builder().registry(registry).target(target(directory.path()));
    let pusher = start.push_interval(Duration::from_secs(300)).start().expect("valid");
    pusher.flush(AMPLE).expect("a local flush");
    let mut reader = only_segment(directory.path());
    assert_eq!(reader.liveness().expect("readable"), Liveness::Alive);

    counter.inc_by(7);
    pusher.shutdown(AMPLE).expect("a local end");

    assert_eq!(reader.refresh().expect("readable").1.slots, [7.0]);
    assert_eq!(reader.liveness().expect("readable"), Liveness::LockGone);
}

#[test]
fn a_directory_that_cannot_be_used_fails_the_flush_and_nothing_else() {
    let file = tempfile::NamedTempFile::new().expect("temporary");
    let registry = Registry::new();
    let counter = counting(&registry);
    let start = Pusher::builder().registry(registry).target(target(&file.path().join("below")));
    let pusher = start.start().expect("the settings are valid");
    counter.inc();
    let error = pusher.flush(Duration::from_millis(100)).expect_err("nothing is visible");
    assert!(matches!(&error, FlushError::Timeout { .. }), "{error}");
    let said = pusher.status().last_error.expect("an error");
    assert!(said.contains("no segment"), "{said}");
    let ended = pusher.shutdown(AMPLE).expect_err("nothing was written");
    assert!(matches!(&ended, FlushError::Ended { .. }), "{ended}");
}

struct Panics(IntCounter);

impl Collector for Panics {
    fn desc(&self) -> Vec<&prometheus::core::Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        if self.0.get() == 13 {
            panic!("a collector of the application that panics");
        }
        self.0.collect()
    }
}

#[test]
fn a_collector_that_panics_stops_nothing() {
    let directory = tempfile::tempdir().expect("temporary");
    let registry = Registry::new();
    let counter = IntCounter::new("events_total", "Events").expect("valid");
    registry.register(Box::new(Panics(counter.clone()))).expect("new");
    let pusher =
        Pusher::builder().registry(registry).target(target(directory.path())).start().expect("valid");
    for (value, seen) in [(12, 12.0), (13, 12.0), (14, 14.0)] {
        counter.inc_by(value - counter.get());
        pusher.flush(AMPLE).expect("a local flush");
        assert_eq!(only_segment(directory.path()).refresh().expect("readable").1.slots, [seen]);
    }
    assert!(pusher.status().last_error.expect("named").contains("panicked"));
}

#[test]
fn a_recorder_that_writes_its_own_segment_needs_no_copy() {
    let directory = tempfile::tempdir().expect("temporary");
    let settings =
        RecorderSettings { directory: Some(directory.path().into()), ..RecorderSettings::default() };
    let recorder = Recorder::open(settings);
    let start = Pusher::builder().recorder(recorder).target(target(directory.path()));
    let pusher = start.start().expect("valid");
    pusher.flush(AMPLE).expect("nothing to do");
    only_segment(directory.path());
}

#[cfg(target_os = "linux")]
#[test]
fn the_one_thread_takes_no_signal_of_the_application() {
    let directory = tempfile::tempdir().expect("temporary");
    let start = Pusher::builder().registry(Registry::new()).target(target(directory.path()));
    let pusher = start.start().expect("valid");
    pusher.flush(AMPLE).expect("the thread runs");
    let tasks = std::fs::read_dir("/proc/self/task").expect("procfs");
    let statuses = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("status")).ok());
    // The kernel keeps 15 bytes of a name.
    let ours: Vec<_> = statuses.filter(|status| status.starts_with("Name:\tmetrifold-pushe\n")).collect();
    assert!(!ours.is_empty());
    for status in ours {
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t")).expect("a mask");
        let blocked = u64::from_str_radix(blocked, 16).expect("hexadecimal");
        for signal in
            [nix::libc::SIGTERM, nix::libc::SIGINT, nix::libc::SIGHUP, nix::libc::SIGUSR1, nix::libc::SIGCHLD]
        {
            assert_ne!(blocked & (1 << (signal - 1)), 0, "signal {signal}");
        }
    }
}

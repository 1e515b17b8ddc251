//! What the application's threads and the pusher's thread know of each other.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

#[cfg(feature = "remote")]
use tokio::sync::Notify;

use crate::{FlushError, snapshot::LeftOut};

/// How a pusher is doing.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Where values go, without passwords.
    pub target: String,
    /// When the target last acknowledged values (or, locally, when they were last written to the segment).
    pub last_ok: Option<SystemTime>,
    /// What went wrong last; stays after it was overcome, see `last_error_at`.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<SystemTime>,
    /// Pushes that were sent, repetitions included.
    pub sent: u64,
    /// Pushes that the target refused for good; `last_error` says why.
    pub refused: u64,
    /// Metrics that were left out of pushes, by name.
    pub left_out: Vec<LeftOut>,
    /// The pusher's thread runs. It does not after a shutdown, and in a forked child.
    pub is_running: bool,
    /// This process was forked from the one that started the pusher: nothing of it is pushed until it starts its own.
    pub is_forked: bool,
}

#[derive(Debug, Default)]
struct State {
    status: Status,
    /// Flushes that were asked for, and how many of them are fulfilled.
    flush_wanted: u64,
    flush_done: u64,
    /// By when the last push has to be made.
    deadline: Option<Instant>,
    /// The last push was acknowledged.
    is_done: bool,
    is_over: bool,
}

impl State {
    fn requests(&self) -> Requests {
        Requests { flush: self.flush_wanted, deadline: self.deadline }
    }
}

/// What the application wants of the thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Requests {
    pub(crate) flush: u64,
    pub(crate) deadline: Option<Instant>,
}

/// Shared by the handle and the thread. The lock is held for a few instructions only, and never in a forked child, where
/// the thread that held it does not exist.
#[derive(Debug)]
pub(crate) struct Shared {
    pid: u32,
    target: String,
    state: Mutex<State>,
    /// For all that wait, but for a runtime.
    changed: Condvar,
    /// For a runtime, which is woken through a descriptor: only by a thread that has the same ones.
    #[cfg(feature = "remote")]
    wake: Notify,
}

impl Shared {
    pub(crate) fn new(target: String) -> Self {
        let status = Status { target: target.clone(), is_running: true, ..Status::default() };
        Shared {
            pid: std::process::id(),
            target,
            state: Mutex::new(State { status, ..State::default() }),
            changed: Condvar::new(),
            #[cfg(feature = "remote")]
            wake: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    /// Whether this is a child of the process that started the pusher.
    pub(crate) fn is_forked(&self) -> bool {
        self.pid != std::process::id()
    }

    // The application's side.

    pub(crate) fn status(&self) -> Status {
        if self.is_forked() {
            let last_error = Some(FlushError::Forked.to_string());
            return Status { target: self.target.clone(), last_error, is_forked: true, ..Status::default() };
        }
        self.state().status.clone()
    }

    /// Waits until what was counted before the call is acknowledged.
    pub(crate) fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        if self.is_forked() {
            return Err(FlushError::Forked);
        }
        let mut wanted = 0;
        self.update(|state| {
            state.flush_wanted += 1;
            wanted = state.flush_wanted;
        });
        self.wait(timeout, |state| state.flush_done >= wanted)
    }

    /// Asks for the last push and waits for it.
    pub(crate) fn end(&self, timeout: Duration) -> Result<(), FlushError> {
        if self.is_forked() {
            return Err(FlushError::Forked);
        }
        let deadline = Instant::now() + timeout;
        self.update(|state| {
            state.deadline = Some(state.deadline.map_or(deadline, |former| former.min(deadline)))
        });
        self.wait(timeout, |state| state.is_done)
    }

    fn wait(&self, timeout: Duration, is_met: impl Fn(&State) -> bool) -> Result<(), FlushError> {
        let is_open = |state: &mut State| !is_met(state) && !state.is_over;
        let waited = self.changed.wait_timeout_while(self.state(), timeout, is_open);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match (is_met(&state), state.is_over) {
            (true, _) => Ok(()),
            (false, true) => Err(FlushError::Ended { last_error: state.status.last_error.clone() }),
            (false, false) => {
                Err(FlushError::Timeout { timeout, last_error: state.status.last_error.clone() })
            }
        }
    }

    // The thread's side.

    pub(crate) fn requests(&self) -> Requests {
        self.state().requests()
    }

    /// Resumes when the application may want something else than before.
    #[cfg(feature = "remote")]
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Wakes the runtime whenever the application wants something else, until the pusher is over. For a thread beside it.
    #[cfg(feature = "remote")]
    pub(crate) fn wake_runtime(&self) {
        let mut state = self.state();
        while !state.is_over {
            // At first too: something may have been asked for before this thread began to look.
            self.wake.notify_one();
            let known = state.requests();
            let same = |state: &mut State| state.requests() == known && !state.is_over;
            state = self.changed.wait_while(state, same).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// As [`Shared::woken`], without a runtime: returns when requests differ from `known` or `timeout` has passed.
    pub(crate) fn wait_for_requests(&self, known: Requests, timeout: Duration) {
        let same = |state: &mut State| state.requests() == known;
        drop(self.changed.wait_timeout_while(self.state(), timeout, same));
    }

    #[cfg(feature = "remote")]
    pub(crate) fn sent(&self) {
        self.state().status.sent += 1;
    }

    /// Values that were gathered after `flush` flushes had been asked for are acknowledged.
    pub(crate) fn acknowledged(&self, flush: u64) {
        self.update(|state| {
            state.flush_done = state.flush_done.max(flush);
            state.status.last_ok = Some(SystemTime::now());
        });
    }

    pub(crate) fn failed(&self, error: impl ToString) {
        self.update(|state| {
            state.status.last_error = Some(error.to_string());
            state.status.last_error_at = Some(SystemTime::now());
        });
    }

    #[cfg(feature = "remote")]
    pub(crate) fn refused(&self, reason: impl ToString) {
        self.failed(reason);
        self.state().status.refused += 1;
    }

    pub(crate) fn left_out(&self, left_out: Vec<LeftOut>) {
        self.state().status.left_out = left_out;
    }

    #[cfg(feature = "remote")]
    pub(crate) fn is_flushed(&self) -> bool {
        let state = self.state();
        state.flush_done >= state.flush_wanted
    }

    /// The last push was acknowledged.
    pub(crate) fn done(&self) {
        self.update(|state| {
            state.is_done = true;
            state.flush_done = state.flush_wanted;
        });
    }

    /// The thread ends.
    pub(crate) fn over(&self) {
        self.update(|state| {
            state.is_over = true;
            state.status.is_running = false;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forked_child_is_told_so_and_waits_for_no_lock_that_the_parent_held() {
        let shared = Shared { pid: std::process::id() + 1, ..Shared::new("http://c:9091".into()) };
        // As if the parent's thread held it at the fork: nobody in this process will ever release it.
        let held = shared.state();
        assert_eq!(shared.flush(Duration::from_secs(60)), Err(FlushError::Forked));
        assert_eq!(shared.end(Duration::from_secs(60)), Err(FlushError::Forked));
        let status = shared.status();
        assert!(status.is_forked && !status.is_running);
        assert_eq!(status.target, "http://c:9091");
        drop(held);
    }

    #[test]
    fn a_flush_that_was_fulfilled_for_another_does_not_count_for_a_later_one() {
        let shared = Shared::new(String::new());
        shared.acknowledged(0);
        let error = shared.flush(Duration::from_millis(1)).expect_err("nothing was gathered since");
        assert!(matches!(&error, FlushError::Timeout { .. }), "{error}");
        shared.acknowledged(1);
        let error = shared.flush(Duration::from_millis(1)).expect_err("that was the first one");
        assert!(matches!(&error, FlushError::Timeout { .. }), "{error}");
        shared.acknowledged(3);
        assert!(shared.is_flushed());
    }
}

//! The pusher's thread, and the one that wakes it.

use std::sync::Arc;
#[cfg(feature = "remote")]
use std::{
    mem::ManuallyDrop,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use nix::sys::signal::SigSet;

use crate::shared::Shared;

/// The thread's name, for debuggers and `ps -L`.
const NAME: &str = "metrifold-pusher";
#[cfg(feature = "remote")]
const WAKER_NAME: &str = "metrifold-waker";
/// Wait before the next try to set up a runtime, which fails only for want of file descriptors or memory.
#[cfg(feature = "remote")]
const RUNTIME_RETRY: Duration = Duration::from_secs(1);

/// Runs `body` in a thread that takes none of the application's signals. If there can be no thread, the status says so.
pub(crate) fn spawn(shared: Arc<Shared>, body: impl FnOnce() + Send + 'static) {
    let over = Over(Arc::clone(&shared));
    let run = move || {
        let _over = over;
        // A handler of the application may expect to interrupt its own threads. Blocking cannot fail with valid numbers.
        let _ = SigSet::all().thread_block();
        body();
    };
    // The handle is dropped: a thread is never joined, because nobody may wait for it longer than a given time.
    if let Err(error) = std::thread::Builder::new().name(NAME.into()).spawn(run) {
        shared.failed(format_args!("no thread could be started: {error}"));
    }
}

/// Whose descriptors a pusher's thread has.
#[cfg(feature = "remote")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Descriptors {
    /// Those of the process.
    #[default]
    Shared,
    /// Its own, where the system can.
    Own,
}

/// Runs a future on a runtime of this thread alone.
///
/// The runtime is woken through a descriptor, which nobody else may have: a second thread, which has the same, does that. Where
/// descriptors are the process's, what a daemoniser closes is lost to the runtime, which then panics: the status says so, and
/// nothing is dropped, because the numbers may belong to the application by now.
#[cfg(feature = "remote")]
pub(crate) fn block_on(shared: &Arc<Shared>, descriptors: Descriptors, future: impl Future<Output = ()>) {
    if descriptors == Descriptors::Own {
        metrifold_segment::leave_shared_descriptors();
    }
    let Some(runtime) = runtime(shared) else { return };
    let for_waker = Arc::clone(shared);
    let waker = std::thread::Builder::new().name(WAKER_NAME.into());
    if let Err(error) = waker.spawn(move || for_waker.wake_runtime()) {
        return shared.failed(format_args!("no second thread could be started: {error}"));
    }
    let mut future = ManuallyDrop::new(Box::pin(future));
    match catch_unwind(AssertUnwindSafe(|| runtime.block_on(future.as_mut()))) {
        Ok(()) => {
            drop(ManuallyDrop::into_inner(future));
            // A name that is still being resolved must not hold up anything.
            runtime.shutdown_background();
        }
        Err(_) => {
            std::mem::forget(runtime);
            shared.failed("the thread that pushes broke; were its descriptors closed by somebody else?");
        }
    }
}

/// `None` if the process ends before there is one.
#[cfg(feature = "remote")]
fn runtime(shared: &Shared) -> Option<tokio::runtime::Runtime> {
    loop {
        // One thread more at most: the one that resolves names.
        match tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build() {
            Ok(runtime) => return Some(runtime),
            Err(error) => shared.failed(format_args!("no runtime could be set up: {error}")),
        }
        let requests = shared.requests();
        if requests.deadline.is_some() {
            return None;
        }
        shared.wait_for_requests(requests, RUNTIME_RETRY);
    }
}

/// Says that the thread is over, however it ends; also if it never began.
struct Over(Arc<Shared>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.over();
    }
}

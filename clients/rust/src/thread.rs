//! The pusher's one thread.

use std::sync::Arc;
#[cfg(feature = "remote")]
use std::time::Duration;

use nix::sys::signal::SigSet;

use crate::shared::Shared;

/// The thread's name, for debuggers and `ps -L`.
const NAME: &str = "metrifold-pusher";
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

/// Runs a future on a runtime of this thread alone.
#[cfg(feature = "remote")]
pub(crate) fn block_on(shared: &Shared, future: impl Future<Output = ()>) {
    let runtime = loop {
        // One thread more at most: the one that resolves names.
        match tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build() {
            Ok(runtime) => break runtime,
            Err(error) => shared.failed(format_args!("no runtime could be set up: {error}")),
        }
        let requests = shared.requests();
        if requests.deadline.is_some() {
            return;
        }
        shared.wait_for_requests(requests, RUNTIME_RETRY);
    };
    runtime.block_on(future);
    // A name that is still being resolved must not hold up anything.
    runtime.shutdown_background();
}

/// Says that the thread is over, however it ends; also if it never began.
struct Over(Arc<Shared>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.over();
    }
}

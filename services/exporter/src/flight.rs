//! Reads that wait together: whoever asks while a read runs shares the next one.

use std::sync::Arc;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::oneshot;

type Read<T> = dyn Fn() -> BoxFuture<'static, T> + Send + Sync;

/// Runs one read at a time. Every caller gets the result of a read that began after its call; callers that come while
/// a read runs share the next. A caller that goes away disturbs nobody.
pub(crate) struct SharedReads<T> {
    queue: Arc<Mutex<Queue<T>>>,
    read: Arc<Read<T>>,
}

struct Queue<T> {
    is_running: bool,
    waiting: Vec<oneshot::Sender<T>>,
}

impl<T: Clone + Send + 'static> SharedReads<T> {
    /// Reads by calling `read`, never twice at once.
    pub(crate) fn new(read: impl Fn() -> BoxFuture<'static, T> + Send + Sync + 'static) -> Self {
        let queue = Arc::new(Mutex::new(Queue { is_running: false, waiting: Vec::new() }));
        SharedReads { queue, read: Arc::new(read) }
    }

    /// The result of a read that begins after this call; `None` if that read panicked.
    pub(crate) async fn next(&self) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        let must_start = {
            let mut queue = self.queue.lock();
            queue.waiting.push(sender);
            !std::mem::replace(&mut queue.is_running, true)
        };
        if must_start {
            let turn = Turn { queue: self.queue.clone() };
            tokio::spawn(run(turn, self.read.clone()));
        }
        receiver.await.ok()
    }
}

/// The right to read. Given back however the task ends, so that a panic does not stop all later reads.
struct Turn<T> {
    queue: Arc<Mutex<Queue<T>>>,
}

impl<T> Turn<T> {
    /// Those who share the next read; ends the turn if there are none.
    fn take_waiting(&self) -> Vec<oneshot::Sender<T>> {
        let mut queue = self.queue.lock();
        queue.is_running = !queue.waiting.is_empty();
        std::mem::take(&mut queue.waiting)
    }
}

impl<T> Drop for Turn<T> {
    fn drop(&mut self) {
        let mut queue = self.queue.lock();
        // After an orderly end a new turn may have begun, which this one must not touch.
        if std::thread::panicking() {
            queue.is_running = false;
            queue.waiting.clear();
        }
    }
}

async fn run<T: Clone>(turn: Turn<T>, read: Arc<Read<T>>) {
    loop {
        let waiting = turn.take_waiting();
        if waiting.is_empty() {
            return;
        }
        let result = read().await;
        for sender in waiting {
            // A scrape that gave up no longer listens.
            let _ = sender.send(result.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::{FutureExt, future::join_all};
    use tokio::sync::Semaphore;

    use super::*;

    /// Counts reads as they begin; each ends when the test lets it.
    struct Gate {
        begun: Arc<AtomicUsize>,
        doors: Arc<Semaphore>,
        reads: Arc<SharedReads<usize>>,
    }

    fn gate() -> Gate {
        let (begun, doors) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let (counted, waited) = (begun.clone(), doors.clone());
        let reads = SharedReads::new(move || {
            let (number, doors) = (counted.fetch_add(1, Ordering::SeqCst) + 1, waited.clone());
            async move {
                doors.acquire().await.expect("never closed").forget();
                number
            }
            .boxed()
        });
        Gate { begun, doors, reads: Arc::new(reads) }
    }

    impl Gate {
        fn ask(&self) -> tokio::task::JoinHandle<Option<usize>> {
            let reads = self.reads.clone();
            tokio::spawn(async move { reads.next().await })
        }

        async fn until_begun(&self, number: usize) {
            while self.begun.load(Ordering::SeqCst) < number {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn callers_that_wait_share_one_read_that_began_after_they_came() {
        let gate = gate();
        let first = gate.ask();
        gate.until_begun(1).await;
        let later: Vec<_> = (0..20).map(|_| gate.ask()).collect();
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        gate.doors.add_permits(2);
        assert_eq!(first.await.expect("no panic"), Some(1));
        for result in join_all(later).await {
            assert_eq!(result.expect("no panic"), Some(2));
        }
        assert_eq!(gate.begun.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_caller_that_gives_up_disturbs_nobody() {
        let gate = gate();
        let first = gate.ask();
        gate.until_begun(1).await;
        let second = gate.ask();
        tokio::task::yield_now().await;
        first.abort();
        gate.doors.add_permits(2);
        assert_eq!(second.await.expect("no panic"), Some(2));
        gate.doors.add_permits(1);
        assert_eq!(gate.reads.next().await, Some(3));
    }

    #[tokio::test]
    async fn after_a_read_that_panicked_the_next_one_is_served() {
        let calls = AtomicUsize::new(0);
        let reads = SharedReads::new(move || {
            let call = calls.fetch_add(1, Ordering::SeqCst);
            async move {
                assert_ne!(call, 0, "the first read breaks");
                call
            }
            .boxed()
        });
        assert_eq!(reads.next().await, None);
        assert_eq!(reads.next().await, Some(1));
    }
}

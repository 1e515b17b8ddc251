//! The one thread that writes a data directory: many changes at once, and nobody holds a lock meanwhile.
//!
//! A change is carried out in memory first and given to the thread under the same lock, so what is on disk is always what
//! memory was a moment ago. Whoever must not be told before it is durable waits for its [`Ticket`].
//!
//! After an error (a full file system, most often) the disk lacks something that memory has. Its namespaces are *behind*
//! then: their changes fail until one brings the whole of a namespace.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use metrifold_model::{Incarnation, Namespace};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    disk::{Change, Disk, Entry},
    shard::Shard,
};
use crate::StoreError;

/// Changes that become durable together at most; what has come by then waits for the next time.
const CHANGES_MAX: usize = 4096;

/// The place of a change in the order of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// What of a namespace was given to the writer, and may not be durable yet.
#[derive(Default)]
pub(super) struct Unwritten {
    sources: HashMap<Incarnation, Ticket>,
    /// The last time that the namespace was given whole.
    whole: Option<Ticket>,
}

/// Namespaces of which the disk lacks something, and why.
type Behind = Arc<Mutex<HashMap<Namespace, String>>>;

/// The thread's end of a queue of changes. Dropping it writes what is left, and closes the directory.
pub(super) struct Writer {
    queue: Mutex<Queue>,
    done: watch::Receiver<Ticket>,
    behind: Behind,
    thread: Option<JoinHandle<()>>,
}

struct Queue {
    last: Ticket,
    /// `None` once the writer is being dropped.
    sender: Option<mpsc::Sender<Entry>>,
}

impl Writer {
    /// With the namespaces that the directory holds.
    pub(super) fn start(disk: Disk, held: HashSet<Namespace>) -> Result<Writer, StoreError> {
        let (sender, changes) = mpsc::channel();
        let (done, receiver) = watch::channel(Ticket(0));
        let behind = Behind::default();
        let run = {
            let behind = Arc::clone(&behind);
            move || write_all(&disk, held, &changes, &done, &behind)
        };
        let thread =
            std::thread::Builder::new().name("metrifold-disk".into()).spawn(run).map_err(|error| {
                StoreError::Unavailable(format!("store.data_dir: no thread to write it: {error}"))
            })?;
        let queue = Mutex::new(Queue { last: Ticket(0), sender: Some(sender) });
        Ok(Writer { queue, done: receiver, behind, thread: Some(thread) })
    }

    /// Queues a change of a namespace, under the lock under which memory has carried it out. If the namespace is behind, all
    /// of it is queued instead.
    pub(super) fn write(
        &self,
        namespace: &Namespace,
        unwritten: &mut Unwritten,
        shard: &Shard,
        change: Change,
    ) -> Ticket {
        match self.lacks_whole(namespace, unwritten) {
            true => self.write_whole(namespace, unwritten, shard),
            false => self.queue(namespace, change),
        }
    }

    /// Queues all of a namespace.
    pub(super) fn write_whole(
        &self,
        namespace: &Namespace,
        unwritten: &mut Unwritten,
        shard: &Shard,
    ) -> Ticket {
        let ticket = self.queue(namespace, shard.whole());
        unwritten.whole = Some(ticket);
        ticket
    }

    /// As [`Writer::write`], for what concerns one source.
    pub(super) fn write_source(
        &self,
        namespace: &Namespace,
        unwritten: &mut Unwritten,
        shard: &Shard,
        incarnation: Incarnation,
        change: Change,
    ) -> Ticket {
        let ticket = self.write(namespace, unwritten, shard, change);
        unwritten.sources.insert(incarnation, ticket);
        ticket
    }

    /// What has to be durable before a source may be answered, if nothing new has to be written of it: an earlier try may
    /// be under way, or have failed.
    pub(super) fn earlier(
        &self,
        namespace: &Namespace,
        unwritten: &mut Unwritten,
        shard: &Shard,
        incarnation: Incarnation,
    ) -> Option<Ticket> {
        let ticket = *unwritten.sources.get(&incarnation)?;
        if self.is_done(ticket) { self.catch_up(namespace, unwritten, shard) } else { Some(ticket) }
    }

    /// What has to be durable before a namespace is no longer behind, if it is.
    pub(super) fn catch_up(
        &self,
        namespace: &Namespace,
        unwritten: &mut Unwritten,
        shard: &Shard,
    ) -> Option<Ticket> {
        if !self.is_behind(namespace) {
            return None;
        }
        let queued = unwritten.whole.filter(|whole| !self.is_done(*whole));
        // Waited for even if it is done by now: it may have failed.
        Some(queued.unwrap_or_else(|| self.write_whole(namespace, unwritten, shard)))
    }

    /// Forgets what is durable.
    pub(super) fn forget(&self, namespace: &Namespace, unwritten: &mut Unwritten) {
        // In this order: a change that fails puts its namespace behind before it counts as done.
        let done = *self.done.borrow();
        if !self.is_behind(namespace) {
            unwritten.sources.retain(|_, ticket| *ticket > done);
        }
    }

    /// Whether a namespace is behind, and nothing is queued that would change that.
    fn lacks_whole(&self, namespace: &Namespace, unwritten: &Unwritten) -> bool {
        self.is_behind(namespace) && unwritten.whole.is_none_or(|whole| self.is_done(whole))
    }

    fn queue(&self, namespace: &Namespace, change: Change) -> Ticket {
        let mut queue = self.queue.lock();
        queue.last.0 += 1;
        if let Some(sender) = &queue.sender {
            // Without a receiver the thread has panicked; whoever waits is told so.
            let _ = sender.send(Entry { namespace: namespace.clone(), change });
        }
        queue.last
    }

    /// Waits until a change, and all before it, are durable.
    pub(super) async fn durable(&self, namespace: &Namespace, ticket: Ticket) -> Result<(), StoreError> {
        let unavailable = |reason: &str| StoreError::Unavailable(format!("store.data_dir: {reason}"));
        let mut done = self.done.clone();
        if done.wait_for(|done| *done >= ticket).await.is_err() {
            return Err(unavailable("the thread that writes it has ended"));
        }
        match self.behind.lock().get(namespace) {
            Some(reason) => Err(unavailable(reason)),
            None => Ok(()),
        }
    }

    /// Whether a change was tried; if its namespace is not behind, it is durable.
    fn is_done(&self, ticket: Ticket) -> bool {
        *self.done.borrow() >= ticket
    }

    /// Whether the disk lacks something of a namespace, so that it has to be written whole.
    fn is_behind(&self, namespace: &Namespace) -> bool {
        self.behind.lock().contains_key(namespace)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.lock().sender = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported, and nothing more can be written.
            let _ = thread.join();
        }
    }
}

fn write_all(
    disk: &Disk,
    mut held: HashSet<Namespace>,
    changes: &mpsc::Receiver<Entry>,
    done: &watch::Sender<Ticket>,
    behind: &Behind,
) {
    while let Ok(first) = changes.recv() {
        let mut batch = vec![first];
        batch.extend(changes.try_iter().take(CHANGES_MAX - 1));
        let count = batch.len() as u64;
        held.extend(batch.iter().map(|Entry { namespace, .. }| namespace.clone()));
        if disk.is_missing() {
            // Somebody took the file away while it was closed after an error: the next one has nothing of anybody.
            let lost = |namespace: &Namespace| (namespace.clone(), "the database is gone".to_owned());
            behind.lock().extend(held.iter().map(lost));
        }
        write(disk, batch, behind);
        done.send_modify(|done| done.0 += count);
    }
}

fn write(disk: &Disk, mut batch: Vec<Entry>, behind: &Behind) {
    // What rests on something that the disk lacks is not written. A whole namespace rests on nothing.
    let mut lacking: HashMap<_, _> = behind.lock().clone();
    batch.retain(|Entry { namespace, change }| {
        if matches!(change, Change::Whole(_)) {
            lacking.remove(namespace);
        }
        !lacking.contains_key(namespace)
    });
    if batch.is_empty() {
        return;
    }
    match disk.write(&batch) {
        Ok(()) => *behind.lock() = lacking,
        Err(error) => {
            let mut behind = behind.lock();
            for Entry { namespace, .. } in batch {
                behind.insert(namespace, error.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use metrifold_model::Epoch;

    use super::*;

    fn whole(name: &str) -> Entry {
        let namespace = Namespace::new(name).expect("a name");
        Entry { namespace, change: Shard::open(Epoch(1), 1, 10).whole() }
    }

    /// After an error the file is opened anew, and may be gone by then: an empty one has nothing of those that are not
    /// written now.
    #[test]
    fn all_are_behind_when_the_database_is_gone() {
        let folder = tempfile::tempdir().expect("a directory");
        let disk = Disk::closed(folder.path());
        let held: HashSet<_> = ["a", "b"].map(|name| Namespace::new(name).expect("a name")).into();
        let (sender, changes) = mpsc::channel();
        let (done, behind) = (watch::Sender::new(Ticket(0)), Behind::default());
        sender.send(whole("a")).expect("there is a receiver");
        drop(sender);
        write_all(&disk, held, &changes, &done, &behind);
        let behind: Vec<_> = behind.lock().keys().map(ToString::to_string).collect();
        assert_eq!((behind, *done.borrow()), (vec!["b".to_owned()], Ticket(1)));
        assert!(!disk.is_missing(), "and the one that was written whole is there");
    }
}

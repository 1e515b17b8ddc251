//! A connection that may hang.

use std::{sync::Arc, time::Duration};

use metrifold_session::Push;
use parking_lot::Mutex;

use crate::{Unanswered, attempt};

/// Waits for what an attempt to send `push` comes to.
///
/// # Errors
/// [`Hung`] if that takes too long.
pub(crate) async fn in_time<T>(push: &Push, attempt: impl Future<Output = T>) -> Result<T, Hung> {
    let limit = attempt::limit(push);
    tokio::time::timeout(limit, attempt).await.map_err(|_| Hung { limit })
}

/// An attempt took too long.
#[derive(Debug)]
pub(crate) struct Hung {
    limit: Duration,
}

impl From<Hung> for Unanswered {
    fn from(hung: Hung) -> Unanswered {
        Unanswered(format!("no answer within {:?}", hung.limit))
    }
}

/// A connection that is replaced when it hangs: the next attempt must not depend on anything that may hang.
pub(crate) struct Connection<C> {
    current: Mutex<Option<Arc<C>>>,
}

impl<C> Default for Connection<C> {
    fn default() -> Self {
        Connection { current: Mutex::new(None) }
    }
}

impl<C> Connection<C> {
    /// The connection of now.
    ///
    /// # Errors
    /// What `make` says, if there is none.
    pub(crate) fn get<E>(&self, make: impl FnOnce() -> Result<C, E>) -> Result<Arc<C>, E> {
        let mut current = self.current.lock();
        let connection = match current.take() {
            Some(connection) => connection,
            None => Arc::new(make()?),
        };
        *current = Some(Arc::clone(&connection));
        Ok(connection)
    }

    /// Gives up a connection, unless that has been done. Attempts that use it go on.
    pub(crate) fn give_up(&self, hung: &Arc<C>) {
        let mut current = self.current.lock();
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, hung)) {
            *current = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use metrifold_model::{DescriptorList, Incarnation, Worker};
    use metrifold_session::{Instant, Pusher, PusherSettings};

    use super::*;

    fn push() -> Push {
        let mut pusher =
            Pusher::new(Incarnation(1), Worker::default(), PusherSettings::default(), Instant(1));
        pusher.offer(Instant(1), &DescriptorList::default(), Default::default(), false)
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_hangs_ends_and_says_how_long_it_took() {
        let hung = in_time(&push(), std::future::pending::<()>()).await.expect_err("nobody answers");
        assert_eq!(Unanswered::from(hung).to_string(), "no answer within 1.5s");
        assert_eq!(in_time(&push(), async { 7 }).await.ok(), Some(7));
    }

    #[test]
    fn a_connection_that_hung_is_replaced_once() {
        let connection = Connection::default();
        let made = std::cell::Cell::new(0);
        let get = || {
            connection.get(|| {
                made.set(made.get() + 1);
                Ok::<_, Infallible>(made.get())
            })
        };
        let (Ok(first), Ok(same)) = (get(), get());
        assert_eq!((*first, *same), (1, 1));
        connection.give_up(&first);
        let Ok(second) = get();
        assert_eq!(*second, 2);
        // Another attempt over the first one has hung too.
        connection.give_up(&same);
        let Ok(still) = get();
        assert_eq!(*still, 2);
    }
}

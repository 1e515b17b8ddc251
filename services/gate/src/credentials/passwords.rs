//! Passwords against their hashes.

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::{Attempts, Origin};
use crate::web::Users;

/// Right passwords that are remembered, so that the next request costs no hash; as many as exporters remember.
const REMEMBERED_MAX: usize = 100;
/// Hashes computed at once. Each takes a core for some 50 ms, and the scrapes of others need one too.
const HASHES_MAX: usize = 1;
/// Requests that wait for a hash; more are sent away at once.
const WAITING_MAX: usize = 32;

/// A digest of user, hash and password under a key of this process.
type Known = [u8; 32];

/// Checks passwords, one at a time, and remembers right ones.
pub(crate) struct Passwords {
    salt: [u8; 32],
    right: Mutex<Right>,
    hashing: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// The last right passwords, oldest first.
#[derive(Default)]
struct Right {
    known: HashSet<Known>,
    order: VecDeque<Known>,
}

/// Why a password was not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unchecked {
    /// This origin was wrong too often; wait for so long.
    TooOften(Duration),
    /// Too many wait for a hash.
    Busy,
}

impl Default for Passwords {
    fn default() -> Self {
        Passwords {
            salt: rand::random(),
            right: Mutex::default(),
            hashing: Arc::new(Semaphore::new(HASHES_MAX)),
            waiting: AtomicUsize::new(0),
        }
    }
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passwords").finish_non_exhaustive()
    }
}

impl Passwords {
    /// Whether `user` has this password. It takes as long for a user who does not exist.
    pub(crate) async fn check(
        &self,
        users: &Users,
        user: &str,
        password: &str,
        origin: Origin,
        attempts: &Attempts,
    ) -> Result<bool, Unchecked> {
        let lot = u64::from_le_bytes(prefix(&self.digest(&[user])));
        let Some((hash, exists)) = users.hash(user, lot) else { return Ok(false) };
        let known = self.digest(&[user, hash, password]);
        if self.right.lock().known.contains(&known) {
            return Ok(exists);
        }
        attempts.take(origin, Instant::now()).map_err(Unchecked::TooOften)?;
        let is_right = self.compare(hash.to_owned(), password.to_owned()).await? && exists;
        if is_right {
            attempts.forgive(origin);
            self.right.lock().remember(known);
        }
        Ok(is_right)
    }

    async fn compare(&self, hash: String, password: String) -> Result<bool, Unchecked> {
        let _place = Place::take(&self.waiting).ok_or(Unchecked::Busy)?;
        let permit = self.hashing.clone().acquire_owned().await.map_err(|_| Unchecked::Busy)?;
        // The permit goes along: a caller who hangs up does not make room for another hash while this one runs.
        let compared = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            bcrypt::verify(password, &hash).unwrap_or(false)
        });
        compared.await.map_err(|_| Unchecked::Busy)
    }

    /// Lengths go along, so that no two lists of words have the same digest.
    fn digest(&self, words: &[&str]) -> Known {
        let mut hasher = Sha256::new_with_prefix(self.salt);
        for word in words {
            hasher.update(word.len().to_le_bytes());
            hasher.update(word);
        }
        hasher.finalize().into()
    }
}

fn prefix(known: &Known) -> [u8; 8] {
    let mut prefix = [0; 8];
    prefix.copy_from_slice(&known[..8]);
    prefix
}

impl Right {
    fn remember(&mut self, known: Known) {
        if self.known.insert(known) {
            self.order.push_back(known);
        }
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

/// One of the places of those who wait.
struct Place<'w>(&'w AtomicUsize);

impl<'w> Place<'w> {
    fn take(waiting: &'w AtomicUsize) -> Option<Place<'w>> {
        let place = Place(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < WAITING_MAX).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_right_passwords_are_remembered() {
        let mut right = Right::default();
        for number in 0..=u8::MAX {
            right.remember([number; 32]);
            right.remember([number; 32]);
        }
        assert_eq!((right.known.len(), right.order.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
        assert!(right.known.contains(&[u8::MAX; 32]) && !right.known.contains(&[0; 32]));
    }

    #[test]
    fn whoever_finds_no_place_leaves_none_taken() {
        let waiting = AtomicUsize::new(0);
        let places: Vec<_> = std::iter::repeat_with(|| Place::take(&waiting)).take(WAITING_MAX + 3).collect();
        assert_eq!(places.iter().flatten().count(), WAITING_MAX);
        drop(places);
        assert_eq!(waiting.load(Ordering::Relaxed), 0);
    }
}

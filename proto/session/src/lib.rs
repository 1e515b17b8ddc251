//! How a worker's values reach the archive exactly once: push, fold, trim and restore as pure state machines.
//!
//! The [`Pusher`] decides what a source sends; [`accept`] decides what a store does with it; [`reap`] decides what is
//! folded and trimmed; [`restore`] decides what a store that lost its contents starts again with. None of them knows a
//! clock, a socket or a store: instants and random ids are passed in, and every transport and every store is driven by
//! these machines. `tests/model` explores the same machines exhaustively.
//!
//! ```
//! use metrifold_model::{Descriptor, DescriptorList, Epoch, Incarnation, Kind, Labels, Values, Worker};
//! use metrifold_session::{Answer, Instant, Pusher, PusherSettings, ShardHead, Step, Verdict, accept};
//!
//! let mut pusher = Pusher::new(Incarnation(7), Worker::default(), PusherSettings::default(), Instant(0));
//! let descriptors: DescriptorList =
//!     [Descriptor::new(Kind::Counter, "req", "req_total", Labels::default(), "")].into_iter().collect();
//! let shard = ShardHead::open(Epoch(1));
//!
//! // The first push of an incarnation carries no values; values follow its `ok`.
//! assert_eq!(pusher.poll(Instant(0), Incarnation(8)), Step::Gather);
//! let hello = pusher.offer(Instant(0), &descriptors, Values::from_slots(vec![1.0]), false);
//! let Verdict::Write { record, answer } = accept(&shard, None, None, &hello, Instant(0)) else { panic!() };
//! pusher.answered(Instant(1), hello.seq, answer);
//! let push = pusher.offer(Instant(1), &descriptors, Values::from_slots(vec![1.0]), false);
//! let Verdict::Write { record, answer } = accept(&shard, Some(&record), None, &push, Instant(1)) else { panic!() };
//! assert_eq!(answer, Answer::Ok { epoch: Epoch(1) });
//! assert_eq!(record.values.slots, [1.0]);
//! ```

mod accept;
mod admin;
mod archive;
mod check;
mod push;
mod pusher;
mod reap;
mod restore;
mod settling;
mod shard;
mod sources;
mod time;

pub use accept::{Verdict, accept};
pub use admin::{retire, wipe};
pub use archive::{Archive, ArchivePolicy, Archived, ArchivedSeries};
pub use check::{SlotRules, sound};
pub use push::{Answer, DescriptorPart, Payload, Push, Refusal};
pub use pusher::{Pusher, PusherSettings, PusherState, Step};
pub use reap::{Commit, ReapPolicy, is_dead, reap};
pub use restore::{needs_restore, restore};
pub use settling::{Serving, Settling};
pub use shard::{Part, Record, ShardHead, ShardSnapshot, Tombstone};
pub use sources::{SourceRow, SourceState, count_states, sort_sources, source_rows};
pub use time::Instant;

//! Copies of queues and registers that a backend keeps up to date by what its service tells: for authors of backends.
//!
//! [`Queue::contenders`](crate::Queue::contenders) and [`Queue::changed`](crate::Queue::changed) are answered from a copy of the queue that all
//! waiters of a session share: a handoff costs the service one event a process and wakes those alone whom it concerns, however
//! long the queue is. A backend whose service tells of changes (a watch, a subscription) gives a [`Source`] of them, and has the rest from here:
//!
//! | | |
//! |---|---|
//! | [`Source`] | the backend's part: opens a watch, and lists what is there |
//! | [`QueueReplica`], [`RegisterReplica`] | the copy: what is known, how far, and who waits for what |
//! | [`Mirror`] | one source and its copy, followed while somebody uses it |
//! | [`ByPath`] | the table in which the handles of one path find what they share |
//! | [`Waiters`] | the table of waiters by itself, for state of another shape |
//!
//! # Example
//!
//! A service that keeps one queue, numbers its changes, and tells them over a channel.
//!
//! ```
//! use std::future::ready;
//! use std::sync::{Arc, Mutex};
//!
//! use futures_util::{Stream, StreamExt, stream};
//! use leasehold_core::mirror::{EntryChange, FeedEvent, Listed, Mirror, QueueReplica, QueueSnapshot, Source};
//! use leasehold_core::{AttemptIds, BackendError, Contender, Contenders, Interest, Mode};
//! use tokio::sync::broadcast::{self, error::RecvError};
//! use tokio_util::sync::CancellationToken;
//!
//! struct Service {
//!     entries: Mutex<QueueSnapshot>,
//!     changes: broadcast::Sender<EntryChange>,
//! }
//!
//! impl Service {
//!     /// Removes the first entry; answers the revision of that.
//!     fn remove_first(&self) -> u64 {
//!         let mut queue = self.entries.lock().unwrap();
//!         queue.revision += 1;
//!         let attempt = queue.entries.remove(0).contender.attempt;
//!         let _ = self.changes.send(EntryChange::Removed { attempt, revision: queue.revision });
//!         queue.revision
//!     }
//! }
//!
//! /// Where the copy comes from.
//! struct Entries(Arc<Service>);
//!
//! impl Source for Entries {
//!     type Replica = QueueReplica;
//!
//!     fn watch(&self) -> impl Stream<Item = FeedEvent<Vec<EntryChange>>> + Send {
//!         let changes = stream::unfold(self.0.changes.subscribe(), async |mut changes| {
//!             let event = match changes.recv().await {
//!                 Ok(change) => FeedEvent::Changed(vec![change]),
//!                 // What was missed shows in a new listing.
//!                 Err(RecvError::Lagged(_)) => FeedEvent::Opened,
//!                 Err(RecvError::Closed) => return None,
//!             };
//!             Some((event, changes))
//!         });
//!         stream::once(ready(FeedEvent::Opened)).chain(changes)
//!     }
//!
//!     async fn load(&self) -> Result<QueueSnapshot, BackendError> {
//!         Ok(self.0.entries.lock().unwrap().clone())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let ids = AttemptIds::new()?;
//! let entry = |position| {
//!     let contender = Contender { attempt: ids.next(), position, mode: Mode::Exclusive };
//!     Listed { contender, version: position }
//! };
//! let entries = vec![entry(1), entry(2)];
//! let first = entries[0].contender;
//! let service = Arc::new(Service {
//!     entries: Mutex::new(QueueSnapshot { revision: 2, entries }),
//!     changes: broadcast::channel(16).0,
//! });
//!
//! // In the backend's queue handle; `closing` is the session's.
//! let closing = CancellationToken::new();
//! let mirror = Arc::new(Mirror::new(Entries(service.clone()), closing.clone()));
//! let copy = mirror.using();
//! let interest = Interest::Entry { attempt: first.attempt, mode: first.mode, version: None };
//! let (gone, ()) = tokio::join!(copy.changed(interest), async {
//!     // What the session does itself is shown by every later look.
//!     copy.at_least(service.remove_first());
//! });
//! gone?;
//! let mut look = |contenders: &Contenders| assert_eq!(contenders.len(), 1);
//! copy.look(&mut look).await?;
//!
//! // Whoever still waits when the session ends is told so.
//! closing.cancel();
//! let interest = Interest::Queue { revision: 3 };
//! assert!(copy.changed(interest).await.is_err());
//! # Ok(()) }
//! ```

mod by_path;
mod followed;
mod queue;
mod register;
mod source;
mod waiters;

pub use by_path::ByPath;
pub use followed::{Mirror, Using};
pub use queue::{EntryChange, Listed, QueueReplica, QueueSnapshot};
pub use register::{RegisterReplica, RegisterState};
pub use source::{Change, FeedEvent, Replica, Snapshot, Source};
pub use waiters::{Registration, Waiters, Woken};

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    /// Polls once.
    pub(super) fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }
}

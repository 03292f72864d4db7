//! What a copy is fed from, and what a copy is.

use std::future::Future;

use futures_util::Stream;

use crate::backend_error::BackendError;

/// The service's side of one mirror: where the queue or the register is, and how to hear of it.
///
/// # Contract
///
/// 1. Every change after [`FeedEvent::Opened`] is told, in order, until the next `Opened` or the end of the stream. After
///    a gap, say because a connection broke, there is an `Opened` again.
/// 2. A snapshot that is asked for after an `Opened` was read holds everything that happened before that `Opened`. It may hold some of what is told
///    after it, too: changes up to the snapshot's revision are passed over.
/// 3. Revisions and versions are numbers of one sequence, which rises with every change of the queue or register. A snapshot
///    shows an earlier one than was known only if the service has forgotten what it knew.
/// 4. Data that is not of the backend's making is left out, of snapshots and of changes.
pub trait Source: Send + Sync + 'static {
    /// What is kept of it: a [`QueueReplica`](super::QueueReplica) or a [`RegisterReplica`](super::RegisterReplica).
    type Replica: Replica;

    /// Opens a watch. Dropping the stream closes it; the stream ends only when the session is over.
    fn watch(&self) -> impl Stream<Item = FeedEvent<Change<Self>>> + Send;

    /// Asks the service what is there now.
    ///
    /// # Errors
    /// Those of any read. It is asked again after a transient one; any other is told to all who wait.
    ///
    /// # Cancel safety
    /// It is dropped at any await when the copy is not needed any longer.
    fn load(&self) -> impl Future<Output = Result<Snapshot<Self>, BackendError>> + Send;
}

/// What a source's stream tells the changes in.
pub type Change<S> = <<S as Source>::Replica as Replica>::Change;

/// What a source loads.
pub type Snapshot<S> = <<S as Source>::Replica as Replica>::Snapshot;

/// What a watch tells.
#[derive(Debug)]
pub enum FeedEvent<T> {
    /// It is open: everything after this moment will be told. What was told before may have a gap behind it.
    Opened,
    /// Something changed.
    Changed(T),
    /// The service refuses it. Nothing follows.
    Refused(BackendError),
}

impl<T> FeedEvent<T> {
    /// The same event with its changes read.
    pub fn map<U>(self, read: impl FnOnce(T) -> U) -> FeedEvent<U> {
        match self {
            Self::Opened => FeedEvent::Opened,
            Self::Changed(changed) => FeedEvent::Changed(read(changed)),
            Self::Refused(error) => FeedEvent::Refused(error),
        }
    }
}

/// A copy that can be waited for. A [`Mirror`](super::Mirror) calls these methods, in the order `begin`, `load`, (`apply` | `load`)…,
/// `fail`, `begin`…, and none of them at the same time as another.
pub trait Replica: Default + Send + Sync + 'static {
    /// The whole of it at one time.
    type Snapshot: Send;
    /// One event's worth of changes.
    type Change: Send;

    /// A watch is about to be opened; there is nothing yet.
    fn begin(&self);

    /// The newest revision that this session knows of by other means. It is looked at before a snapshot is asked for.
    fn known(&self) -> u64;

    /// Takes over a snapshot that was asked for when [`Replica::known`] was `known`.
    fn load(&self, known: u64, snapshot: Self::Snapshot);

    /// Takes over a change, which may be older than what was loaded.
    fn apply(&self, change: Self::Change);

    /// Nothing is kept up to date any more, and waiting is in vain.
    fn fail(&self, error: &BackendError);
}

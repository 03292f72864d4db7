//! The mutex.
//!
//! # Implementation
//!
//! The rule: an entry is granted when it is first in its queue, else it waits for the entry next ahead.
//!
//! *Exclusion.* The service orders the entries of a queue totally and never puts a new one before an old one. So two
//! entries are never first at once, and an entry that was first stays first until it is removed. Every acquisition has an entry
//! of its own (also two tasks of one process), so two grants never share one. An entry is removed by its owner's
//! withdrawal, by the end of its session, which the owner's local deadline anticipates, or by an administrator, of which
//! the owner hears by the watch of its own entry.
//!
//! *No lost wake-up.* An entry that is not first has exactly one next ahead, and waits for that. Each removal changes the
//! neighbour of at most one entry, which is the one that waits for it; so a release wakes one waiter, and a waiter that left
//! from the middle of the queue wakes the one behind, which goes on to wait for the next ahead.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::acquisition::{Grant, Patience, Request};
use crate::attempt::AttemptId;
use crate::backend::Interest;
use crate::contenders::Contenders;
use crate::coordinator::Coordinator;
use crate::error::{Error, ErrorKind, ReleaseError};
use crate::held::Held;
use crate::liveness::LossReason;
use crate::mode::Mode;
use crate::name::{KeyPath, Kind, NameError};
use crate::rule::{Rule, Verdict};
use crate::token::FencingToken;

/// A fair distributed mutual-exclusion lock.
///
/// Contenders, of this process or any other, are granted in the order in which the service received their requests
/// (FIFO), among those that have neither given up nor lost their session. Every acquisition is an entry of its own: two
/// tasks that lock the same name exclude each other like two machines.
///
/// A `Mutex` is a name and a [`Coordinator`]; making one costs nothing and touches no service. It is not
/// reentrant: a task that locks a name twice waits for itself.
///
/// # What it promises, and what it cannot
///
/// No two guards of one name are held at once by the local deadline ([`Held::is_held`]), as far as the
/// backend's capabilities say (see [`Capabilities`](crate::Capabilities)). No lease-based lock can promise that
/// *code* never runs twice: a process may be paused right after it looked. Hand the
/// [`fencing_token`](Held::fencing_token) to the resource and let it reject lower ones.
///
/// # Losing the lock
///
/// The lock goes away under its holder when the service does not hear of the process for a TTL, or when an administrator
/// removes the entry. [`Mutex::with`] drops the work then; a guard tells by [`Held::lost`] and [`Held::is_held`].
/// A session that is lost while *waiting* is replaced: the wait goes on at the queue's end.
#[derive(Clone)]
pub struct Mutex {
    coordinator: Coordinator,
    name: Arc<str>,
    path: Result<KeyPath, NameError>,
}

impl Mutex {
    pub(crate) fn new(coordinator: Coordinator, name: &str) -> Self {
        let path = KeyPath::new(coordinator.namespace(), Kind::Lock, name);
        Self { coordinator, name: name.into(), path }
    }

    /// The name, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Locks, runs `work` for as long as the lock is held, and releases.
    ///
    /// `work` is given the [`Held`], which it may clone and hand to other tasks. If the lock is lost first, `work` is dropped at the
    /// await it is at. If the coordinator is shut down, `work` goes on, and can see it by
    /// [`Held::cancellation_token`]; the shutdown waits for it.
    ///
    /// ```
    /// # async fn example(coordinator: leasehold_core::Coordinator) -> Result<(), leasehold_core::Error> {
    /// let sum = coordinator.mutex("cache/users").with(|held| async move {
    ///     println!("under token {}", held.fencing_token());
    ///     1 + 1
    /// }).await?;
    /// # assert_eq!(sum, 2);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Mutex::lock`], and [`ErrorKind::Lost`] if the lock went away before `work` had ended or before it was
    /// released. A release that the service does not confirm in time is no error here: the removal goes on in the background.
    ///
    /// # Cancel safety
    /// Dropping the future drops `work`, if it runs, and gives up the lock or the place in the queue, as in [`Mutex::lock`].
    pub async fn with<F, W>(&self, work: F) -> Result<W::Output, Error>
    where
        F: FnOnce(Held) -> W,
        W: Future,
    {
        let guard = self.lock().await?;
        let held = guard.held();
        let output = guard.while_held(work(held)).await?;
        match guard.release().await {
            Ok(()) | Err(ReleaseError::Unknown(_)) => Ok(output),
            Err(ReleaseError::Lost(error)) => Err(error),
        }
    }

    /// Locks, waiting as long as it takes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidName`]; [`ErrorKind::Closed`] if the coordinator is shut down, also while waiting;
    /// [`ErrorKind::Unauthenticated`], [`ErrorKind::PermissionDenied`], [`ErrorKind::TooLarge`], … if the service
    /// refuses for good. While the service cannot be reached it waits on.
    ///
    /// # Cancel safety
    /// Dropping the future at any point gives up the place in the queue. An entry that exists by then, or that a
    /// request on its way creates later, is removed in the background within about a round trip, at the latest with the
    /// session. Nothing of the lock is held afterwards.
    pub async fn lock(&self) -> Result<MutexGuard, Error> {
        match self.acquire("lock", Patience::Forever).await? {
            Some(guard) => Ok(guard),
            // Only a try, a time-out or a caller that is gone ends without a guard.
            None => Err(self.error(ErrorKind::Closed, "lock", "the acquisition was given up")),
        }
    }

    /// Locks if nobody holds or waits; `Ok(None)` if somebody does.
    ///
    /// It never overtakes a waiter and waits for no contender. It takes as long as the service's answer, at most
    /// the request time-out. On etcd a busy lock is not written to.
    ///
    /// # Errors
    /// As [`Mutex::lock`], and [`ErrorKind::Unavailable`] if the service did not answer within the request time-out.
    ///
    /// # Cancel safety
    /// As [`Mutex::lock`].
    pub async fn try_lock(&self) -> Result<Option<MutexGuard>, Error> {
        self.acquire("try_lock", Patience::Try).await
    }

    /// Locks, waiting at most `patience` in all, for the service's answers as well as for other holders; `Ok(None)` if
    /// others held the lock for that long. No patience at all is [`Mutex::try_lock`].
    ///
    /// # Errors
    /// As [`Mutex::lock`], and [`ErrorKind::Unavailable`] if the service did not answer within `patience`.
    ///
    /// # Cancel safety
    /// As [`Mutex::lock`].
    pub async fn try_lock_for(&self, patience: Duration) -> Result<Option<MutexGuard>, Error> {
        let patience = if patience.is_zero() { Patience::Try } else { Patience::For(patience) };
        self.acquire("try_lock_for", patience).await
    }

    async fn acquire(
        &self,
        operation: &'static str,
        patience: Patience,
    ) -> Result<Option<MutexGuard>, Error> {
        let path = self.path.clone().map_err(|error| {
            self.error(ErrorKind::InvalidName, operation, &error.to_string()).with_source(error)
        })?;
        let name = self.name.clone();
        let request = Request { operation, name, path, rule: &FirstInLine, mode: Mode::Exclusive, patience };
        let grant = self.coordinator.acquire(request).await?;
        Ok(grant.map(|grant| MutexGuard { grant, _coordinator: self.coordinator.clone() }))
    }

    fn error(&self, kind: ErrorKind, operation: &'static str, detail: &str) -> Error {
        Error::new(kind, operation, detail)
            .with_name(self.name.clone())
            .with_backend(self.coordinator.backend_name())
    }
}

impl fmt::Debug for Mutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A held [`Mutex`]. Owned: it can be kept anywhere and moved to other tasks.
///
/// Dropping it gives the lock up in the background, without waiting and without a word whether it went well; dropping
/// needs no runtime. [`MutexGuard::release`] waits and reports. The backstop of both is the TTL.
#[must_use = "a guard that is dropped at once gives the lock up at once"]
pub struct MutexGuard {
    grant: Grant,
    /// Keeps the session alive.
    _coordinator: Coordinator,
}

impl MutexGuard {
    /// The owned, cloneable fact of holding, for tasks that work under the lock.
    pub fn held(&self) -> Held {
        self.grant.held().clone()
    }

    /// As [`Held::fencing_token`].
    pub fn fencing_token(&self) -> FencingToken {
        self.grant.held().fencing_token()
    }

    /// As [`Held::is_held`].
    pub fn is_held(&self) -> bool {
        self.grant.held().is_held()
    }

    /// As [`Held::lost`].
    pub fn lost(&self) -> impl Future<Output = LossReason> + Send + 'static {
        self.grant.held().lost()
    }

    /// As [`Held::cancellation_token`].
    pub fn cancellation_token(&self) -> CancellationToken {
        self.grant.held().cancellation_token()
    }

    /// As [`Held::while_held`].
    ///
    /// # Errors
    /// As there.
    pub async fn while_held<F: Future>(&self, work: F) -> Result<F::Output, Error> {
        self.grant.held().while_held(work).await
    }

    /// Releases the lock and waits for the service to confirm it.
    ///
    /// # Errors
    /// [`ReleaseError::Lost`] if the lock was lost before; [`ReleaseError::Unknown`] if the service did not confirm the
    /// release within the request time-out (it goes on in the background).
    ///
    /// # Cancel safety
    /// Once polled, the release goes on whether or not the future is.
    pub async fn release(self) -> Result<(), ReleaseError> {
        self.grant.release().await
    }
}

impl fmt::Debug for MutexGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MutexGuard").field(self.grant.held()).finish()
    }
}

struct FirstInLine;

impl Rule for FirstInLine {
    fn verdict(&self, queue: &Contenders, me: AttemptId) -> Verdict {
        if queue.get(me).is_none() {
            return Verdict::NotQueued;
        }
        match queue.ahead_of(me).next() {
            None => Verdict::Granted,
            Some(next) => {
                Verdict::WaitFor(Interest::Entry { attempt: next.attempt, mode: next.mode, version: None })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::AttemptIds;
    use crate::contenders::Contender;

    #[test]
    fn the_first_is_granted_and_the_others_wait_for_the_one_next_ahead() {
        let ids = AttemptIds::new().unwrap();
        let [a, b, c, stranger] = [ids.next(), ids.next(), ids.next(), ids.next()];
        let mode = Mode::Exclusive;
        let queue: Contenders = [(a, 5), (b, 6), (c, 9)]
            .map(|(attempt, position)| Contender { attempt, position, mode })
            .into_iter()
            .collect();
        let wait_for = |attempt| Verdict::WaitFor(Interest::Entry { attempt, mode, version: None });
        assert_eq!(FirstInLine.verdict(&queue, a), Verdict::Granted);
        assert_eq!(FirstInLine.verdict(&queue, b), wait_for(a));
        assert_eq!(FirstInLine.verdict(&queue, c), wait_for(b));
        assert_eq!(FirstInLine.verdict(&queue, stranger), Verdict::NotQueued);
    }
}

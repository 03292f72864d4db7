//! The read/write lock.
//!
//! # Implementation
//!
//! One queue; a reader's entry is shared, a writer's exclusive. The rule: an entry is granted when no entry ahead of it
//! excludes it, else it waits for the nearest one that does. Two shared entries do not exclude each other, any other
//! two do. So a reader waits for the nearest writer ahead, and a writer for the entry next ahead.
//!
//! *Exclusion.* The service orders the entries of a queue totally and never puts a new one before an old one, and a
//! look shows everything that is ahead of the one who looks, unless it has gone. So of two entries that exclude each
//! other the later one is not granted before the earlier one has gone, whoever looks when. Going is final, and the only
//! change of a mode that is ever made is the one from exclusive to shared: what did not exclude an entry when that was
//! granted never will. A look that is older than the queue shows too much ahead or too strict a mode, and errs towards
//! waiting.
//!
//! *No overtaking.* A reader waits for a writer that waits itself, so readers that come after a writer are granted
//! after it, however many they are: no stream of readers starves a writer. A try is made only behind entries none of
//! which excludes it, those that wait included.
//!
//! *No lost wake-up.* Only what is ahead decides, and it changes only by an entry that goes or turns shared. While the
//! nearest entry ahead that excludes me stands as it was seen, I am not granted; when it does not, I am woken, and look
//! for the next one. What comes in behind it stands behind me.
//!
//! *Who is woken.* When a writer gives the lock up, the readers behind it up to the next writer: all of them are
//! granted. Or else the writer that is next. A reader that gives up wakes at most the writer right behind it, and
//! nobody when a reader follows: of `n` readers that release in the order of the queue, the last one alone wakes the
//! writer. Readers never watch each other. Woken and not granted are: a writer whose neighbour went out of turn or
//! turned shared, and the readers behind a writer that gives up *waiting*, which have to find the writer before it.
//!
//! *Downgrade.* The holder's entry turns shared in one step of the service, and keeps its place and its token. At no
//! moment is there no entry, so no writer comes in between; the readers right behind wait for its mode and are woken.
//! The command goes the way of the release, so that a guard dropped at the await gives the hold up after the change, or
//! without it.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use crate::acquisition::Patience;
use crate::attempt::AttemptId;
use crate::backend::Interest;
use crate::contenders::Contenders;
use crate::coordinator::Coordinator;
use crate::error::{Error, ErrorKind};
use crate::guard::{HeldGuard, guard_methods};
use crate::held::Held;
use crate::hold::Change;
use crate::mode::Mode;
use crate::name::Kind;
use crate::named::{Acquire, Named};
use crate::rule::{Rule, Verdict};
use crate::stats::Stats;

/// A fair distributed read/write lock: any number of readers, or one writer.
///
/// Readers and writers, of this process or any other, stand in one queue in the order in which the service received
/// their requests. A writer is granted when everybody who came before it is gone; a reader when every *writer* who came
/// before it is. So a reader that comes while a writer waits is granted after that writer, even if other readers hold
/// the lock at the time: neither side starves the other.
///
/// An `RwLock` is a name and a [`Coordinator`]; making one costs nothing and touches no service. It is not reentrant: a
/// task that reads and then writes waits for itself, and so does one that reads twice if a writer came in between.
///
/// ```
/// # async fn example(coordinator: leasehold_core::Coordinator) -> Result<(), leasehold_core::Error> {
/// let lock = coordinator.rw_lock("routes");
/// let (one, other) = (lock.read().await?, lock.read().await?);
/// assert!(lock.try_write().await?.is_none(), "there are readers");
/// one.release().await?;
/// other.release().await?;
///
/// let writer = lock.write().await?;
/// let reader = writer.downgrade().await?; // without letting a writer in between
/// reader.release().await?;
/// # Ok(()) }
/// ```
///
/// # What it promises, and what it cannot
///
/// By the local deadline ([`Held::is_held`]) a writer's guard is never held at the same time as any other guard of the
/// name, as far as the backend's capabilities say (see [`Capabilities`](crate::Capabilities)). Like every lock with a
/// lease it cannot promise that of *code*: a process may be paused right after it looked. Only the tokens close that
/// gap.
///
/// # Fencing with two marks
///
/// Every guard has a [fencing token](Held::fencing_token). A writer's is greater than the token of everybody who held
/// the lock before, a reader's is greater than that of every writer before. Readers that hold the lock side by side
/// have different ones, though, in no order that matters: a resource that kept only the highest token it has seen would
/// reject the reader with the lower one. So it keeps **two** marks, the highest token of a writer and the highest of a
/// reader, and checks reads as well as writes:
///
/// * a reader's token `t` passes if it is at least the highest writer's mark;
/// * a writer's token `t` passes if it is at least both marks.
///
/// A guard that was downgraded keeps its token and comes as a reader from then on; its token passes, being the highest
/// writer's mark itself.
///
/// # Losing the lock
///
/// As with the [`Mutex`](crate::Mutex): the lock goes away under its holder when the service does not hear of the
/// process for a TTL, or when an administrator removes the entry. A session that is lost while *waiting* is replaced,
/// and the wait goes on at the queue's end.
#[derive(Clone)]
pub struct RwLock {
    named: Named,
}

impl RwLock {
    pub(crate) fn new(coordinator: Coordinator, name: &str) -> Self {
        Self::of(Named::new(coordinator, Kind::RwLock, name))
    }

    pub(crate) fn of(named: Named) -> Self {
        Self { named }
    }

    /// The name, as it was given.
    pub fn name(&self) -> &str {
        self.named.name()
    }

    /// What became of the acquisitions through this handle and its clones, of readers and writers together, and how long they waited and held.
    pub fn stats(&self) -> Stats {
        self.named.stats()
    }

    /// Locks for reading, runs `work` for as long as the lock is held, and releases.
    ///
    /// `work` is given the [`Held`], which it may clone and hand to other tasks. If the lock is lost first, `work` is
    /// dropped at the await it is at.
    ///
    /// # Errors
    /// As [`RwLock::read`], and [`Lost`](ErrorKind::Lost) if the lock went away before `work` had ended or before it
    /// was released. A release that the service does not confirm in time is no error here: the removal goes on in the
    /// background.
    ///
    /// # Cancel safety
    /// Dropping the future drops `work`, if it runs, and gives up the lock or the place in the queue, as in
    /// [`RwLock::read`].
    pub async fn with_read<F, W>(&self, work: F) -> Result<W::Output, Error>
    where
        F: FnOnce(Held) -> W,
        W: Future,
    {
        self.read().await?.inner.with(work).await
    }

    /// Locks for writing, runs `work` for as long as the lock is held, and releases. See [`RwLock::with_read`].
    ///
    /// ```
    /// # async fn example(coordinator: leasehold_core::Coordinator) -> Result<(), leasehold_core::Error> {
    /// let sum = coordinator.rw_lock("routes").with_write(|held| async move {
    ///     println!("alone, under token {}", held.fencing_token());
    ///     1 + 1
    /// }).await?;
    /// # assert_eq!(sum, 2);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`RwLock::with_read`].
    ///
    /// # Cancel safety
    /// As [`RwLock::with_read`].
    pub async fn with_write<F, W>(&self, work: F) -> Result<W::Output, Error>
    where
        F: FnOnce(Held) -> W,
        W: Future,
    {
        self.write().await?.inner.with(work).await
    }

    /// Locks for reading, waiting as long as it takes.
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
    pub async fn read(&self) -> Result<RwLockReadGuard, Error> {
        let acquire = Acquire::new("read", &InOrder, Mode::Shared, Patience::Forever);
        Ok(RwLockReadGuard { inner: self.named.acquire_patiently(acquire).await? })
    }

    /// Locks for reading if no writer holds the lock or waits for it; `Ok(None)` if one does.
    ///
    /// It never overtakes a waiter and waits for no contender. It takes as long as the service's answer, at most
    /// the request time-out.
    ///
    /// # Errors
    /// As [`RwLock::read`], and [`ErrorKind::Unavailable`] if the service did not answer within the request time-out.
    ///
    /// # Cancel safety
    /// As [`RwLock::read`].
    pub async fn try_read(&self) -> Result<Option<RwLockReadGuard>, Error> {
        self.try_to_read("try_read", Patience::Try).await
    }

    /// Locks for reading, waiting at most `patience` in all, for the service's answers as well as for writers;
    /// `Ok(None)` if writers were ahead for that long. No patience at all is [`RwLock::try_read`].
    ///
    /// # Errors
    /// As [`RwLock::read`], and [`ErrorKind::Unavailable`] if the service did not answer within `patience`.
    ///
    /// # Cancel safety
    /// As [`RwLock::read`].
    pub async fn try_read_for(&self, patience: Duration) -> Result<Option<RwLockReadGuard>, Error> {
        self.try_to_read("try_read_for", patience.into()).await
    }

    /// Locks for writing, waiting as long as it takes.
    ///
    /// # Errors
    /// As [`RwLock::read`].
    ///
    /// # Cancel safety
    /// As [`RwLock::read`]; readers that queued behind go on as if the writer had never come.
    pub async fn write(&self) -> Result<RwLockWriteGuard, Error> {
        let acquire = Acquire::new("write", &InOrder, Mode::Exclusive, Patience::Forever);
        Ok(RwLockWriteGuard { inner: self.named.acquire_patiently(acquire).await? })
    }

    /// Locks for writing if nobody holds the lock or waits for it; `Ok(None)` if somebody does.
    ///
    /// It never overtakes a waiter and waits for no contender. It takes as long as the service's answer, at most
    /// the request time-out.
    ///
    /// # Errors
    /// As [`RwLock::try_read`].
    ///
    /// # Cancel safety
    /// As [`RwLock::read`].
    pub async fn try_write(&self) -> Result<Option<RwLockWriteGuard>, Error> {
        self.try_to_write("try_write", Patience::Try).await
    }

    /// Locks for writing, waiting at most `patience` in all, for the service's answers as well as for other holders;
    /// `Ok(None)` if others held the lock for that long. No patience at all is [`RwLock::try_write`].
    ///
    /// # Errors
    /// As [`RwLock::try_read_for`].
    ///
    /// # Cancel safety
    /// As [`RwLock::write`].
    pub async fn try_write_for(&self, patience: Duration) -> Result<Option<RwLockWriteGuard>, Error> {
        self.try_to_write("try_write_for", patience.into()).await
    }

    async fn try_to_read(
        &self,
        operation: &'static str,
        patience: Patience,
    ) -> Result<Option<RwLockReadGuard>, Error> {
        let acquire = Acquire::new(operation, &InOrder, Mode::Shared, patience);
        Ok(self.named.acquire(acquire).await?.map(|inner| RwLockReadGuard { inner }))
    }

    async fn try_to_write(
        &self,
        operation: &'static str,
        patience: Patience,
    ) -> Result<Option<RwLockWriteGuard>, Error> {
        let acquire = Acquire::new(operation, &InOrder, Mode::Exclusive, patience);
        Ok(self.named.acquire(acquire).await?.map(|inner| RwLockWriteGuard { inner }))
    }
}

impl fmt::Debug for RwLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RwLock").field("name", &self.named).finish_non_exhaustive()
    }
}

/// A [`RwLock`] held for reading, beside any number of other readers. Owned: it can be kept anywhere and moved to other
/// tasks.
///
/// Dropping it gives the lock up in the background, without waiting and without a word whether it went well; dropping
/// needs no runtime. [`RwLockReadGuard::release`] waits and reports. The backstop of both is the TTL. What a holder
/// knows of its hold are the methods of [`Held`]; how a resource checks its token, see [`RwLock`].
#[must_use = "a guard that is dropped at once gives the lock up at once"]
pub struct RwLockReadGuard {
    inner: HeldGuard,
}

guard_methods!(RwLockReadGuard);

impl RwLockReadGuard {
    /// Is always refused; the lock stays held for reading as it was, and the service is not asked.
    ///
    /// Each of two readers that became writers without letting go would wait until the other had let go: for ever.
    /// Release the guard, take [`RwLock::write`], and then *read again* what the decision to write rested on: another
    /// writer may have come in between. Where that must not happen, take [`RwLock::write`] from the start, and
    /// [`RwLockWriteGuard::downgrade`] when nothing is left to be written.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`], always.
    pub fn upgrade(&self) -> Result<Infallible, Error> {
        let why = "two readers that both became writers would wait for each other for ever: release, take the write lock, \
                   and read again what may have changed";
        Err(self.inner.held().state().named(Error::new(ErrorKind::Unsupported, "upgrade", why)))
    }
}

/// A [`RwLock`] held for writing, by nobody else in any way. Owned: it can be kept anywhere and moved to other tasks.
///
/// Dropping it gives the lock up in the background, without waiting and without a word whether it went well; dropping
/// needs no runtime. [`RwLockWriteGuard::release`] waits and reports. The backstop of both is the TTL. What a holder
/// knows of its hold are the methods of [`Held`]; how a resource checks its token, see [`RwLock`].
#[must_use = "a guard that is dropped at once gives the lock up at once"]
pub struct RwLockWriteGuard {
    inner: HeldGuard,
}

guard_methods!(RwLockWriteGuard);

impl RwLockWriteGuard {
    /// Turns the hold into one for reading: readers that wait come in, and no writer has come in between.
    ///
    /// The hold stays the same, with its [`Held`] and its token; it counts as a reader's from when this returns.
    /// Readers behind a writer that waits go on waiting for that writer.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] if the lock was lost before the service had confirmed the change, which may have been made all the same;
    /// [`ErrorKind::PermissionDenied`], … if the service refuses it for good. In either case the lock is given up. While the service cannot be reached it waits on, until
    /// the lock is lost.
    ///
    /// # Cancel safety
    /// Dropping the future gives the lock up: in the background within about a round trip, at the latest with the
    /// session.
    pub async fn downgrade(self) -> Result<RwLockReadGuard, Error> {
        let change = Change { mode: Some(Mode::Shared), ..Change::default() };
        self.inner.change("downgrade", change).await?;
        Ok(RwLockReadGuard { inner: self.inner })
    }
}

pub(crate) struct InOrder;

impl Rule for InOrder {
    fn verdict(&self, queue: &Contenders, me: AttemptId) -> Verdict {
        let Some(own) = queue.get(me) else { return Verdict::NotQueued };
        let excludes = |other: Mode| own.mode != Mode::Shared || other != Mode::Shared;
        match queue.ahead_of(me).find(|ahead| excludes(ahead.mode)) {
            None => Verdict::GRANTED,
            Some(ahead) => {
                Verdict::WaitFor(Interest::Entry { attempt: ahead.attempt, mode: ahead.mode, version: None })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule_model::{Model, queues_of};

    const PERMITS: Mode = Mode::Permits { count: 1, limit: 2, granted: false };

    /// Who may hold, said in another way than the rule says it: by pairs.
    fn entitled(modes: &[Mode], me: usize) -> bool {
        match modes[me] {
            Mode::Shared => modes[..me].iter().all(|mode| *mode == Mode::Shared),
            _ => me == 0,
        }
    }

    fn compatible(holders: &[Mode]) -> bool {
        holders.len() <= 1 || holders.iter().all(|mode| *mode == Mode::Shared)
    }

    #[test]
    fn every_history_of_small_queues_excludes_and_makes_progress() {
        for modes in queues_of(&[Mode::Shared, Mode::Exclusive, PERMITS], 4) {
            let model = Model {
                rule: &InOrder,
                is_own: |mode| mode != PERMITS,
                entitled,
                compatible,
                downgrades: true,
                announcements_get_lost: false,
                // A mode that is none of this lock's may be woken for nothing; readers and writers are counted below.
                woken_by_a_leave: |_, _| usize::MAX,
            };
            model.explore(&modes);
        }
    }

    #[test]
    fn a_leave_wakes_whom_it_grants_or_who_must_look_for_another() {
        for modes in queues_of(&[Mode::Shared, Mode::Exclusive], 5) {
            let model = Model {
                rule: &InOrder,
                is_own: |_| true,
                entitled,
                compatible,
                downgrades: false,
                announcements_get_lost: false,
                woken_by_a_leave: |modes, leaving| match modes[leaving] {
                    Mode::Shared => {
                        usize::from(modes.get(leaving + 1).is_some_and(|next| *next != Mode::Shared))
                    }
                    _ => {
                        let readers = modes[leaving + 1..].iter().take_while(|mode| **mode == Mode::Shared);
                        readers.count().max(1)
                    }
                },
            };
            model.explore(&modes);
        }
    }
}

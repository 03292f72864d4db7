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
use std::time::Duration;

use crate::acquisition::Patience;
use crate::admin::{self, ContenderInfo, Recipe, Released};
use crate::attempt::AttemptId;
use crate::backend::Interest;
use crate::contenders::Contenders;
use crate::coordinator::Coordinator;
use crate::error::Error;
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::guard::{HeldGuard, guard_methods};
use crate::held::Held;
use crate::hold::HoldLimits;
use crate::mode::Mode;
use crate::name::Kind;
use crate::named::{Acquire, Named};
use crate::rule::{Rule, Verdict};
use crate::stats::Stats;

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
    named: Named,
    limits: HoldLimits,
}

impl Mutex {
    pub(crate) fn new(coordinator: Coordinator, name: &str) -> Self {
        Self::of(Named::new(coordinator, Kind::Lock, name))
    }

    pub(crate) fn of(named: Named) -> Self {
        Self { named, limits: HoldLimits::default() }
    }

    /// The same mutex, held through this handle for at least `time`: an earlier release, or drop of the guard, ends the hold at
    /// once, but its entry stays for the rest of the time, and [`MutexGuard::release`] waits for that.
    ///
    /// It keeps a job that is done in no time from being done once more by a peer whose clock is late. It is a matter of the living:
    /// the lock of a process that dies is free after the TTL, and that of a session that is lost with it, whatever the minimum. A
    /// [shutdown](Coordinator::shutdown) waits for the rest, but no longer than its grace; then the entry goes with the session, a
    /// TTL later. To run something once for each occurrence, whoever dies, there is a recipe of its own.
    ///
    /// The minimum is that of a guard: an acquisition that is dropped at the moment of its grant, so that nobody gets the guard, leaves nothing.
    ///
    /// A minimum that is longer than the [maximum](Mutex::max_hold) is an [`InvalidArgument`](ErrorKind::InvalidArgument) of every
    /// acquisition.
    #[must_use]
    pub fn min_hold(mut self, time: Duration) -> Self {
        self.limits.min = time;
        self
    }

    /// The same mutex, held through this handle for at most `time`: then the hold is
    /// [lost](crate::LossReason::MaxHoldPassed), and the lock goes on to the next.
    ///
    /// It is this process that keeps the time, by a clock that may stop while the machine sleeps; a holder that is dead or asleep loses
    /// the lock with its session. Zero is an [`InvalidArgument`](ErrorKind::InvalidArgument) of every acquisition.
    #[must_use]
    pub fn max_hold(mut self, time: Duration) -> Self {
        self.limits.max = Some(time);
        self
    }

    /// The name, as it was given.
    pub fn name(&self) -> &str {
        self.named.name()
    }

    /// What became of the acquisitions through this handle and its clones, and how long they waited and held.
    pub fn stats(&self) -> Stats {
        self.named.stats()
    }

    /// Who holds and who waits, in the queue's order. See [`Admin::contenders`](crate::Admin::contenders).
    ///
    /// # Errors
    /// As there.
    pub async fn contenders(&self) -> Result<Vec<ContenderInfo>, Error> {
        self.named.contenders(Recipe::Mutex).await
    }

    /// Asks the present holder to give up, in the words of `who`; whether there was one. See
    /// [`Admin::ask_to_release`](crate::Admin::ask_to_release).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Once polled, it goes on whether or not the future is.
    pub async fn ask_to_release(&self, who: impl AsRef<str>) -> Result<bool, Error> {
        Ok(self.named.ask_holders(Recipe::Mutex, who.as_ref()).await? > 0)
    }

    /// Takes the lock from its present holder, which has a second to give it up by itself. See
    /// [`Admin::force_release`](crate::Admin::force_release).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Once polled, it goes on whether or not the future is.
    pub async fn force_release(&self, who: impl AsRef<str>) -> Result<Released, Error> {
        self.named.break_holders(Recipe::Mutex, who.as_ref(), admin::DEFAULT_GRACE).await
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
    /// As [`Mutex::lock`], and [`Lost`](ErrorKind::Lost) if the lock went away before `work` had ended or before it was
    /// released. A release that the service does not confirm in time is no error here: the removal goes on in the background.
    ///
    /// # Cancel safety
    /// Dropping the future drops `work`, if it runs, and gives up the lock or the place in the queue, as in [`Mutex::lock`].
    pub async fn with<F, W>(&self, work: F) -> Result<W::Output, Error>
    where
        F: FnOnce(Held) -> W,
        W: Future,
    {
        self.lock().await?.inner.with(work).await
    }

    /// Locks, waiting as long as it takes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidName`]; [`ErrorKind::InvalidArgument`] if the hold's limits cannot work; [`ErrorKind::Closed`] if the
    /// coordinator is shut down, also while waiting;
    /// [`ErrorKind::Unauthenticated`], [`ErrorKind::PermissionDenied`], [`ErrorKind::TooLarge`], … if the service
    /// refuses for good. While the service cannot be reached it waits on.
    ///
    /// # Cancel safety
    /// Dropping the future at any point gives up the place in the queue. An entry that exists by then, or that a
    /// request on its way creates later, is removed in the background within about a round trip, at the latest with the
    /// session. Nothing of the lock is held afterwards.
    pub async fn lock(&self) -> Result<MutexGuard, Error> {
        let inner = self.named.acquire_patiently(self.request("lock", Patience::Forever)).await?;
        Ok(MutexGuard { inner })
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
        self.acquire("try_lock_for", Patience::from(patience)).await
    }

    async fn acquire(
        &self,
        operation: &'static str,
        patience: Patience,
    ) -> Result<Option<MutexGuard>, Error> {
        let acquired = self.named.acquire(self.request(operation, patience)).await?;
        Ok(acquired.map(|inner| MutexGuard { inner }))
    }

    /// As one of several.
    pub(crate) async fn acquire_part(
        &self,
        operation: &'static str,
        patience: Patience,
    ) -> Result<Option<HeldGuard>, Error> {
        self.named.acquire_part(self.request(operation, patience)).await
    }

    pub(crate) fn named(&self) -> &Named {
        &self.named
    }

    fn request(&self, operation: &'static str, patience: Patience) -> Acquire {
        let acquire = Acquire::new(operation, &FirstInLine, Mode::Exclusive, patience);
        Acquire { limits: self.limits, ..acquire }
    }
}

impl fmt::Debug for Mutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").field("name", &self.named).finish_non_exhaustive()
    }
}

/// A held [`Mutex`]. Owned: it can be kept anywhere and moved to other tasks.
///
/// Dropping it gives the lock up in the background, without waiting and without a word whether it went well; dropping
/// needs no runtime. [`MutexGuard::release`] waits and reports. The backstop of both is the TTL. What a holder knows of its hold
/// are the methods of [`Held`].
#[must_use = "a guard that is dropped at once gives the lock up at once"]
pub struct MutexGuard {
    inner: HeldGuard,
}

guard_methods!(MutexGuard);

/// The rule of the mutex: granted when first, else waits for the entry next ahead.
pub(crate) struct FirstInLine;

impl Rule for FirstInLine {
    fn minds_the_next_only(&self) -> bool {
        true
    }

    fn verdict(&self, queue: &Contenders, me: AttemptId) -> Verdict {
        if queue.get(me).is_none() {
            return Verdict::NotQueued;
        }
        match queue.ahead_of(me).next() {
            None => Verdict::GRANTED,
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
        assert_eq!(FirstInLine.verdict(&queue, a), Verdict::GRANTED);
        assert_eq!(FirstInLine.verdict(&queue, b), wait_for(a));
        assert_eq!(FirstInLine.verdict(&queue, c), wait_for(b));
        assert_eq!(FirstInLine.verdict(&queue, stranger), Verdict::NotQueued);
    }
}

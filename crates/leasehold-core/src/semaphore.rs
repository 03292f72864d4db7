//! The semaphore.
//!
//! # Implementation
//!
//! One queue; each entry says how many permits it asks for and how many there are, as its owner believes. The rule: an
//! entry **fits**, and is granted, when what it asks for and what everybody ahead of it asks for, granted or not, is no
//! more than there is. An entry ahead that is no entry of a semaphore of that size counts as if it asked for
//! everything.
//!
//! *The limit is never exceeded.* The service orders the entries totally, never puts a new one before an old one, and a
//! look shows everything that is ahead of the one who looks, unless it has gone. Take the last in order of those who
//! hold at some time: all the others are ahead of it, were so when it was granted, and fitted together with it. A look
//! that is older than the queue shows too much ahead and errs towards waiting. With that, whoever holds at the same
//! time believes in the same limit.
//!
//! *No overtaking.* The sums only grow along the queue, so those who fit are the first ones: a request that does not
//! fit keeps everybody behind it waiting, and is served when it is first in line, however large it is.
//!
//! *Differing limits.* The first entry of a semaphore in the queue decides what the limit is. Who believes otherwise is
//! refused and leaves; until it has left it is waited for. That is looked at by those who come, behind whoever is
//! there, so that the one that is configured wrongly is told and not those who hold or wait.
//!
//! # Who waits for what
//!
//! A release may make any number of waiters fit, and must not wake the others. So waiting goes along the queue:
//!
//! * The **first in line**, the first entry that does not fit, watches the queue.
//! * Everybody behind it watches its *neighbour*, the entry next ahead: for its departure, and for its
//!   **announcement**. Whoever is granted while somebody is behind it changes its mode to say so. Who is woken by its
//!   neighbour's announcement sees that everybody ahead fits, and either fits too, is granted and announces itself, or
//!   is the first in line from then on.
//!
//! A release thus wakes the first in line and each announcement the next one: as many as are granted, and one more.
//! (A wait may also end early: on a busy ZooKeeper the next one was counted to be woken up to twice for an announcement.)
//! Announcements decide nothing; whether an entry fits follows from the queue alone.
//!
//! *No lost wake-up.* Let P be the first entry that fits and was not granted yet. Everybody ahead of P fits too, and so
//! was granted. If P has nothing to look at, then what it saw in its last look, in which it did not fit, still stands.
//! If everybody ahead fitted then, P watches the queue, which has not changed, and does not fit now: a contradiction.
//! Otherwise P watches its neighbour N, which did not fit in that look either. N was granted since, by a look at a
//! later state of the queue, in which P was behind it; so N announces, or departs. A newcomer that finds its neighbour
//! granted and silent needs no announcement: it sees by the sums that everybody ahead fits. An entry that gives up in
//! the middle lets at most a run of entries right behind it fit, and wakes the one next behind, with which the run
//! begins.
//!
//! The argument needs that looks show states that the queue has had, in the order in which it had them, and that
//! whoever is granted acts. Neither is quite so: a process may freeze between its grant and its announcement, the
//! service may refuse the announcement, and a look may show a departure before a newcomer that came earlier (a
//! backend's copy of the queue, less the entries that it was told have gone). So waiting for a neighbour is waiting for
//! a *hint*, and the engine looks again by itself: once soon after the enqueue, when no copy is older than the entry,
//! and then slowly. That bounds the delay; nothing is ever granted or lost by a hint.
//!
//! # What it costs
//!
//! A grant with nobody behind is an enqueue and nothing else. A grant with somebody behind writes its announcement,
//! after the permit was handed out. So a run of waiters that one release lets in comes in one after the other, with an
//! announcement in between: permits that are held for less than a round trip or two are not all in use at once while
//! there is a queue. The first in line, and it alone, is also woken for nothing, by each newcomer, by each departure
//! behind it, and by an announcement ahead of it that it did not need: each time one look, which is no request where
//! the backend keeps a copy of the queue and one listing on ZooKeeper. A look steps over the entries ahead until the
//! permits are used up, so no further than there are permits, however long the queue is.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use crate::acquisition::Patience;
use crate::attempt::AttemptId;
use crate::backend::Interest;
use crate::contenders::{Contender, Contenders};
use crate::coordinator::Coordinator;
use crate::entrance;
use crate::error::{Error, ErrorKind};
use crate::guard::{HeldGuard, guard_methods};
use crate::held::Held;
use crate::mode::Mode;
use crate::name::Kind;
use crate::named::{Acquire, Named};
use crate::rule::{Rule, Verdict};
use crate::stats::Stats;

/// A fair distributed semaphore: `limit` permits, of which each acquisition takes one or more.
///
/// Contenders, of this process or any other, stand in one queue in the order in which the service received their
/// requests, and are served in that order: a large request is never overtaken by smaller ones that would fit at the
/// moment, so it does not starve, and a try does not overtake anybody.
///
/// A `Semaphore` is a name, a limit and a [`Coordinator`]; making one costs nothing and touches no service. Permits are
/// not stored anywhere: those in use are the entries in the queue, so what a process holds is free again when it dies,
/// and nothing is ever given back twice.
///
/// ```
/// # async fn example(coordinator: leasehold_core::Coordinator) -> Result<(), leasehold_core::Error> {
/// let exports = coordinator.semaphore("exports", 3); // at most three at a time, over all processes
/// let small = exports.acquire().await?;
/// let large = exports.acquire_many(2).await?;
/// assert!(exports.try_acquire().await?.is_none(), "all three are in use");
/// large.release().await?;
/// small.release().await?;
/// # Ok(()) }
/// ```
///
/// # What it promises, and what it cannot
///
/// By the local deadline ([`Held::is_held`]) no more than `limit` permits of one name are held at once, as far as the
/// backend's capabilities say (see [`Capabilities`](crate::Capabilities)). Permits that are free go to the next in the
/// queue, within about a round trip each. Like every lock with a lease it cannot promise the limit of *code*: a process
/// may be paused right after it looked. What a [`SemaphorePermit`]'s token is good for then, see there.
///
/// # The limit
///
/// All who use a name at the same time must give the same limit. The first entry in the queue decides; who comes with
/// another limit gets [`ErrorKind::Mismatch`] and leaves, and a new limit can be used once nobody holds or waits with
/// the old one.
///
/// # Losing permits
///
/// As with the [`Mutex`](crate::Mutex): permits go away under their holder when the service does not hear of the
/// process for a TTL, or when an administrator removes the entry. A session that is lost while *waiting* is replaced,
/// and the wait goes on at the queue's end.
#[derive(Clone)]
pub struct Semaphore {
    named: Named,
    /// The lock under which permits are taken, where they are another client's too.
    entrance: Option<Named>,
    limit: u32,
}

impl Semaphore {
    pub(crate) fn new(coordinator: Coordinator, name: &str, limit: u32) -> Self {
        Self::of(Named::new(coordinator, Kind::Semaphore, name), None, limit)
    }

    pub(crate) fn of(named: Named, entrance: Option<Named>, limit: u32) -> Self {
        Self { named, entrance, limit }
    }

    /// The name, as it was given.
    pub fn name(&self) -> &str {
        self.named.name()
    }

    /// How many permits there are.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// What became of the acquisitions through this handle and its clones, however many permits each was of, and how
    /// long they waited and held.
    pub fn stats(&self) -> Stats {
        self.named.stats()
    }

    /// Acquires one permit, runs `work` for as long as it is held, and releases it.
    ///
    /// `work` is given the [`Held`], which it may clone and hand to other tasks. If the permit is lost first, `work` is
    /// dropped at the await it is at.
    ///
    /// ```
    /// # async fn example(coordinator: leasehold_core::Coordinator) -> Result<(), leasehold_core::Error> {
    /// let sum = coordinator.semaphore("exports", 3).with(|_held| async { 1 + 1 }).await?;
    /// # assert_eq!(sum, 2);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Semaphore::acquire`], and [`Lost`](ErrorKind::Lost) if the permit went away before `work` had ended or
    /// before it was released. A release that the service does not confirm in time is no error here: the removal goes
    /// on in the background.
    ///
    /// # Cancel safety
    /// Dropping the future drops `work`, if it runs, and gives up the permit or the place in the queue, as in
    /// [`Semaphore::acquire`].
    pub async fn with<F, W>(&self, work: F) -> Result<W::Output, Error>
    where
        F: FnOnce(Held) -> W,
        W: Future,
    {
        self.acquire().await?.inner.with(work).await
    }

    /// Acquires one permit, waiting as long as it takes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if the limit is 0; [`ErrorKind::Mismatch`] if others use the name with another
    /// limit; [`ErrorKind::InvalidName`]; [`ErrorKind::Closed`] if the coordinator is shut down, also while waiting;
    /// [`ErrorKind::Unauthenticated`], [`ErrorKind::PermissionDenied`], [`ErrorKind::TooLarge`], … if the service
    /// refuses for good. While the service cannot be reached it waits on.
    ///
    /// # Cancel safety
    /// Dropping the future at any point gives up the place in the queue. An entry that exists by then, or that a
    /// request on its way creates later, is removed in the background within about a round trip, at the latest with the
    /// session. No permit is held afterwards.
    pub async fn acquire(&self) -> Result<SemaphorePermit, Error> {
        self.acquire_patiently("acquire", 1).await
    }

    /// Acquires `count` permits at once, waiting as long as it takes.
    ///
    /// # Errors
    /// As [`Semaphore::acquire`]; [`ErrorKind::InvalidArgument`] if `count` is 0 or more than there are; and
    /// [`ErrorKind::Unsupported`] if it is more than one of a semaphore [of another client's](crate::WirePath::semaphore).
    ///
    /// # Cancel safety
    /// As [`Semaphore::acquire`].
    pub async fn acquire_many(&self, count: u32) -> Result<SemaphorePermit, Error> {
        self.acquire_patiently("acquire_many", count).await
    }

    /// Acquires one permit if one is free and nobody waits; `Ok(None)` otherwise.
    ///
    /// It never overtakes a waiter and waits for no contender. It takes as long as the service's answer, at most
    /// the request time-out.
    ///
    /// # Errors
    /// As [`Semaphore::acquire`], and [`ErrorKind::Unavailable`] if the service did not answer within the request
    /// time-out.
    ///
    /// # Cancel safety
    /// As [`Semaphore::acquire`].
    pub async fn try_acquire(&self) -> Result<Option<SemaphorePermit>, Error> {
        self.acquire_within("try_acquire", 1, Patience::Try).await
    }

    /// Acquires `count` permits if so many are free and nobody waits; `Ok(None)` otherwise.
    ///
    /// # Errors
    /// As [`Semaphore::try_acquire`], and [`ErrorKind::InvalidArgument`] if `count` is 0 or more than there are.
    ///
    /// # Cancel safety
    /// As [`Semaphore::acquire`].
    pub async fn try_acquire_many(&self, count: u32) -> Result<Option<SemaphorePermit>, Error> {
        self.acquire_within("try_acquire_many", count, Patience::Try).await
    }

    /// Acquires one permit, waiting at most `patience` in all, for the service's answers as well as for other holders;
    /// `Ok(None)` if none was to be had for that long. No patience at all is [`Semaphore::try_acquire`].
    ///
    /// # Errors
    /// As [`Semaphore::acquire`], and [`ErrorKind::Unavailable`] if the service did not answer within `patience`.
    ///
    /// # Cancel safety
    /// As [`Semaphore::acquire`].
    pub async fn try_acquire_for(&self, patience: Duration) -> Result<Option<SemaphorePermit>, Error> {
        self.acquire_within("try_acquire_for", 1, patience.into()).await
    }

    /// Acquires `count` permits at once, waiting at most `patience` in all. See [`Semaphore::try_acquire_for`].
    ///
    /// # Errors
    /// As [`Semaphore::try_acquire_for`], and [`ErrorKind::InvalidArgument`] if `count` is 0 or more than there are.
    ///
    /// # Cancel safety
    /// As [`Semaphore::acquire`].
    pub async fn try_acquire_many_for(
        &self,
        count: u32,
        patience: Duration,
    ) -> Result<Option<SemaphorePermit>, Error> {
        self.acquire_within("try_acquire_many_for", count, patience.into()).await
    }

    async fn acquire_patiently(&self, operation: &'static str, count: u32) -> Result<SemaphorePermit, Error> {
        match self.acquire_within(operation, count, Patience::Forever).await? {
            Some(permit) => Ok(permit),
            // Only a try, a time-out or a caller that is gone ends without a permit.
            None => Err(self.named.error(ErrorKind::Closed, operation, "the acquisition was given up")),
        }
    }

    async fn acquire_within(
        &self,
        operation: &'static str,
        count: u32,
        patience: Patience,
    ) -> Result<Option<SemaphorePermit>, Error> {
        let acquire = self.request(operation, count, patience)?;
        let acquired = match &self.entrance {
            Some(lock) => entrance::acquire(lock, &self.named, acquire).await,
            None => self.named.acquire(acquire).await,
        };
        Ok(acquired?.map(|inner| SemaphorePermit { inner, count }))
    }

    fn request(&self, operation: &'static str, count: u32, patience: Patience) -> Result<Acquire, Error> {
        let limit = self.limit;
        let bad = |detail: &str| Err(self.named.error(ErrorKind::InvalidArgument, operation, detail));
        match count {
            2.. if self.entrance.is_some() => {
                let detail =
                    "the other client takes permits one by one, so more than one is not all or nothing";
                Err(self.named.error(ErrorKind::Unsupported, operation, detail))
            }
            _ if limit == 0 => bad("a semaphore without permits would never be acquired"),
            0 => bad("no permits are nothing to acquire"),
            _ if count > limit => bad(&format!("{count} permits, where there are {limit}")),
            _ => {
                let mode = Mode::Permits { count, limit, granted: false };
                Ok(Acquire::new(operation, &FirstThatFit, mode, patience))
            }
        }
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("name", &self.named).field("limit", &self.limit).finish()
    }
}

/// One or more permits of a [`Semaphore`]. Owned: they can be kept anywhere and moved to other tasks.
///
/// Dropping it gives the permits up in the background, without waiting and without a word whether it went well;
/// dropping needs no runtime. [`SemaphorePermit::release`] waits and reports. The backstop of both is the TTL. What a
/// holder knows of its hold are the methods of [`Held`].
///
/// # What its token is good for
///
/// The [fencing token](Held::fencing_token) differs from that of every other acquisition of the name, and rises in the
/// order of the queue. It is **no fence** unless the limit is 1: holders with higher and lower tokens are at work side
/// by side, so a resource that rejected lower tokens would reject holders that are in their rights, and one that does
/// not cannot tell a holder that has lost its permit. Use it as the name of this acquisition: in logs, as a key that
/// makes a repeated request harmless, to take up what a holder left behind. A resource that must not be overloaded by
/// stale holders has to count by itself; one that must be written by one at a time needs a [`Mutex`](crate::Mutex).
///
/// With a limit of 1 the token is a fence like a mutex's.
#[must_use = "a permit that is dropped at once is given up at once"]
pub struct SemaphorePermit {
    inner: HeldGuard,
    count: u32,
}

guard_methods!(SemaphorePermit);

impl SemaphorePermit {
    /// How many permits it is.
    pub fn count(&self) -> u32 {
        self.count
    }
}

pub(crate) struct FirstThatFit;

impl Rule for FirstThatFit {
    fn verdict(&self, queue: &Contenders, me: AttemptId) -> Verdict {
        let Some(Contender { mode, .. }) = queue.get(me) else { return Verdict::NotQueued };
        // The engine asks only for entries that are as it has made them.
        let Mode::Permits { count, limit, .. } = mode else { return Verdict::NotQueued };
        let ahead = || queue.iter().take_while(|contender| contender.attempt != me);
        if let Some(objection) = objection_to(limit, ahead()) {
            return Verdict::Refused(objection);
        }
        let mut taken = 0;
        for contender in ahead() {
            taken += contender.mode.weight(limit);
            if taken > u64::from(limit) {
                let neighbour = queue.ahead_of(me).next().unwrap_or(contender);
                let Contender { attempt, mode, .. } = neighbour;
                return Verdict::WaitForHint(Interest::Entry { attempt, mode, version: None });
            }
        }
        if taken + u64::from(count) > u64::from(limit) {
            return Verdict::WaitFor(Interest::Queue { revision: queue.revision() });
        }
        let last = queue.iter().next_back().is_none_or(|contender| contender.attempt == me);
        Verdict::Granted { announce: (!last).then_some(Mode::Permits { count, limit, granted: true }) }
    }

    fn objection(&self, queue: &Contenders, mode: Mode) -> Option<String> {
        match mode {
            Mode::Permits { limit, .. } => objection_to(limit, queue.iter()),
            Mode::Exclusive | Mode::Shared => None,
        }
    }
}

/// Why a contender that believes in `limit` must not stand behind these.
fn objection_to(limit: u32, mut ahead: impl Iterator<Item = Contender>) -> Option<String> {
    let theirs = ahead.find_map(|contender| match contender.mode {
        Mode::Permits { limit, .. } => Some(limit),
        Mode::Exclusive | Mode::Shared => None,
    })?;
    (theirs != limit).then(|| format!("others use it with {theirs} permits, and not with {limit}"))
}

#[cfg(test)]
#[path = "semaphore_tests.rs"]
mod tests;

//! All of a set of mutexes, or none.
//!
//! # Implementation
//!
//! One acquisition of a mutex after the other, in an order that all processes share: by label, namespace and name. Nothing is spawned
//! for it; the caller's future owns the guards of what is taken so far and the acquisition under way.
//!
//! *No deadlock among multi-locks.* Whoever waits for a member holds only members before it in the order, and waits for somebody who holds
//! or waits for that member, or for ones after it, and so on: a circle of waiters would have to rise for ever.
//!
//! *All are held at once.* After the newest grant, at an instant `g`, every member taken before is asked whether it is held. One that
//! is held when asked was held at `g`, since a hold that is over never comes back. So at `g` all were held. It follows that the
//! tokens of each member rise from one multi-guard to the next, in one and the same order for all members: of two multi-guards with
//! instants g < h, the later one's hold of any member contains h, so it began after the earlier one's, which contains g.
//!
//! *A loss while waiting.* What is taken is watched while the next one is waited for. If one of it is lost, it is taken anew, and so is
//! everything after it: to wait for a member while holding a later one would break the order. What comes before it stays.
//!
//! *At each await.* Dropping the future drops the guards that it owns and the acquisition under way, each of which cleans up after itself on its
//! driver. The same goes for the release of what a failed attempt had taken.

mod guard;
mod held;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use self::guard::Taken;
use crate::acquisition::Patience;
use crate::budget::Budget;
use crate::error::{Error, ErrorKind};
use crate::held::any_lost;
use crate::liveness::LossReason;
use crate::mutex::Mutex;
use crate::name::KeyPath;

pub use self::guard::{MultiLockGuard, MultiReleaseError};
pub use self::held::{MemberHeld, MemberLost, MultiHeld};

/// All of a set of [mutexes](Mutex), of one service or of several, or none of them.
///
/// The members are locked one after the other in one order, whatever order they were given in: by label, then namespace, then
/// name. So multi-locks never deadlock on each other, however their sets overlap.
///
/// ```
/// # use leasehold_core::{Coordinator, MultiLock};
/// # async fn example(old: Coordinator, new: Coordinator) -> Result<(), leasehold_core::Error> {
/// let both = MultiLock::new()
///     .member("old", old.mutex("users"))
///     .member("new", new.mutex("users"));
/// both.with(|held| async move {
///     println!("fenced by {:?}", held.token("old", "users"));
/// }).await?;
/// # Ok(()) }
/// ```
///
/// # Labels
///
/// The label says which service a member is on, in the application's own words, **and must be the same in all processes**: it decides
/// the order. An address would not do, for one cluster has many spellings. Two coordinators under one label are taken for two ways
/// to one service, and a lock of the same namespace and name over both for one lock named twice. A service that has two labels
/// is ordered soundly, as long as no lock of it is a member under both: that would wait for itself. It is refused where it can be
/// seen, which is where both are over one coordinator or its [sessions](crate::Coordinator::session).
///
/// # What it promises, and what it cannot
///
/// A [`MultiLockGuard`] is given only if there was an instant at which all members were held. Each member promises what a [`Mutex`]
/// promises, with a fencing token of its own: **there is no token for all of them**. A resource keeps one fence for each lock that it is
/// protected by.
///
/// Members are held from their own grant on: while it waits for a busy one, a multi-lock keeps those before it from everybody else. A single
/// mutex that is locked *under* a multi-lock, or under another guard, is outside of the order and can deadlock.
///
/// # Losing members
///
/// A member that is lost while later ones are waited for is locked anew, at its queue's end, and so are those after it in the order. Once
/// the guard is there, the first loss ends it as a whole: [`MultiHeld::is_held`] is false, [`MultiHeld::lost`] says which member it was, and
/// [`MultiLock::with`] drops its work. The other members stay locked until the guard is released or dropped, so that they cover
/// the holder's cleaning up.
///
#[doc = include_str!("multi_lock/migration.md")]
#[derive(Clone, Default)]
#[must_use = "it locks nothing until it is asked to"]
pub struct MultiLock {
    members: Vec<Member>,
}

#[derive(Clone)]
struct Member {
    label: Arc<str>,
    mutex: Mutex,
}

/// A member on its place in the order.
struct Placed<'a> {
    label: &'a Arc<str>,
    mutex: &'a Mutex,
    path: KeyPath,
}

impl Placed<'_> {
    fn key(&self) -> (&str, &str, &str) {
        (self.label, self.mutex.named().coordinator().namespace().as_str(), self.mutex.name())
    }

    /// What is one and the same lock for certain.
    fn identity(&self) -> (*const (), &KeyPath) {
        let engine = self.mutex.named().coordinator().engine();
        (Arc::as_ptr(&engine.backend).cast(), &self.path)
    }
}

impl MultiLock {
    /// With no members yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one more member. The label is any text that names the mutex's service, the same in all processes. Limits
    /// that the handle has ([`Mutex::min_hold`], [`Mutex::max_hold`]) are the member's, from its own grant on; a minimum counts only once there
    /// is a guard of all members.
    pub fn member(mut self, label: impl Into<Arc<str>>, mutex: Mutex) -> Self {
        self.members.push(Member { label: label.into(), mutex });
        self
    }

    /// Locks all, runs `work` for as long as all are held, and releases them.
    ///
    /// If a member is lost first, `work` is dropped at the await it is at, and the others are released.
    ///
    /// # Errors
    /// As [`MultiLock::lock`], and [`Lost`](ErrorKind::Lost) if a member went away before `work` had ended or before it was
    /// released. A release that a service does not confirm in time is no error here: the removal goes on in the background.
    ///
    /// # Cancel safety
    /// Dropping the future drops `work`, if it runs, and gives up everything, as in [`MultiLock::lock`].
    pub async fn with<F, W>(&self, work: F) -> Result<W::Output, Error>
    where
        F: FnOnce(MultiHeld) -> W,
        W: Future,
    {
        let guard = self.lock().await?;
        let output = guard.work(work).await?;
        match guard.release().await {
            Err(error) if error.is_lost() => Err(error.into()),
            _ => Ok(output),
        }
    }

    /// Locks all, waiting as long as it takes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if there is no member or a lock is named twice, and [`ErrorKind::InvalidName`]; both before
    /// anything is asked of a service. Otherwise what [`Mutex::lock`] of a member fails with, which the error names; then what was taken has
    /// been given back when this returns, as far as the services confirm that within their request time-outs.
    ///
    /// # Cancel safety
    /// Dropping the future at any point gives up all members and all places in queues, in the background within about a round trip,
    /// at the latest with the sessions. Nothing is held afterwards.
    pub async fn lock(&self) -> Result<MultiLockGuard, Error> {
        match self.acquire("lock", Patience::Forever).await? {
            Some(guard) => Ok(guard),
            // Only a try or a time-out ends without a guard.
            None => Err(Error::new(ErrorKind::Closed, "lock", "the acquisition was given up")),
        }
    }

    /// Locks all if nobody holds any of them or waits for one; `Ok(None)` if somebody does, and then nothing is held when this returns.
    ///
    /// It waits for no contender, and takes as long as the services' answers, one after the other. Of multi-locks of the same members
    /// that are tried at the same time, one succeeds.
    ///
    /// # Errors
    /// As [`MultiLock::lock`]; [`ErrorKind::Unavailable`] if a service did not answer within its request time-out;
    /// [`ErrorKind::Lost`] if a member was lost before the last one was locked.
    ///
    /// # Cancel safety
    /// As [`MultiLock::lock`].
    pub async fn try_lock(&self) -> Result<Option<MultiLockGuard>, Error> {
        self.acquire("try_lock", Patience::Try).await
    }

    /// Locks all, waiting at most `patience` in all, for all members together; `Ok(None)` if they were not all to be had by then. What was taken
    /// is then given back in the background, since the time is up. No patience at all is [`MultiLock::try_lock`].
    ///
    /// # Errors
    /// As [`MultiLock::lock`], and [`ErrorKind::Unavailable`] if a service did not answer within what was left of `patience`.
    ///
    /// # Cancel safety
    /// As [`MultiLock::lock`].
    pub async fn try_lock_for(&self, patience: Duration) -> Result<Option<MultiLockGuard>, Error> {
        self.acquire("try_lock_for", patience.into()).await
    }

    async fn acquire(
        &self,
        operation: &'static str,
        patience: Patience,
    ) -> Result<Option<MultiLockGuard>, Error> {
        let order = self.in_order(operation)?;
        let budget = Budget::new(patience);
        let mut taken: Vec<Taken> = Vec::with_capacity(order.len());
        loop {
            if let Some((at, reason)) = first_lost(&taken) {
                if patience == Patience::Try {
                    let lost = &taken[at].held;
                    let error = lost.state().error(operation, reason).of_member(lost.label());
                    give_back(taken, patience).await;
                    return Err(error);
                }
                taken.truncate(at);
            }
            let Some(next) = order.get(taken.len()) else { return Ok(Some(MultiLockGuard::new(taken))) };
            let Some(rest) = budget.rest() else {
                give_back(taken, patience).await;
                return Ok(None);
            };
            let granted = tokio::select! {
                biased;
                granted = next.mutex.acquire_part(operation, rest) => granted,
                () = any_lost(taken.iter().map(|taken| &*taken.held)) => continue,
            };
            match granted {
                Ok(Some(guard)) => taken.push(Taken::new(next.label.clone(), guard)),
                Ok(None) => {
                    give_back(taken, patience).await;
                    return Ok(None);
                }
                Err(error) => {
                    give_back(taken, patience).await;
                    return Err(error.of_member(next.label));
                }
            }
        }
    }

    /// The members in the order in which they are locked.
    fn in_order(&self, operation: &'static str) -> Result<Vec<Placed<'_>>, Error> {
        if self.members.is_empty() {
            return Err(Error::new(ErrorKind::InvalidArgument, operation, "a multi-lock of no members"));
        }
        let mut order = Vec::with_capacity(self.members.len());
        for Member { label, mutex } in &self.members {
            let path = mutex.named().path(operation).map_err(|error| error.of_member(label))?;
            order.push(Placed { label, mutex, path });
        }
        order.sort_by(|a, b| a.key().cmp(&b.key()));
        let twice = |member: &Placed<'_>, detail: &str| {
            let error = member.mutex.named().error(ErrorKind::InvalidArgument, operation, detail);
            Err(error.of_member(member.label))
        };
        if let Some(pair) = order.windows(2).find(|pair| pair[0].key() == pair[1].key()) {
            return twice(&pair[0], "the lock is named twice");
        }
        let mut labels = HashMap::with_capacity(order.len());
        for member in &order {
            if let Some(other) = labels.insert(member.identity(), member.label) {
                return twice(member, &format!("the lock is named twice, also as member {other:?}"));
            }
        }
        Ok(order)
    }
}

impl fmt::Debug for MultiLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.members.iter().map(|member| (&member.label, &member.mutex))).finish()
    }
}

fn first_lost(taken: &[Taken]) -> Option<(usize, LossReason)> {
    taken.iter().enumerate().find_map(|(at, taken)| Some((at, taken.held.state().ended()?)))
}

/// Gives back what a failed attempt had taken.
///
/// Whoever had all the time waits until it is gone, so that the next attempt does not meet what this one left. Whoever had a
/// budget may have used it up.
async fn give_back(taken: Vec<Taken>, patience: Patience) {
    match patience {
        Patience::For(_) => drop(taken),
        // The attempt has failed already, and a removal that is not confirmed goes on in the background.
        Patience::Try | Patience::Forever => drop(guard::release(taken).await),
    }
}

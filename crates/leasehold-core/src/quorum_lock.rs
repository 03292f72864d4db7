//! A lock over a majority of independent coordinators.
//!
//! # Implementation
//!
//! A member is a mutex of its own on each coordinator. To hold the lock is to hold more than half of them at one instant; what that
//! means over time is [`held`], how a holder keeps it [`keeper`], how it is taken [`asking`]. Here is why the whole excludes and ends.
//!
//! *Exclusion.* Two majorities of one set share a member, and a member's mutex has one holder. So as long as each member keeps
//! its own promise, no two holds are held at one instant, however and whenever their members were taken: what counts is the
//! instant alone.
//!
//! *All at once, if nobody is there.* An acquisition first asks all members in parallel for what is free, without waiting in a queue
//! anywhere. A majority of grants is the lock. The members that have not answered by then are not waited for: the keeper
//! goes on with them.
//!
//! *In order, if somebody is.* Otherwise it gives everything back and takes the members that have answered one after the other,
//! by label, waiting in the queue of each, until it has a majority. Whoever waits for a member holds only members before it, or
//! holds the lock already and needs no more. So nobody waits in a circle, whatever each one has skipped: waiting leads to
//! members later in the order or to a holder. There is no race to be lost again and again, and so no delay to be drawn by lot.
//!
//! *Who waits is passed a bounded number of times.* The first member that answers is the queue that everybody waits in, first
//! come, first served. Only an acquisition that finds a majority free at one stroke passes those who wait. It can do so as long
//! as the one who has got that first member holds no more than the minority; and each time the latter waits for it at one
//! member, is the next to get that one, and holds one more: of n members with a majority of m, at most n − m times. Processes
//! that do not agree on which members answer have several such queues; each moves on by itself.
//!
//! *Members that do not answer* within the time-out are out of this try. A member that stops answering while one waits in its
//! queue is out when its session has been suspect for that time. If too few are left, everything is given back before the next
//! try, since to wait for a member while holding later ones would break the order; that next try comes after a delay, the
//! longer the more often.
//!
//! *Who owns what.* An acquisition is a task on a member's driver, so that the caller needs no runtime. It owns the guards and
//! the questions under way; the caller's future owns the receiving end of a channel. If that is dropped, the task drops what it
//! owns, each of which cleans up after itself: at once where the service answers, else when it does again or when the session
//! ends there. With the grant it all passes to the keeper, and the guard into the channel, without an await in between. A
//! member's runtime that is gone takes its acquisitions with it; they begin anew on another member's.

mod asking;
mod guard;
mod held;
mod keeper;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::acquisition::Patience;
use crate::capabilities::Capabilities;
use crate::coordinator::Coordinator;
use crate::error::{Error, ErrorKind};
use crate::liveness::LossReason;
use crate::mutex::Mutex;
use crate::status::State;

pub use self::guard::{QuorumGuard, QuorumReleaseError};
pub use self::held::{QuorumHeld, QuorumLost, QuorumMember};

/// How long a member may take to answer, unless [`QuorumLock::member_timeout`] says otherwise.
const MEMBER_TIMEOUT: Duration = Duration::from_millis(500);

/// Fewer cannot lose any.
const FEWEST_MEMBERS: usize = 3;

/// A lock that is held by a majority of independent services: it goes on while fewer than half of them are down.
///
/// Each member is a [`Coordinator`] over a service of its own, three or five Redis servers for example, or any mix. The lock is held as
/// long as more than half of the members are. This is the algorithm that is known as Redlock, with queues instead of polling, and with
/// members that are renewed, lost and taken again one by one.
///
/// ```
/// # use leasehold_core::{Coordinator, Error, QuorumLock};
/// # async fn example(a: Coordinator, b: Coordinator, c: Coordinator) -> Result<(), Error> {
/// let lock = QuorumLock::new([("a", a), ("b", b), ("c", c)], "cache/users")?;
/// lock.with(|held| async move {
///     println!("held by {:?}", held.members());
/// }).await?; // an error if fewer than two members were left
/// # Ok(()) }
/// ```
///
/// # The members
///
/// **All processes must name the same members.** Two processes with different sets may find majorities that share no member. A
/// label says which service a member is on, in the application's own words, and must be the same everywhere: it decides the
/// order in which members are waited for. Two members must not be two ways to one service; it is refused where it can be seen,
/// which is where both are over one coordinator or its [sessions](Coordinator::session).
///
/// Use an odd number: a fourth member adds a request, and no failure more that is borne. At each member the lock is the
/// [mutex](Coordinator::mutex) of its name: it shows there to an [`Admin`](crate::Admin), and whoever locks that mutex by
/// itself takes the member away.
///
/// # What it promises, and what it cannot
///
/// No two guards are held at once by the local deadlines ([`QuorumHeld::is_held`]) **as long as every member keeps its own
/// promise**: the one member that two majorities share decides. [`QuorumLock::capabilities`] says what the members promise
/// together. Of services whose deadline is not safe, as of Redis with its wall clock, one that errs can give the lock away if
/// its holder has a bare majority; with all n held it takes as many as a majority that err within one TTL. That is why a holder
/// goes on to take the members that it lacks.
///
/// **A member that forgets must stay away for a TTL.** A Redis server that restarts without what it had stored gives its vote a
/// second time while the first holder still counts on it. Redis's own [description of the
/// algorithm](https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/) says the same and has two ways out:
/// `appendonly yes` with `appendfsync always`, or starting a crashed server only when the longest TTL has passed. Replicas that
/// are promoted forget as well.
///
/// **There is no fencing token.** Each member counts by itself, so no number of theirs rises from one holder of the lock to the
/// next, and the type offers none. Nothing then stops a holder that was paused after it had looked; Martin Kleppmann's
/// [analysis](https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html) is about this. Use this lock to save
/// work, where two at once are a waste and no harm. To protect data, let the resource decide: a compare-and-set of its own
/// version, or a [`Mutex`] on one service that keeps its tokens (etcd, ZooKeeper) with a [fence](crate::fencing).
///
/// # Losing members
///
/// A member that is lost is taken again as soon as it can be had, behind those who wait there. So a holder outlives a restart
/// of all members, one after the other, with time for it to come back in between. Not so a member that an administrator
/// released by force, or whose coordinator is shut down. With fewer than a majority the lock is lost, at once and for good;
/// what is left of it stays until the guard is released or dropped, so that it covers the holder's cleaning up.
///
/// # Order
///
/// Who waits is served in the order of arrival at the first member that answers. Whoever is next can be passed by somebody who
/// finds a majority free at the right moment: of three members once, of five twice. Processes that see different members answer
/// have no order among them, nor has anybody who had to begin anew because too few members were left.
#[derive(Clone)]
pub struct QuorumLock {
    /// In the order in which they are waited for.
    members: Arc<[Member]>,
    name: Arc<str>,
    member_timeout: Duration,
}

struct Member {
    label: Arc<str>,
    mutex: Mutex,
}

impl Member {
    fn coordinator(&self) -> &Coordinator {
        self.mutex.named().coordinator()
    }

    /// Resolves when the service has not been heard of for that long.
    async fn silent(&self, patience: Duration) {
        let mut status = self.coordinator().status();
        // The sender is in the coordinator, which is kept.
        while status.wait_for(|status| status.state != State::Live).await.is_ok() {
            let back = status.wait_for(|status| status.state == State::Live);
            if !matches!(tokio::time::timeout(patience, back).await, Ok(Ok(_))) {
                return;
            }
        }
    }
}

impl QuorumLock {
    /// The lock of that name over these members, each with its label. It touches no service.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if there are fewer than three members, if two have one label, or if two are over one
    /// service for certain; [`ErrorKind::InvalidName`].
    pub fn new<L: Into<Arc<str>>>(
        members: impl IntoIterator<Item = (L, Coordinator)>,
        name: impl AsRef<str>,
    ) -> Result<Self, Error> {
        const OPERATION: &str = "quorum_lock";
        let name: Arc<str> = name.as_ref().into();
        let mut members: Vec<_> = members
            .into_iter()
            .map(|(label, coordinator)| Member { label: label.into(), mutex: coordinator.mutex(&name) })
            .collect();
        let refused = |detail: String| {
            Err(Error::new(ErrorKind::InvalidArgument, OPERATION, detail).with_name(name.clone()))
        };
        if members.len() < FEWEST_MEMBERS {
            let count = members.len();
            return refused(format!(
                "{count} members, where the loss of one would be the loss of the lock; it takes at least {FEWEST_MEMBERS}"
            ));
        }
        members.sort_by(|a, b| a.label.cmp(&b.label));
        if let Some(pair) = members.windows(2).find(|pair| pair[0].label == pair[1].label) {
            return refused(format!("two members have the label {:?}", pair[0].label));
        }
        for (at, member) in members.iter().enumerate() {
            member.mutex.named().path(OPERATION).map_err(|error| error.of_member(&member.label))?;
            let service = |member: &Member| Arc::as_ptr(&member.coordinator().engine().backend).cast::<()>();
            if let Some(other) = members[..at].iter().find(|other| service(other) == service(member)) {
                return refused(format!("members {:?} and {:?} are one service", other.label, member.label));
            }
        }
        Ok(Self { members: members.into(), name, member_timeout: MEMBER_TIMEOUT })
    }

    /// The same, with another time that a member may take to answer before it counts as one that is down: 500 ms if nothing is
    /// said. It should be well below the TTL, and well above what a request takes.
    ///
    /// It concerns answers alone, and not how long others hold the lock.
    #[must_use]
    pub fn member_timeout(mut self, time: Duration) -> Self {
        self.member_timeout = time;
        self
    }

    /// The name, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The members' labels, in the order in which they are waited for.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = &str> {
        self.members.iter().map(|member| &*member.label)
    }

    /// How many members it takes.
    pub fn majority(&self) -> usize {
        self.members.len() / 2 + 1
    }

    /// What the members promise together.
    ///
    /// There are no tokens, no order by a service and no writes that a service makes depend on the lock. The deadline is
    /// safe if, of any two majorities, one member that they share has a safe one: with an odd number of members, if all have.
    pub fn capabilities(&self) -> Capabilities {
        let each = || self.members.iter().map(|member| member.coordinator().capabilities());
        let min_ttl = each().map(|of| of.min_ttl).max().unwrap_or_default();
        let max_value_bytes = each().map(|of| of.max_value_bytes).min().unwrap_or_default();
        let shared = 2 * self.majority() - self.members.len();
        let mut all = Capabilities::full(min_ttl, max_value_bytes);
        all.safe_deadline = each().filter(|of| !of.safe_deadline).count() < shared;
        all.durable_tokens = false;
        all.fifo = false;
        all.conditional_writes = false;
        all.resumable_sessions = false;
        all
    }

    /// Locks, runs `work` for as long as a majority is held, and releases.
    ///
    /// If the lock is lost first, `work` is dropped at the await it is at, and what is left of it is released.
    ///
    /// # Errors
    /// As [`QuorumLock::lock`], and [`Lost`](ErrorKind::Lost) if the lock was lost before `work` had ended or before it was
    /// released. A release that is not confirmed in time is no error here: the removal goes on in the background.
    ///
    /// # Cancel safety
    /// Dropping the future drops `work`, if it runs, and gives up everything, as in [`QuorumLock::lock`].
    pub async fn with<F, W>(&self, work: F) -> Result<W::Output, Error>
    where
        F: FnOnce(QuorumHeld) -> W,
        W: Future,
    {
        let guard = self.lock().await?;
        let output = guard.work(work).await?;
        match guard.release().await {
            Err(error) if error.is_lost() => Err(error.into()),
            _ => Ok(output),
        }
    }

    /// Locks, waiting as long as it takes.
    ///
    /// # Errors
    /// What a member fails with and waiting does not cure ([`ErrorKind::Closed`], [`ErrorKind::PermissionDenied`], …), if so many do
    /// that the others are no majority. While too few members can be reached it waits on.
    ///
    /// # Cancel safety
    /// Dropping the future at any point gives up all members and all places in queues. Entries at members that answer are removed in the
    /// background within about a round trip; at the others when they answer again, or when the session ends there. Nothing is
    /// held afterwards.
    pub async fn lock(&self) -> Result<QuorumGuard, Error> {
        match self.acquire("lock", Patience::Forever).await? {
            Some(guard) => Ok(guard),
            // Only a try or a time-out ends without a guard.
            None => Err(Error::new(ErrorKind::Closed, "lock", "the acquisition was given up")),
        }
    }

    /// Locks if a majority is free; `Ok(None)` if it is not, for others have members.
    ///
    /// It waits for no contender. It takes as long as the slowest answer that it needs, at most the time-out of a member, and
    /// as long again to give back what was not enough. Of several tries at the same time it may be that none succeeds.
    ///
    /// # Errors
    /// As [`QuorumLock::lock`], and [`ErrorKind::Unavailable`] if no majority of members has answered.
    ///
    /// # Cancel safety
    /// As [`QuorumLock::lock`].
    pub async fn try_lock(&self) -> Result<Option<QuorumGuard>, Error> {
        self.acquire("try_lock", Patience::Try).await
    }

    /// Locks, waiting at most `patience` in all, for the members' answers as well as for other holders; `Ok(None)` if others held it for
    /// that long. What was taken is then given back in the background, since the time is up. No patience at all is
    /// [`QuorumLock::try_lock`].
    ///
    /// # Errors
    /// As [`QuorumLock::lock`], and [`ErrorKind::Unavailable`] if no majority of members has answered within `patience`.
    ///
    /// # Cancel safety
    /// As [`QuorumLock::lock`].
    pub async fn try_lock_for(&self, patience: Duration) -> Result<Option<QuorumGuard>, Error> {
        self.acquire("try_lock_for", patience.into()).await
    }

    async fn acquire(
        &self,
        operation: &'static str,
        patience: Patience,
    ) -> Result<Option<QuorumGuard>, Error> {
        for member in &*self.members {
            let (reply, answer) = oneshot::channel();
            let driver = &member.coordinator().engine().driver;
            driver.handle().spawn(asking::answer(self.clone(), operation, patience, reply));
            if let Ok(answer) = answer.await {
                return answer;
            }
        }
        let gone = LossReason::DriverGone.to_string();
        Err(Error::new(ErrorKind::DriverGone, operation, gone).with_name(self.name.clone()))
    }
}

impl fmt::Debug for QuorumLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuorumLock")
            .field("name", &self.name)
            .field("members", &self.labels().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

//! Groups of members.
//!
//! # Implementation
//!
//! A queue that nobody waits in: whoever has an entry is a member, the entry's payload is the member's value, the
//! order of the queue that of joining. The rule grants every entry that is there; so `join` is an enqueue and no
//! more, and what the engine does for a holder
//! (loss, release, drop, changes of the entry) it does for a member.
//!
//! *Who is a member* is decided by the service alone: the entry is created with the session and goes with it. What
//! two observers see at one time may differ, by as much as their watches are late; what both see in the end is the
//! same.

mod following;
mod member;
mod staying;

use std::fmt;

use bytes::Bytes;

pub use self::following::{GroupEvent, MemberEvents, MemberStream};
pub(crate) use self::member::TAKES_ITEMS;
pub use self::member::{Member, MemberId};
pub(crate) use self::staying::Standing;
pub use self::staying::Staying;
use crate::acquisition::Patience;
use crate::attempt::AttemptId;
use crate::contenders::Contenders;
use crate::coordinator::Coordinator;
use crate::error::Error;
use crate::guard::{HeldGuard, guard_methods};
use crate::hold::Change;
use crate::mode::Mode;
use crate::name::Kind;
use crate::named::{Acquire, Named};
use crate::partition::Partition;
use crate::rule::{Rule, Verdict};
use crate::stats::Stats;

/// A group: who is there, with a value each, seen by everybody.
///
/// A `Group` is a name and a [`Coordinator`]; making one costs nothing and touches no service. Members join with
/// [`Group::join`] and [`Group::stay`]; anybody, member or not, lists and follows them.
///
/// # What it promises, and what it cannot
///
/// A member that leaves is gone at once, one that dies when its session ends, within the backend's bound after a
/// TTL. All observers end up with the same members in the same order. They do not get there at the same moment: two
/// processes may disagree about the members for as long as a message takes, and a process that is cut off from the
/// service sees the group as it was. What must not be done twice needs a lock; see [`Group::partition`] for dividing
/// work.
///
/// ```
/// # async fn example(coordinator: leasehold_core::Coordinator) -> Result<(), leasehold_core::Error> {
/// let workers = coordinator.group("workers");
/// let membership = workers.join("10.0.0.7:8080").await?;
/// for member in workers.members().await? {
///     println!("{:?} on {}", member.value, member.holder.host);
/// }
/// membership.release().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Group {
    named: Named,
}

impl Group {
    pub(crate) fn new(coordinator: Coordinator, name: &str) -> Self {
        Self { named: Named::new(coordinator, Kind::Group, name) }
    }

    /// The name, as it was given.
    pub fn name(&self) -> &str {
        self.named.name()
    }

    /// What became of the memberships through this handle and its clones: how long the service took, and how long they
    /// lasted. One that is [stayed](Group::stay) in counts each time that it is taken.
    pub fn stats(&self) -> Stats {
        self.named.stats()
    }

    /// Joins, with a value that everybody sees. It waits for the service and for nobody else.
    ///
    /// Each call is a membership of its own. It ends with the session; [`Group::stay`] takes it again.
    ///
    /// # Errors
    /// [`InvalidName`](crate::ErrorKind::InvalidName), [`Closed`](crate::ErrorKind::Closed) if the coordinator is
    /// shut down,
    /// [`TooLarge`](crate::ErrorKind::TooLarge) if the service does not take the value (its encoding is up to three
    /// times as long),
    /// [`PermissionDenied`](crate::ErrorKind::PermissionDenied), … if the service refuses for good. While the
    /// service cannot be reached it waits on.
    ///
    /// # Cancel safety
    /// Dropping the future at any point joins nothing: an entry that exists by then, or that a request on its way
    /// creates later, is removed in the background within about a round trip, at the latest with the session. Others
    /// may have seen it.
    pub async fn join(&self, value: impl Into<Bytes>) -> Result<Membership, Error> {
        self.join_as("join", member::TAKES_NONE, value.into()).await
    }

    /// Joins, and joins again whenever the membership is lost, until what is answered is dropped or
    /// [left](Staying::leave), or the coordinator is shut down, which need not wait for it.
    ///
    /// # Errors
    /// As [`Group::join`].
    ///
    /// # Cancel safety
    /// As [`Group::join`].
    pub async fn stay(&self, value: impl Into<Bytes>) -> Result<Staying, Error> {
        Staying::begin(self, "stay", member::TAKES_NONE, value.into()).await
    }

    /// The members, in the order in which they joined: as the service shows them to this coordinator's session,
    /// which sees its own joins and leaves; those of others it may see a moment later (see the backend).
    ///
    /// # Errors
    /// [`InvalidName`](crate::ErrorKind::InvalidName), [`Closed`](crate::ErrorKind::Closed),
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if the service did not answer within the request time-out, and
    /// what it refuses with.
    ///
    /// # Cancel safety
    /// It changes nothing.
    pub async fn members(&self) -> Result<Vec<Member>, Error> {
        let path = self.named.path("members")?;
        let entries = self.named.ask("members", move |live| {
            let queue = live.session.queue(&path);
            async move { queue.entries().await }
        });
        Ok(member::members(&entries.await?, self.named.coordinator().engine().epoch))
    }

    /// Follows the members: the first item is the members as they are, each further one as they are after something
    /// has changed. States in between may be skipped, the newest one never is. It goes on over broken connections
    /// and lost sessions.
    ///
    /// # Errors
    /// [`InvalidName`](crate::ErrorKind::InvalidName)
    pub fn watch(&self) -> Result<MemberStream, Error> {
        MemberStream::new(self.named.clone(), "watch")
    }

    /// Follows what happens: the differences between the states that [`Group::watch`] goes through, beginning with a
    /// [`Joined`](GroupEvent::Joined) for each member that is there.
    ///
    /// The sum of the events is at any time a state that the group had, and in the end the one that it has. Who came
    /// and went between two states does not show.
    ///
    /// # Errors
    /// [`InvalidName`](crate::ErrorKind::InvalidName)
    pub fn events(&self) -> Result<MemberEvents, Error> {
        Ok(MemberEvents::new(MemberStream::new(self.named.clone(), "events")?))
    }

    /// Divides `items` among the members that [run](Partition::run) it; see [`Partition`]. It touches no service.
    ///
    /// # Errors
    /// [`InvalidName`](crate::ErrorKind::InvalidName) if an item cannot be a name together with the group's.
    pub fn partition<I>(&self, items: I) -> Result<Partition, Error>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Partition::new(self.clone(), items)
    }

    pub(crate) fn named(&self) -> &Named {
        &self.named
    }

    /// Joins, and takes items.
    pub(crate) async fn stay_for_items(
        &self,
        operation: &'static str,
        value: Bytes,
    ) -> Result<Staying, Error> {
        Staying::begin(self, operation, TAKES_ITEMS, value).await
    }

    async fn join_as(
        &self,
        operation: &'static str,
        mode: Mode,
        payload: Bytes,
    ) -> Result<Membership, Error> {
        let acquire = Acquire::new(operation, &Everybody, mode, Patience::Forever);
        let inner = self.named.acquire_patiently(Acquire { payload, ..acquire }).await?;
        Ok(Membership { inner })
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("name", &self.named).finish_non_exhaustive()
    }
}

/// A place in a [`Group`]. Owned: it can be kept anywhere and moved to other tasks.
///
/// Dropping it leaves the group in the background, [`Membership::release`] leaves and waits for the service's word.
/// What a member knows of its membership are the methods of [`Held`](crate::Held): it is [lost](crate::Held::lost)
/// with the session.
#[must_use = "a membership that is dropped at once is left at once"]
pub struct Membership {
    inner: HeldGuard,
}

guard_methods!(Membership);

impl Membership {
    /// What everybody knows this membership by.
    pub fn id(&self) -> MemberId {
        MemberId::of(self.inner.held().state().entry().1)
    }

    /// Publishes another value in the place of the one before. The order of the members stays.
    ///
    /// # Errors
    /// [`Lost`](crate::ErrorKind::Lost) if the membership is over, [`TooLarge`](crate::ErrorKind::TooLarge) if the
    /// service does not take the value, and what else it refuses with for good; then the value before stays. While
    /// the service cannot be reached it waits on.
    ///
    /// # Cancel safety
    /// Once polled, the change goes on whether or not the future is.
    pub async fn set_value(&self, value: impl Into<Bytes>) -> Result<(), Error> {
        let change = Change { payload: Some(value.into()), ..Change::default() };
        self.inner.change("set_value", change).await
    }
}

/// Whoever has an entry is granted.
pub(crate) struct Everybody;

impl Rule for Everybody {
    fn verdict(&self, queue: &Contenders, me: AttemptId) -> Verdict {
        match queue.get(me) {
            Some(_) => Verdict::GRANTED,
            None => Verdict::NotQueued,
        }
    }
}

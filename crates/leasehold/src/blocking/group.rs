//! The blocking twin of the group.

use std::future::Future;

use bytes::Bytes;
use leasehold_core::{Error, GroupEvent, Held, Member, MemberId, ReleaseError, Stats};

use super::twin;
use super::wait::wait;

twin::handle! {
    /// The blocking twin of [`Group`](crate::Group).
    ///
    /// ```
    /// use leasehold::{GroupEvent, blocking};
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let workers = blocking::connect("memory://")?.group("workers");
    /// let membership = workers.join("10.0.0.7:8080")?;
    /// let mut events = workers.events()?;
    /// let event = events.next_for(Duration::from_secs(10))?;
    /// assert!(matches!(event, Some(GroupEvent::Joined(member)) if member.id == membership.id()));
    /// membership.release()?;
    /// # Ok(()) }
    /// ```
    Group
}

twin::guard! {
    /// A place in a [`Group`].
    Membership, Held, ReleaseError
}

twin::stream! {
    /// The members of a group, again after every change: see [`Group::watch`].
    MemberStream of Vec<Member>
}

twin::stream! {
    /// What happens in a group: see [`Group::events`].
    MemberEvents of GroupEvent
}

impl Group {
    /// The name, as it was given.
    pub fn name(&self) -> &str {
        self.inner.name()
    }

    /// What became of the memberships through it; see [`Group::stats`](crate::Group::stats).
    pub fn stats(&self) -> Stats {
        self.inner.stats()
    }

    twin::waits! {
        /// Joins, with a value that everybody sees.
        join(value: impl Into<Bytes>) -> Membership
    }

    twin::waits! {
        /// Joins, and joins again whenever the membership is lost; see [`Group::stay`](crate::Group::stay).
        stay(value: impl Into<Bytes>) -> Staying
    }

    twin::waits! {
        /// The members, in the order in which they joined.
        members() => Vec<Member>
    }

    /// Follows the members: first as they are, then as they are after each change; see [`Group::watch`](crate::Group::watch). It
    /// does not wait; what it answers does.
    ///
    /// # Errors
    /// As the method of the asynchronous twin.
    pub fn watch(&self) -> Result<MemberStream, Error> {
        self.inner.watch().map(From::from)
    }

    /// Follows what happens: who joins, changes and leaves; see [`Group::events`](crate::Group::events). It does not wait; what it
    /// answers does.
    ///
    /// # Errors
    /// As the method of the asynchronous twin.
    pub fn events(&self) -> Result<MemberEvents, Error> {
        self.inner.events().map(From::from)
    }
}

impl Membership {
    /// What everybody knows this membership by.
    pub fn id(&self) -> MemberId {
        self.inner.id()
    }

    twin::waits! {
        /// Publishes another value; the order of the members stays.
        set_value(value: impl Into<Bytes>) => ()
    }
}

/// The blocking twin of [`Staying`](crate::Staying): a place in a [`Group`] that is taken again whenever it is lost, in the background.
///
/// Dropping it leaves the group in the background; it neither waits nor panics, anywhere.
#[derive(Debug)]
#[must_use = "dropping it leaves the group"]
pub struct Staying {
    inner: leasehold_core::Staying,
}

impl Staying {
    /// The membership of the moment; `None` while it is lost and not yet taken again.
    pub fn id(&self) -> Option<MemberId> {
        self.inner.id()
    }

    /// Publishes another value, as soon as the service is reached; also in every later membership. It does not wait for that.
    pub fn set_value(&self, value: impl Into<Bytes>) {
        self.inner.set_value(value);
    }

    /// Resolves when the place is given up for good; see [`Staying::ended`](crate::Staying::ended).
    /// A thread [waits](crate::blocking::wait) for it.
    pub fn ended(&self) -> impl Future<Output = Error> + Send + 'static {
        self.inner.ended()
    }

    /// Leaves the group, and waits for the service to confirm that. To have been away at that moment is no error.
    ///
    /// # Errors
    /// As the method of the asynchronous twin.
    ///
    /// # Panics
    /// When called from asynchronous code; see [the module](crate::blocking#panics). The group is left all the same.
    #[track_caller]
    pub fn leave(self) -> Result<(), ReleaseError> {
        wait(self.inner.leave())
    }

    /// The asynchronous twin.
    pub fn into_async(self) -> leasehold_core::Staying {
        self.inner
    }
}

impl From<leasehold_core::Staying> for Staying {
    fn from(inner: leasehold_core::Staying) -> Self {
        Self { inner }
    }
}

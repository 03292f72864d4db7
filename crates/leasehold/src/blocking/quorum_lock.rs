//! The blocking twin of the quorum lock.

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{Capabilities, Error, QuorumHeld, QuorumReleaseError};

use super::{Coordinator, twin};

twin::handle! {
    /// The blocking twin of [`QuorumLock`](crate::QuorumLock): held by a majority of independent services.
    QuorumLock
}

twin::guard! {
    /// A held [`QuorumLock`]: a majority of its members, or more.
    QuorumGuard, QuorumHeld, QuorumReleaseError
}

impl QuorumLock {
    /// The lock of that name over these members, each with its label; see [`QuorumLock`](crate::QuorumLock#the-members).
    ///
    /// # Errors
    /// As [`QuorumLock::new`](crate::QuorumLock::new) of the asynchronous twin.
    pub fn new<L: Into<Arc<str>>>(
        members: impl IntoIterator<Item = (L, Coordinator)>,
        name: impl AsRef<str>,
    ) -> Result<Self, Error> {
        let members = members.into_iter().map(|(label, coordinator)| (label, coordinator.as_async().clone()));
        leasehold_core::QuorumLock::new(members, name).map(From::from)
    }

    /// The same with another time that a member may take to answer; see
    /// [`QuorumLock::member_timeout`](crate::QuorumLock::member_timeout).
    #[must_use]
    pub fn member_timeout(self, time: Duration) -> Self {
        self.inner.member_timeout(time).into()
    }

    /// The name, as it was given.
    pub fn name(&self) -> &str {
        self.inner.name()
    }

    /// The members' labels, in the order in which they are waited for.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = &str> {
        self.inner.labels()
    }

    /// How many members it takes.
    pub fn majority(&self) -> usize {
        self.inner.majority()
    }

    /// What the members promise together; see [`QuorumLock::capabilities`](crate::QuorumLock::capabilities).
    pub fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    twin::with! {
        /// Locks, runs `work`, and releases.
        with by lock, QuorumHeld
    }

    twin::waits! {
        /// Locks, waiting as long as it takes.
        lock() -> QuorumGuard
    }

    twin::waits! {
        /// Locks if a majority is free; `Ok(None)` if it is not, for others have members.
        try_lock() -> Option<QuorumGuard>
    }

    twin::waits! {
        /// Locks, waiting at most `patience` in all; `Ok(None)` if others held it for that long.
        try_lock_for(patience: Duration) -> Option<QuorumGuard>
    }
}

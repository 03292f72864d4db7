//! The blocking twin of the mutex.

use std::time::Duration;

use leasehold_core::{ContenderInfo, Held, ReleaseError, Released, Stats};

use super::twin;

twin::handle! {
    /// The blocking twin of [`Mutex`](crate::Mutex): threads and processes exclude each other, first come, first served.
    Mutex
}

twin::guard! {
    /// A held [`Mutex`].
    MutexGuard, Held, ReleaseError
}

impl Mutex {
    /// The name, as it was given.
    pub fn name(&self) -> &str {
        self.inner.name()
    }

    /// What became of the acquisitions through it; see [`Mutex::stats`](crate::Mutex::stats).
    pub fn stats(&self) -> Stats {
        self.inner.stats()
    }

    /// The same mutex with a least time to hold; see [`Mutex::min_hold`](crate::Mutex::min_hold).
    #[must_use]
    pub fn min_hold(self, time: Duration) -> Self {
        self.inner.min_hold(time).into()
    }

    /// The same mutex with a longest time to hold; see [`Mutex::max_hold`](crate::Mutex::max_hold).
    #[must_use]
    pub fn max_hold(self, time: Duration) -> Self {
        self.inner.max_hold(time).into()
    }

    twin::with! {
        /// Locks, runs `work`, and releases.
        with by lock, Held
    }

    twin::waits! {
        /// Locks, waiting as long as it takes.
        lock() -> MutexGuard
    }

    twin::waits! {
        /// Locks if nobody holds or waits; `Ok(None)` if somebody does.
        try_lock() -> Option<MutexGuard>
    }

    twin::waits! {
        /// Locks, waiting at most `patience` in all; `Ok(None)` if others held the lock for that long.
        try_lock_for(patience: Duration) -> Option<MutexGuard>
    }

    twin::waits! {
        /// Who holds and who waits, in the queue's order.
        contenders() => Vec<ContenderInfo>
    }

    twin::waits! {
        /// Asks the present holder to give up, in the words of `who`; whether there was one.
        ask_to_release(who: impl AsRef<str>) => bool
    }

    twin::waits! {
        /// Takes the lock from its present holder, which has a second to give it up by itself.
        force_release(who: impl AsRef<str>) => Released
    }
}

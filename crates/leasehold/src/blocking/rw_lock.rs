//! The blocking twin of the read/write lock.

use std::convert::Infallible;
use std::time::Duration;

use leasehold_core::{Error, Held, ReleaseError, Stats};

use super::twin;
use super::wait::wait;

twin::handle! {
    /// The blocking twin of [`RwLock`](crate::RwLock).
    RwLock
}

twin::guard! {
    /// A [`RwLock`] held for reading.
    RwLockReadGuard, Held, ReleaseError
}

twin::guard! {
    /// A [`RwLock`] held for writing.
    RwLockWriteGuard, Held, ReleaseError
}

impl RwLock {
    /// The name, as it was given.
    pub fn name(&self) -> &str {
        self.inner.name()
    }

    /// What became of the acquisitions through it; see [`RwLock::stats`](crate::RwLock::stats).
    pub fn stats(&self) -> Stats {
        self.inner.stats()
    }

    twin::with! {
        /// Locks for reading, runs `work`, and releases.
        with_read by read, Held
    }

    twin::with! {
        /// Locks for writing, runs `work`, and releases.
        with_write by write, Held
    }

    twin::waits! {
        /// Locks for reading, waiting as long as it takes.
        read() -> RwLockReadGuard
    }

    twin::waits! {
        /// Locks for reading if that is granted at once; `Ok(None)` if not.
        try_read() -> Option<RwLockReadGuard>
    }

    twin::waits! {
        /// Locks for reading, waiting at most `patience` in all; `Ok(None)` if writers held the lock or waited for that long.
        try_read_for(patience: Duration) -> Option<RwLockReadGuard>
    }

    twin::waits! {
        /// Locks for writing, waiting as long as it takes.
        write() -> RwLockWriteGuard
    }

    twin::waits! {
        /// Locks for writing if that is granted at once; `Ok(None)` if not.
        try_write() -> Option<RwLockWriteGuard>
    }

    twin::waits! {
        /// Locks for writing, waiting at most `patience` in all; `Ok(None)` if others held the lock for that long.
        try_write_for(patience: Duration) -> Option<RwLockWriteGuard>
    }
}

impl RwLockReadGuard {
    /// Is always refused: see [`RwLockReadGuard::upgrade`](crate::RwLockReadGuard::upgrade).
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported), always.
    pub fn upgrade(&self) -> Result<Infallible, Error> {
        self.inner.upgrade()
    }
}

impl RwLockWriteGuard {
    /// Turns the hold into one for reading: see [`RwLockWriteGuard::downgrade`](crate::RwLockWriteGuard::downgrade).
    ///
    /// # Errors
    /// As the method of the asynchronous twin.
    ///
    /// # Panics
    /// When called from asynchronous code; see [the module](crate::blocking#panics). The lock is given up then.
    #[track_caller]
    pub fn downgrade(self) -> Result<RwLockReadGuard, Error> {
        wait(self.inner.downgrade()).map(From::from)
    }
}

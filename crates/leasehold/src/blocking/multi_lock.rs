//! The blocking twin of the multi-lock.

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{MultiHeld, MultiReleaseError};

use super::{Mutex, twin};

twin::handle! {
    /// The blocking twin of [`MultiLock`](crate::MultiLock): all of a set of mutexes, of one service or of several, or none.
    #[derive(Default)]
    #[must_use = "it locks nothing until it is asked to"]
    MultiLock
}

twin::guard! {
    /// A locked [`MultiLock`], all members of it.
    MultiLockGuard, MultiHeld, MultiReleaseError
}

impl MultiLock {
    /// With no members yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one more member; see [`MultiLock`](crate::MultiLock#labels) for what the label decides.
    pub fn member(self, label: impl Into<Arc<str>>, mutex: Mutex) -> Self {
        self.inner.member(label, mutex.as_async().clone()).into()
    }

    twin::with! {
        /// Locks all, runs `work`, and releases them.
        with by lock, MultiHeld
    }

    twin::waits! {
        /// Locks all, waiting as long as it takes.
        lock() -> MultiLockGuard
    }

    twin::waits! {
        /// Locks all if nobody holds any of them or waits for one; `Ok(None)` if somebody does.
        try_lock() -> Option<MultiLockGuard>
    }

    twin::waits! {
        /// Locks all, waiting at most `patience` in all; `Ok(None)` if they were not all to be had by then.
        try_lock_for(patience: Duration) -> Option<MultiLockGuard>
    }
}

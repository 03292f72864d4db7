//! The blocking twin of the semaphore.

use std::time::Duration;

use leasehold_core::{Held, ReleaseError, Stats};

use super::twin;

twin::handle! {
    /// The blocking twin of [`Semaphore`](crate::Semaphore).
    Semaphore
}

twin::guard! {
    /// Permits of a [`Semaphore`].
    SemaphorePermit, Held, ReleaseError
}

impl SemaphorePermit {
    /// How many permits it is.
    pub fn count(&self) -> u32 {
        self.inner.count()
    }
}

impl Semaphore {
    /// The name, as it was given.
    pub fn name(&self) -> &str {
        self.inner.name()
    }

    /// What became of the acquisitions through it; see [`Semaphore::stats`](crate::Semaphore::stats).
    pub fn stats(&self) -> Stats {
        self.inner.stats()
    }

    /// How many permits there are.
    pub fn limit(&self) -> u32 {
        self.inner.limit()
    }

    twin::with! {
        /// Acquires a permit, runs `work`, and releases it.
        with by acquire, Held
    }

    twin::waits! {
        /// Acquires a permit, waiting as long as it takes.
        acquire() -> SemaphorePermit
    }

    twin::waits! {
        /// Acquires `count` permits, waiting as long as it takes.
        acquire_many(count: u32) -> SemaphorePermit
    }

    twin::waits! {
        /// Acquires a permit if one is free and nobody waits; `Ok(None)` if not.
        try_acquire() -> Option<SemaphorePermit>
    }

    twin::waits! {
        /// Acquires `count` permits if they are free and nobody waits; `Ok(None)` if not.
        try_acquire_many(count: u32) -> Option<SemaphorePermit>
    }

    twin::waits! {
        /// Acquires a permit, waiting at most `patience` in all; `Ok(None)` if there was none for that long.
        try_acquire_for(patience: Duration) -> Option<SemaphorePermit>
    }

    twin::waits! {
        /// Acquires `count` permits, waiting at most `patience` in all; `Ok(None)` if they were not free by then.
        try_acquire_many_for(count: u32, patience: Duration) -> Option<SemaphorePermit>
    }
}

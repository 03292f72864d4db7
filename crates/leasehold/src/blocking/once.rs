//! The blocking twin of once.

use std::future::ready;
use std::time::Duration;

use bytes::Bytes;
use leasehold_core::{Completion, Error, Held, Stats};

use super::twin;
use super::wait::wait;

twin::handle! {
    /// The blocking twin of [`Once`](crate::Once).
    Once
}

impl Once {
    /// The name, as it was given.
    pub fn name(&self) -> &str {
        self.inner.name()
    }

    /// What became of the places in line through it; see [`Once::stats`](crate::Once::stats).
    pub fn stats(&self) -> Stats {
        self.inner.stats()
    }

    /// The same for one of many occurrences; see [`Once::occurrence`](crate::Once::occurrence).
    #[must_use]
    pub fn occurrence(&self, occurrence: impl AsRef<str>) -> Self {
        self.inner.occurrence(occurrence).into()
    }

    /// The same with another time for which completions are remembered; see [`Once::retention`](crate::Once::retention).
    #[must_use]
    pub fn retention(self, time: Duration) -> Self {
        self.inner.retention(time).into()
    }

    /// Runs `work` unless it is done, and answers what came of it, here or elsewhere; see [`Once::run`](crate::Once::run).
    ///
    /// Nobody stops `work` when its place is lost: then its completion is not recorded.
    ///
    /// # Errors
    /// As the method of the asynchronous twin.
    ///
    /// # Panics
    /// When called from asynchronous code; see [the module](crate::blocking#panics).
    #[track_caller]
    pub fn run<R: Into<Bytes>, E>(
        &self,
        work: impl FnOnce(Held) -> Result<R, E>,
    ) -> Result<Result<Completion, E>, Error> {
        wait(self.inner.run(|held| ready(work(held))))
    }

    /// As [`Once::run`], but `Ok(None)` at once if another one is about to run it.
    ///
    /// # Errors
    /// As the method of the asynchronous twin.
    ///
    /// # Panics
    /// When called from asynchronous code; see [the module](crate::blocking#panics).
    #[track_caller]
    pub fn try_run<R: Into<Bytes>, E>(
        &self,
        work: impl FnOnce(Held) -> Result<R, E>,
    ) -> Result<Option<Result<Completion, E>>, Error> {
        wait(self.inner.try_run(|held| ready(work(held))))
    }

    twin::waits! {
        /// What came of it, if it is done.
        completion() => Option<Completion>
    }

    twin::waits! {
        /// Waits until it is done, without doing it.
        wait() => Completion
    }

    twin::waits! {
        /// Waits until it is done, for at most `patience`; `Ok(None)` if it was not done by then.
        wait_for(patience: Duration) => Option<Completion>
    }
}

//! The blocking twin of the election.

use std::future::{Future, ready};
use std::time::Duration;

use bytes::Bytes;
use leasehold_core::{Candidate, Error, Held, Leader, LeadershipTicket, ReleaseError, Stats};

use super::twin;
use super::wait::wait;

twin::handle! {
    /// The blocking twin of [`Election`](crate::Election).
    ///
    /// ```
    /// use leasehold::blocking;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let election = blocking::connect("memory://")?.election("scheduler");
    /// let leadership = election.campaign("10.0.0.7:4000")?;
    /// let leader = election.leader()?.expect("somebody leads");
    /// assert_eq!(leader.value(), b"10.0.0.7:4000");
    /// leadership.resign()?;
    /// # Ok(()) }
    /// ```
    Election
}

twin::guard! {
    /// The leadership of an [`Election`].
    Leadership, Held, ReleaseError
}

twin::stream! {
    /// Who leads, from now on: see [`Election::observe`].
    LeaderStream of Option<Leader>
}

impl Election {
    /// The name, as it was given.
    pub fn name(&self) -> &str {
        self.inner.name()
    }

    /// The same election, in which [`Election::lead`] through this handle proclaims `value`; empty if not set.
    #[must_use]
    pub fn proclaiming(self, value: impl Into<Bytes>) -> Self {
        self.inner.proclaiming(value).into()
    }

    /// What became of the candidacies through it; see [`Election::stats`](crate::Election::stats).
    pub fn stats(&self) -> Stats {
        self.inner.stats()
    }

    twin::waits! {
        /// Stands for election with `value`, and waits as long as it takes to lead.
        campaign(value: impl Into<Bytes>) -> Leadership
    }

    twin::waits! {
        /// Leads if nobody leads or stands; `Ok(None)` if somebody does.
        try_campaign(value: impl Into<Bytes>) -> Option<Leadership>
    }

    twin::waits! {
        /// Stands for election for at most `patience` in all; `Ok(None)` if others led for that long.
        try_campaign_for(value: impl Into<Bytes>, patience: Duration) -> Option<Leadership>
    }

    twin::waits! {
        /// Takes over the leadership that an earlier incarnation of this process left a ticket of; see
        /// [`Election::resume`](crate::Election::resume).
        resume(ticket: &LeadershipTicket) -> Leadership
    }

    twin::waits! {
        /// Who leads, in one look; `None` if nobody stands for election.
        leader() => Option<Leader>
    }

    twin::waits! {
        /// Everybody who stands for election, in order: the first leads.
        candidates() => Vec<Candidate>
    }

    /// Follows who leads and with which value: the state of now first, then every change, as
    /// [`Election::observe`](crate::Election::observe). It does not wait; what it answers does.
    ///
    /// # Errors
    /// As the method of the asynchronous twin.
    pub fn observe(&self) -> Result<LeaderStream, Error> {
        self.inner.observe().map(From::from)
    }

    /// Stands for election, runs `work` while leading, and stands again whenever the leadership was lost, until `work` has
    /// returned under a leadership that lasted, or `shutdown` has resolved: then the answer is `None`.
    ///
    /// Nobody stops `work`. It is told of a loss, and of a shutdown of the coordinator, by
    /// [`Held::cancellation_token`], and should return soon then: what it answers after a loss is dropped, and it is called again
    /// for the next leadership. `shutdown` is looked at only while it does not run, so `work` has to look by itself at whatever
    /// resolves that; if it returns for it, its output is answered. If `work` panics, the leadership is resigned.
    ///
    /// ```
    /// use leasehold::blocking;
    /// use std::sync::atomic::{AtomicBool, Ordering};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # static STOP: AtomicBool = AtomicBool::new(true);
    /// let election = blocking::connect("memory://")?.election("scheduler").proclaiming("10.0.0.7:4000");
    /// // `std::future::pending` is no shutdown at all: only that of the coordinator ends the wait for a leadership.
    /// election.lead(std::future::pending::<()>(), |held| {
    ///     let stop = held.cancellation_token();
    ///     while !stop.is_cancelled() && !STOP.load(Ordering::Relaxed) {
    ///         // Schedule, under held.fencing_token().
    ///     }
    /// })?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Election::campaign`], each time it stands.
    ///
    /// # Panics
    /// When called from asynchronous code; see [the module](crate::blocking#panics).
    #[track_caller]
    pub fn lead<T>(
        &self,
        shutdown: impl Future,
        mut work: impl FnMut(Held) -> T,
    ) -> Result<Option<T>, Error> {
        wait(self.inner.lead(shutdown, |held| ready(work(held))))
    }
}

impl Leadership {
    twin::waits! {
        /// Publishes another value; leadership and token stay.
        proclaim(value: impl Into<Bytes>) => ()
    }

    /// Gives the leadership up and waits for the service to confirm that. The same as [`Leadership::release`].
    ///
    /// # Errors
    /// As the method of the asynchronous twin.
    ///
    /// # Panics
    /// When called from asynchronous code; see [the module](crate::blocking#panics). It is resigned all the same.
    #[track_caller]
    pub fn resign(self) -> Result<(), ReleaseError> {
        wait(self.inner.resign())
    }

    /// What lets a successor of this process [resume](Election::resume) the leadership; see
    /// [`Leadership::ticket`](crate::Leadership::ticket).
    ///
    /// # Errors
    /// As the method of the asynchronous twin.
    pub fn ticket(&self) -> Result<LeadershipTicket, Error> {
        self.inner.ticket()
    }
}

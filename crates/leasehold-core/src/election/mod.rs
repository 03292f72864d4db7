//! The election.
//!
//! # Implementation
//!
//! The rule is the mutex's: the first entry of the queue leads, and every candidate waits for the one next ahead. What an
//! election has beyond a mutex is that entries have values which others read: [`observing`] reads and follows them,
//! [`leadership`] changes the leader's own. [`leading`] is the loop around campaign and work, [`resumption`] the second way to
//! a leadership: not by an entry of one's own, but by that of an earlier incarnation of the process. [`ticket`] is what one
//! incarnation leaves to the next.
//!
//! Handles own nothing at the service. All that has an effect there runs in tasks on the driver: acquisitions (see
//! [`crate::acquisition`] for what happens when a campaign's future is dropped), holds ([`crate::hold`]) and resumptions.

mod leadership;
mod leading;
mod observing;
mod resumption;
mod ticket;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

pub use leadership::Leadership;
pub use observing::{Candidate, Leader, LeaderStream};
pub use ticket::{LeadershipTicket, ParseTicketError};

use crate::acquisition::Patience;
use crate::coordinator::Coordinator;
use crate::error::Error;
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::mode::Mode;
use crate::mutex::FirstInLine;
use crate::name::Kind;
use crate::named::{Acquire, Named};
use crate::stats::Stats;

/// A leader election.
///
/// Candidates stand in a queue in the order in which the service received them; the first leads until it resigns or its
/// session ends, and then the next does. Each candidate proclaims a value (its address, say), which everybody can read
/// with [`Election::leader`] or follow with [`Election::observe`], without being a candidate.
///
/// An `Election` is a name and a [`Coordinator`]; making one costs nothing and touches no service. Every campaign is a candidacy of its
/// own: two tasks that campaign in the same election exclude each other like two machines.
///
/// ```
/// # async fn example(coordinator: leasehold_core::Coordinator) -> Result<(), leasehold_core::Error> {
/// let election = coordinator.election("scheduler");
/// let leadership = election.campaign("10.0.0.7:4000").await?;
/// println!("leading under token {}", leadership.fencing_token());
/// leadership.proclaim("10.0.0.7:4001").await?;
/// let leader = election.leader().await?.expect("somebody leads");
/// assert_eq!(leader.value(), b"10.0.0.7:4001");
/// leadership.resign().await?;
/// # Ok(()) }
/// ```
///
/// # What it promises, and what it cannot
///
/// At most one believes that it leads at any time, by the local deadline ([`Held::is_held`](crate::Held::is_held)), as far as the
/// backend's [capabilities](crate::Capabilities) say. Observers may lag: who is seen to lead may have ceased to, and a new leader
/// may lead before it is seen. Nor can *code* be kept from running a little longer than its leadership; hand the
/// [fencing token](crate::FencingToken) to whatever the leader writes to, and let that reject lower ones.
#[derive(Clone)]
pub struct Election {
    named: Named,
    value: Bytes,
}

impl Election {
    pub(crate) fn new(coordinator: Coordinator, name: &str) -> Self {
        Self::of(Named::new(coordinator, Kind::Election, name))
    }

    pub(crate) fn of(named: Named) -> Self {
        Self { named, value: Bytes::new() }
    }

    /// The name, as it was given.
    pub fn name(&self) -> &str {
        self.named.name()
    }

    /// The same election, in which [`Election::lead`] through this handle proclaims `value`; empty if not set.
    #[must_use]
    pub fn proclaiming(mut self, value: impl Into<Bytes>) -> Self {
        self.value = value.into();
        self
    }

    /// What became of the candidacies through this handle and its clones, and how long they waited and led. A leadership
    /// that was [resumed](Election::resume) is among the holds alone: it was an earlier incarnation that waited for it.
    pub fn stats(&self) -> Stats {
        self.named.stats()
    }

    /// Stands for election with `value`, and waits as long as it takes to lead.
    ///
    /// Others see the value as soon as this candidate leads, and before that among the [candidates](Election::candidates). A
    /// session that is lost while waiting is replaced: the candidacy goes on at the queue's end.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidName`]; [`ErrorKind::Closed`] if the coordinator is shut down, also while waiting;
    /// [`ErrorKind::TooLarge`] if the value is larger than the service takes; [`ErrorKind::Unauthenticated`],
    /// [`ErrorKind::PermissionDenied`], … if the service refuses for good. None leaves a candidacy behind. While the service cannot be
    /// reached it waits on.
    ///
    /// # Cancel safety
    /// Dropping the future at any point withdraws the candidacy. An entry that exists by then, or that a request on its way
    /// creates later, is removed in the background within about a round trip, at the latest with the session. The place in
    /// the queue is lost.
    pub async fn campaign(&self, value: impl Into<Bytes>) -> Result<Leadership, Error> {
        let acquire = self.candidacy("campaign", value.into(), Patience::Forever);
        Ok(Leadership::new(self.named.acquire_patiently(acquire).await?))
    }

    /// Leads if nobody leads or stands; `Ok(None)` if somebody does.
    ///
    /// It takes as long as the service's answer, at most the request time-out.
    ///
    /// # Errors
    /// As [`Election::campaign`], and [`ErrorKind::Unavailable`] if the service did not answer within the request time-out.
    ///
    /// # Cancel safety
    /// As [`Election::campaign`].
    pub async fn try_campaign(&self, value: impl Into<Bytes>) -> Result<Option<Leadership>, Error> {
        let acquire = self.candidacy("try_campaign", value.into(), Patience::Try);
        Ok(self.named.acquire(acquire).await?.map(Leadership::new))
    }

    /// Stands for election for at most `patience` in all, the service's answers included; `Ok(None)` if others led for that long.
    /// No patience at all is [`Election::try_campaign`].
    ///
    /// # Errors
    /// As [`Election::campaign`], and [`ErrorKind::Unavailable`] if the service did not answer within `patience`.
    ///
    /// # Cancel safety
    /// As [`Election::campaign`].
    pub async fn try_campaign_for(
        &self,
        value: impl Into<Bytes>,
        patience: Duration,
    ) -> Result<Option<Leadership>, Error> {
        let acquire = self.candidacy("try_campaign_for", value.into(), patience.into());
        Ok(self.named.acquire(acquire).await?.map(Leadership::new))
    }

    fn candidacy(&self, operation: &'static str, value: Bytes, patience: Patience) -> Acquire {
        Acquire { payload: value, ..Acquire::new(operation, &FirstInLine, Mode::Exclusive, patience) }
    }
}

impl fmt::Debug for Election {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Election").field("name", &self.named).finish_non_exhaustive()
    }
}

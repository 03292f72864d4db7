//! Taking a leadership over from an earlier incarnation of the process.
//!
//! # Implementation
//!
//! A resumption is one task on the driver, like an acquisition; the caller's future owns the receiving end of a channel. It
//! finds the entry by its attempt, raises the entry's turn by a compare-and-set, and goes on as the hold of that entry. The entry never
//! leaves the queue, so nobody else is granted meanwhile.
//!
//! *Who owns the entry.* An entry belongs to the session's newest incarnation: the service carries out no request of an earlier
//! one, so what becomes of a guard there (released, dropped, lost in this very moment) has no effect on the entry. Within
//! one incarnation an entry has one task that owns it: the attempts of its own it has the acquisitions for, and each of
//! an earlier one is adopted once (`LiveSession::adopted`), also if the leadership that came of it is over.
//!
//! *Tokens rise.* The turn is the token's sub-order. A token is made only of a turn that the service confirmed to this task: a write
//! whose answer was lost is not taken for done when its value is found, since another resumer could have written the same, but raised
//! once more.
//!
//! *At each await.* If the caller is gone before anything was sent, nothing is done. From then on the task goes on to the
//! leadership, which is dropped, that is resigned, if nobody receives it: so the entry never stays without an owner. The task ends
//! early only if the session does, which takes the entry with it (a shutdown closes the session), or with a refusal, after which the
//! entry is as it was and can be resumed again. It is dropped only with its runtime.

use std::sync::{Arc, PoisonError};

use tokio::sync::oneshot;
use tokio::time::sleep;

use super::ticket::LeadershipTicket;
use super::{Election, Leadership};
use crate::acquisition::{Patience, Request};
use crate::backend::{Entry, Publish, Published, Queue};
use crate::backend_error::{BackendError, BackendErrorKind};
use crate::engine::{Engine, NoSession};
use crate::entry_value::EntryValue;
use crate::error::{Error, ErrorKind};
use crate::guard::HeldGuard;
use crate::held::HeldState;
use crate::hold::{Grant, Holding};
use crate::liveness::{Liveness, LossReason};
use crate::mode::Mode;
use crate::mutex::FirstInLine;
use crate::name::KeyPath;
use crate::named::Acquire;
use crate::own_entry::{OwnEntry, transient_backoff};
use crate::rule::Verdict;
use crate::session_keeper::LiveSession;
use crate::token::FencingToken;

const OPERATION: &str = "resume";

impl Election {
    /// Takes over the leadership that an earlier incarnation of this process left a [ticket](Leadership::ticket) of.
    ///
    /// The coordinator has to be built with the ticket's [credentials](LeadershipTicket::credentials), by
    /// [`CoordinatorBuilder::resume`](crate::CoordinatorBuilder::resume). Others see no gap: the entry and its place stay, the value
    /// stays, and nobody else is granted. The fencing token is greater than those of the earlier incarnations, which are told that they
    /// are [superseded](LossReason::Superseded).
    ///
    /// A ticket is good for one leadership in each incarnation. What else the earlier incarnation held or waited for stays in
    /// the session, without an owner, until the session ends: so give a leadership that is to be resumed a
    /// [session of its own](crate::Coordinator::session).
    ///
    /// ```
    /// # async fn example(
    /// #     coordinator: leasehold_core::Coordinator,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// use leasehold_core::LeadershipTicket;
    /// let own = coordinator.session().connect().await?;
    /// let leadership = own.election("scheduler").campaign("10.0.0.7:4000").await?;
    /// let kept = leadership.ticket()?.to_bytes();
    ///
    /// // In the restarted process, within the TTL:
    /// let ticket = LeadershipTicket::from_bytes(&kept)?;
    /// let own = coordinator.session().resume(ticket.credentials().clone()).connect().await?;
    /// let resumed = own.election("scheduler").resume(&ticket).await?;
    /// assert!(resumed.fencing_token() > leadership.fencing_token());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] if the leadership is over: it was resigned or removed, or the session is gone and the coordinator is in
    /// another one. [`ErrorKind::InvalidArgument`] if the ticket is another election's, or if this coordinator has the leadership or
    /// had it already. [`ErrorKind::Unsupported`] if the backend [cannot](crate::Capabilities::resumable_sessions) resume, and at a path
    /// in [another client's layout](crate::Coordinator::at).
    /// [`ErrorKind::InvalidName`], [`ErrorKind::Closed`], and refusals of the service. While it cannot be reached it waits on, as long as the session may
    /// live.
    ///
    /// # Cancel safety
    /// Dropping the future before it was polled changes nothing. Dropped later, the leadership is resigned in the background
    /// within a few round trips, unless the session had not been opened by then.
    pub async fn resume(&self, ticket: &LeadershipTicket) -> Result<Leadership, Error> {
        let acquire = Acquire::new(OPERATION, &FirstInLine, Mode::Exclusive, Patience::Forever);
        let request = self.named.request(acquire)?;
        let coordinator = self.named.coordinator();
        if !coordinator.capabilities().resumable_sessions {
            let error = |kind, detail| self.named.error(kind, OPERATION, detail);
            return Err(error(ErrorKind::Unsupported, "the backend cannot resume sessions"));
        }
        if let Some(refusal) = refusal(&request.path) {
            return Err(self.named.error(ErrorKind::Unsupported, OPERATION, refusal));
        }
        if ticket.path() != request.path.as_str() {
            return Err(self.named.error(
                ErrorKind::InvalidArgument,
                OPERATION,
                "the ticket is another election's",
            ));
        }
        let engine = coordinator.engine();
        let resumption = Resumption { engine: engine.clone(), request, ticket: ticket.clone() };
        let (reply, answer) = oneshot::channel();
        engine.spawn(resumption.run(reply));
        let grant = answer.await.unwrap_or_else(|_| {
            Err(self.named.error(ErrorKind::DriverGone, OPERATION, &LossReason::DriverGone.to_string()))
        })?;
        Ok(Leadership::new(HeldGuard::new(grant, coordinator.clone())))
    }
}

/// Why nobody can take over an entry at that path, if so: there is no room in it for the turn.
pub(super) fn refusal(path: &KeyPath) -> Option<&'static str> {
    path.wire().map(|_| "a leadership in another client's layout cannot be resumed")
}

struct Resumption {
    engine: Arc<Engine>,
    request: Request,
    ticket: LeadershipTicket,
}

/// Why there is no leadership.
enum Refusal {
    /// It is over.
    Over(LossReason),
    /// The service refuses, and the entry is as it was.
    Backend(BackendError),
    /// The entry cannot be taken over.
    Unfit(ErrorKind, &'static str),
}

impl From<BackendError> for Refusal {
    fn from(error: BackendError) -> Self {
        Self::Backend(error)
    }
}

type Answer = Result<Grant, Error>;

impl Resumption {
    async fn run(self, mut reply: oneshot::Sender<Answer>) {
        let live = tokio::select! {
            biased;
            () = reply.closed() => return,
            () = self.engine.draining.cancelled() => Err(self.closed()),
            live = self.engine.live_session() => live.map_err(|none| match none {
                NoSession::Refused(error) => self.named(Error::from_backend(OPERATION, error)),
                NoSession::Closed => self.closed(),
            }),
        };
        let adopted = match live {
            Ok(live) => self.adopt(&live).await,
            Err(error) => Err(error),
        };
        match adopted {
            Ok((grant, holding)) => {
                // A guard that nobody receives is dropped here, which gives up its hold.
                let _ = reply.send(Ok(grant));
                holding.keep(None).await;
            }
            Err(error) => {
                // Whoever asked may be gone.
                let _ = reply.send(Err(error));
            }
        }
    }

    async fn adopt(&self, live: &Arc<LiveSession>) -> Result<(Grant, Holding), Error> {
        if live.session.credentials().as_ref() != Some(self.ticket.credentials()) {
            return Err(self.error(
                ErrorKind::Lost,
                "the coordinator is not in the session of the ticket, which has ended or was not resumed",
            ));
        }
        let attempt = self.ticket.attempt();
        let adopted = || live.adopted.lock().unwrap_or_else(PoisonError::into_inner);
        if attempt.session_nonce() == live.attempts.session_nonce() || !adopted().insert(attempt) {
            return Err(self.error(
                ErrorKind::InvalidArgument,
                "this coordinator itself has the leadership of the ticket, or had it",
            ));
        }
        let queue = live.session.queue(&self.request.path);
        let refusal = tokio::select! {
            biased;
            reason = live.liveness().seen_lost() => Refusal::Over(reason),
            () = self.engine.abandon.cancelled() => Refusal::Over(LossReason::ShutDown),
            raised = self.raise(&*queue) => match raised {
                // The deadline is looked at last: a leadership is never born stale.
                Ok(raised) => match live.liveness().current() {
                    Liveness::Lost(reason) => Refusal::Over(reason),
                    Liveness::Live { .. } | Liveness::Suspect { .. } => {
                        return Ok(self.begin(live, queue.clone(), raised));
                    }
                },
                Err(refusal) => refusal,
            },
        };
        let lost = |reason| self.named(Error::lost(OPERATION, reason));
        let refused = match refusal {
            Refusal::Over(reason) => return Err(lost(reason)),
            Refusal::Backend(error) if error.kind() == BackendErrorKind::SessionLost => {
                return Err(lost(live.ended()));
            }
            Refusal::Backend(error) => self.named(Error::from_backend(OPERATION, Arc::new(error))),
            Refusal::Unfit(kind, detail) => self.error(kind, detail),
        };
        adopted().remove(&attempt);
        Err(refused)
    }

    /// Begins the hold of the entry as it was written.
    fn begin(
        &self,
        live: &Arc<LiveSession>,
        queue: Arc<dyn Queue>,
        (entry, value): (Entry, EntryValue),
    ) -> (Grant, Holding) {
        let placed = (entry.attempt, entry.mode, entry.order);
        let own = OwnEntry::existing(live.clone(), queue, self.request.rule, placed);
        let token = FencingToken::new(self.engine.epoch, entry.order, value.turn);
        let state = HeldState::new(&self.engine, &self.request, &own, token);
        if let Some(who) = &value.asked {
            state.ask(who);
        }
        Holding::begin(self.engine.clone(), own, state, (value, entry.version), self.request.limits)
    }

    /// Raises the turn of the entry, and answers the entry as the service has confirmed it.
    async fn raise(&self, queue: &dyn Queue) -> Result<(Entry, EntryValue), Refusal> {
        let mut backoff = transient_backoff(&self.engine.entropy);
        loop {
            match self.raise_once(queue).await {
                Ok(Some(raised)) => return Ok(raised),
                // Somebody else has written, so there is something new to be read.
                Ok(None) => {}
                Err(Refusal::Backend(error)) if error.is_transient() => sleep(backoff.next_delay()).await,
                Err(Refusal::Backend(error)) if error.kind() == BackendErrorKind::NoEntry => {
                    return Err(Refusal::Over(LossReason::EntryRemoved));
                }
                Err(refusal) => return Err(refusal),
            }
        }
    }

    /// One try; `None` if the entry has changed meanwhile.
    async fn raise_once(&self, queue: &dyn Queue) -> Result<Option<(Entry, EntryValue)>, Refusal> {
        let removed = Refusal::Over(LossReason::EntryRemoved);
        let Some(entry) = queue.entry(self.ticket.attempt()).await? else { return Err(removed) };
        let mut value = EntryValue::decode(&entry.value)
            .ok_or(Refusal::Unfit(ErrorKind::Corrupt, "the entry has another program's value"))?;
        if value.broken.is_some() {
            return Err(Refusal::Over(LossReason::ForceReleased));
        }
        let turn = value.turn.checked_add(1);
        let turn = turn.ok_or(Refusal::Unfit(ErrorKind::Unsupported, "it was resumed too often"))?;
        (value.turn, value.holder) = (turn, self.engine.holder.clone());
        let (attempt, mode) = (entry.attempt, entry.mode);
        let publish = Publish { attempt, mode, value: value.encode(), if_version: Some(entry.version) };
        let Published::Done { version } = queue.publish(publish).await? else { return Ok(None) };
        // What stands first stays first, so one look after the write is enough.
        let mut verdict = Verdict::NotQueued;
        queue.contenders(&mut |queue| verdict = self.request.rule.verdict(queue, attempt)).await?;
        match verdict {
            Verdict::Granted { .. } => Ok(Some((Entry { version, ..entry }, value))),
            Verdict::NotQueued => Err(removed),
            _ => Err(Refusal::Unfit(ErrorKind::InvalidArgument, "the candidacy of the ticket does not lead")),
        }
    }

    fn closed(&self) -> Error {
        self.error(ErrorKind::Closed, "the coordinator is shut down")
    }

    fn error(&self, kind: ErrorKind, detail: &str) -> Error {
        self.named(Error::new(kind, OPERATION, detail))
    }

    fn named(&self, error: Error) -> Error {
        error.with_name(self.request.name.clone()).with_backend(self.engine.backend_name)
    }
}

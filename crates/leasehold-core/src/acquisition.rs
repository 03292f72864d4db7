//! One acquisition, from the call to the grant: the contention engine. What follows the grant is [`crate::hold`].
//!
//! # Implementation
//!
//! **Who owns what.** An acquisition is one task, which its caller carries out at first and the driver's runtime soon
//! ([`crate::errand`]). It alone talks to the service about its entry: it enqueues, waits, holds and withdraws. The caller's future owns nothing but the receiving end of a channel, the
//! guard nothing but the sending end of another. So whatever the application drops, at whatever await, is
//! a closed channel here, seen by the task, which then withdraws the entry: the cleanup exists before the request that
//! creates the entry is sent, and no drop has to do anything but close. Dropping needs no runtime and never blocks.
//!
//! **States.**
//!
//! ```text
//! find a session → enqueue → look ⇄ wait → hold → withdraw → end
//!        ↑___________|__________|_____|  session lost, or entry removed: again, as a new attempt, at the queue's end
//! ```
//!
//! **Who wakes whom.** While waiting, the task is woken by the change that its rule named (for a mutex: the entry next
//! ahead), by a change of its own entry (an administrator removed it), by the loss of its session, by its caller's
//! end (dropped, out of time, coordinator draining). After every waking it looks at the queue again; nothing is
//! concluded from the waking itself. Where the rule names a change that somebody may fail to make
//! ([`Verdict::WaitForHint`]), the task also looks again by itself: once soon after the enqueue, then slowly. The watch of the own entry is
//! armed only some 50 ms after the enqueue, so that a short wait or hold costs no more than its enqueue and its withdrawal.
//!
//! **A grant** needs three things, in this order: the rule grants by a look at the queue that contains the entry; the session's local
//! deadline has not passed; the caller still listens (the guard travels in the channel, and is
//! dropped with it, that is withdrawn, if nobody receives it). A session that is lost while waiting is never a grant.
//!
//! **At each await.** The task is dropped only with its runtime. Then the guard is told by [`EndOnDrop`], and the service
//! removes the entry with the session. An enqueue is never dropped in flight: if the caller ends meanwhile, the caller is
//! answered at once, the enqueue is awaited (the backend bounds it by the request time-out), and the entry withdrawn. The same goes for a
//! withdrawal that is under way when the caller ends.
//! An enqueue that went unanswered even once marks the attempt as ambiguous for its whole life: it might be applied after the
//! withdrawal, and the backend must prevent that (`Certainty::Ambiguous`).
//!
//! **Withdrawing** goes on, with a backoff, until the service confirms it or the session is lost. These tasks are what a
//! shutdown waits for.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until};

use crate::attempt::AttemptId;
use crate::backend::{Certainty, Enqueued, NewEntry};
use crate::backend_error::{BackendError, BackendErrorKind};
use crate::backoff::Backoff;
use crate::contenders::Contenders;
use crate::coordinator::Coordinator;
use crate::engine::{Engine, NoSession};
use crate::entropy::Entropy;
use crate::entry_value::{EntryValue, ValueForm};
use crate::errand::{attend, is_attended};
use crate::error::{Error, ErrorKind};
use crate::held::HeldState;
use crate::hold::{Grant, HoldLimits, Holding, value_of_new_entry};
use crate::liveness::LossReason;
use crate::mode::Mode;
use crate::name::KeyPath;
use crate::observe::{self, Subject};
use crate::own_entry::{OwnEntry, transient_backoff};
use crate::rule::{Rule, Verdict};
use crate::session_keeper::LiveSession;
use crate::stats::{Outcome, Recorder};
use crate::token::FencingToken;

/// What to acquire, and how.
pub(crate) struct Request {
    pub(crate) operation: &'static str,
    pub(crate) name: Arc<str>,
    pub(crate) path: KeyPath,
    pub(crate) rule: &'static dyn Rule,
    pub(crate) mode: Mode,
    /// What the entry says for the application.
    pub(crate) payload: Bytes,
    pub(crate) patience: Patience,
    /// Without waiting for anybody, however long the service may take to answer.
    pub(crate) only_if_free: bool,
    pub(crate) limits: HoldLimits,
    /// Where its outcome is counted.
    pub(crate) outcomes: Arc<Recorder>,
    /// Where its hold is counted.
    pub(crate) stats: Arc<Recorder>,
    /// What the entry needs as long as it is there, beyond what its guard keeps: a session that nobody closes.
    pub(crate) _keeps: Option<Coordinator>,
}

/// How long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Not for anybody: granted at once or not at all.
    Try,
    /// This long in all.
    For(Duration),
    /// As long as it takes.
    Forever,
}

impl From<Duration> for Patience {
    /// No time at all is a try.
    fn from(time: Duration) -> Self {
        if time.is_zero() { Patience::Try } else { Patience::For(time) }
    }
}

pub(crate) type Answer = Result<Option<Grant>, Error>;

/// Acquires by a task on the driver; `None` when somebody else was there, as far as the request's patience went.
pub(crate) async fn acquire(engine: &Arc<Engine>, request: Request) -> Answer {
    let (operation, name, backend) = (request.operation, request.name.clone(), engine.backend_name);
    let (reply, answer) = oneshot::channel();
    let span = observe::acquisition_span(engine, &request);
    let acquisition = Acquisition { engine: engine.clone(), request };
    let task = engine.begin(span.around(acquisition.run(reply)));
    match attend(&task, answer).await {
        Some(answer) => answer.map(|grant| grant.map(|grant| grant.kept_by(task))),
        None => Err(Error::new(ErrorKind::DriverGone, operation, LossReason::DriverGone.to_string())
            .with_name(name)
            .with_backend(backend)),
    }
}

/// The caller's side of an acquisition as the task sees it.
struct Caller {
    reply: Option<oneshot::Sender<Answer>>,
    since: Instant,
    deadline: Option<Instant>,
    stage: Stage,
    subject: Subject,
    attempt: Option<AttemptId>,
}

/// Why the caller does not wait any longer.
enum Stop {
    Gone,
    OutOfTime,
    Draining,
}

/// How an attempt ended.
enum Ended {
    /// The caller has its answer and nothing is left to do.
    Done,
    /// Without a grant, through no doing of the caller's: again.
    Again,
}

/// Where an acquisition stands, which decides what running out of time means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The service has not answered yet.
    Unanswered,
    /// It has, and others are ahead.
    Waiting,
}

struct Acquisition {
    engine: Arc<Engine>,
    request: Request,
}

impl Caller {
    /// Resolves when the caller stops waiting; never again once it was answered.
    async fn stopped(&mut self, engine: &Engine) -> Stop {
        let Some(reply) = &mut self.reply else { return std::future::pending().await };
        tokio::select! {
            () = reply.closed() => Stop::Gone,
            () = engine.draining.cancelled() => Stop::Draining,
            () = until(self.deadline) => Stop::OutOfTime,
        }
    }

    fn answer(&mut self, answer: Answer) {
        let outcome = match &answer {
            Ok(Some(_)) => Outcome::Acquired(self.since.elapsed()),
            // A time-out is a wait that the caller has cut, a busy try is none.
            Ok(None) if self.stage == Stage::Waiting => Outcome::TimedOut,
            Ok(None) => Outcome::Contended,
            Err(_) => Outcome::Failed,
        };
        self.answer_as(outcome, answer);
    }

    fn answer_as(&mut self, outcome: Outcome, answer: Answer) {
        if let Some(reply) = self.reply.take() {
            // Recorded first, so that the caller finds itself counted.
            self.subject.acquisition_ended(self.attempt, self.since.elapsed(), outcome, &answer);
            // A guard that nobody receives is dropped here, which gives up its hold.
            let _ = reply.send(answer);
        }
    }

    fn is_answered(&self) -> bool {
        self.reply.is_none()
    }
}

/// When a waiter first looks again although nobody has said anything: when no copy of the queue that others decide by is older
/// than its entry, if all is well.
const FIRST_SECOND_LOOK: Duration = Duration::from_millis(200);

/// When it does so from then on, for the case that somebody else is not well: between a quarter and a half of the TTL later; never, where no
/// clock reaches that.
fn next_second_look(ttl: Duration, entropy: &Entropy) -> Option<Instant> {
    Instant::now().checked_add(Backoff::with_entropy(ttl / 2, ttl / 2, entropy.clone()).next_delay())
}

/// Resolves at the deadline, if there is one.
pub(crate) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl Acquisition {
    async fn run(self, reply: oneshot::Sender<Answer>) {
        let patience = match self.request.patience {
            // There is nobody to wait for, but the service must answer in some time.
            Patience::Try => Some(self.engine.request_timeout),
            Patience::For(patience) => Some(patience),
            Patience::Forever => None,
        };
        let since = Instant::now();
        let deadline = patience.and_then(|patience| since.checked_add(patience));
        let (stage, subject) = (Stage::Unanswered, Subject::of_asked(&self.engine, &self.request));
        let mut caller = Caller { reply: Some(reply), since, deadline, stage, subject, attempt: None };
        loop {
            let live = tokio::select! {
                biased;
                stop = caller.stopped(&self.engine) => return self.stop(&mut caller, stop),
                live = self.engine.live_session() => live,
            };
            match live {
                Ok(live) => {
                    if let Ended::Done = self.attempt(live, &mut caller).await {
                        return;
                    }
                }
                Err(NoSession::Refused(error)) => return caller.answer(Err(self.backend_error(error))),
                Err(NoSession::Closed) => return caller.answer(Err(self.closed())),
            }
        }
    }

    async fn attempt(&self, live: Arc<LiveSession>, caller: &mut Caller) -> Ended {
        caller.stage = Stage::Unanswered;
        let queue = live.session.queue(&self.request.path);
        let mut own = OwnEntry::new(live, queue, self.request.mode, self.request.rule);
        caller.attempt = Some(own.attempt);
        let value = value_of_new_entry(&self.engine, &self.request.payload);
        let waited = match self.enqueue(&mut own, &value, caller).await {
            Ok(contenders) => self.wait(&own, contenders, caller).await,
            Err(ended) => Err(ended),
        };
        let announce = match waited {
            Ok(announce) => announce,
            Err(ended) => {
                self.leave_nothing(&own, caller).await;
                return if caller.is_answered() { Ended::Done } else { ended };
            }
        };
        let order = own.order;
        let state =
            HeldState::new(&self.engine, &self.request, &own, FencingToken::new(self.engine.epoch, order, 0));
        // As long as nobody has changed the entry, its version is its order.
        let (grant, holding) =
            Holding::begin(self.engine.clone(), own, state, (value, order), self.request.limits);
        caller.answer(Ok(Some(grant)));
        // The caller goes on first: a hold that ends at once needs nobody to watch for its other ends.
        match announce {
            None if is_attended() => holding.pause().await,
            _ => yield_now().await,
        }
        let span = holding.span();
        span.around(holding.keep(announce)).await;
        Ended::Done
    }

    /// Sees to it that there is no entry and none can come to be. A caller that stops meanwhile is answered at once.
    async fn leave_nothing(&self, own: &OwnEntry, caller: &mut Caller) {
        if !own.may_exist() {
            return;
        }
        let withdrawn = own.withdraw(&self.engine, None);
        tokio::pin!(withdrawn);
        tokio::select! {
            biased;
            () = &mut withdrawn => {}
            stop = caller.stopped(&self.engine) => {
                self.stop(caller, stop);
                withdrawn.await;
            }
        }
    }

    /// Creates the entry, and answers what came with it.
    async fn enqueue(
        &self,
        own: &mut OwnEntry,
        value: &EntryValue,
        caller: &mut Caller,
    ) -> Result<Option<Contenders>, Ended> {
        let mut backoff = transient_backoff(&self.engine.entropy);
        let value = ValueForm::of(&self.request.path).encode(value);
        loop {
            let entry = NewEntry {
                attempt: own.attempt,
                mode: self.request.mode,
                value: value.clone(),
                only_if_free: self.request.only_if_free,
            };
            let queue = own.queue.clone();
            let mut enqueue = queue.enqueue(entry);
            let enqueued = tokio::select! {
                biased;
                enqueued = &mut enqueue => enqueued,
                // What is still on its way belongs to a session that is over.
                _ = own.live.liveness().seen_lost() => return Err(Ended::Again),
                stop = caller.stopped(&self.engine) => {
                    self.stop(caller, stop);
                    enqueue.await
                }
            };
            match enqueued {
                Ok(Enqueued::Placed { order, contenders }) => {
                    own.order = order;
                    if caller.is_answered() {
                        return Err(Ended::Done);
                    }
                    return Ok(contenders);
                }
                Ok(Enqueued::Busy { contenders }) => {
                    self.busy(own, contenders.as_ref(), caller);
                    return Err(Ended::Done);
                }
                Err(error) => {
                    if error.kind() == BackendErrorKind::Indeterminate {
                        own.certainty = Certainty::Ambiguous;
                    }
                    if caller.is_answered() {
                        return Err(Ended::Done);
                    }
                    self.after_error(own, error, &mut backoff, caller).await?;
                }
            }
        }
    }

    /// Answers a try that met others: why they cannot agree, if the rule objects.
    fn busy(&self, own: &OwnEntry, met: Option<&Contenders>, caller: &mut Caller) {
        if caller.is_answered() {
            return;
        }
        let objection = met.and_then(|met| self.request.rule.objection(met, own.mode));
        caller.answer(match objection {
            Some(objection) => Err(self.error(ErrorKind::Mismatch, &objection)),
            None => Ok(None),
        });
    }

    /// Waits until the rule grants, and answers what it announces.
    async fn wait(
        &self,
        own: &OwnEntry,
        mut contenders: Option<Contenders>,
        caller: &mut Caller,
    ) -> Result<Option<Mode>, Ended> {
        let rule = self.request.rule;
        let mut backoff = transient_backoff(&self.engine.entropy);
        let mut second_look = Some(Instant::now() + FIRST_SECOND_LOOK);
        loop {
            let looked = match contenders.take() {
                Some(contenders) => Ok(rule.verdict(&contenders, own.attempt)),
                None => self.unless_stopped(own, caller, own.look(rule)).await?,
            };
            let changed = match looked {
                // The deadline is looked at last: a grant is never born stale.
                Ok(Verdict::Granted { announce }) if own.live.liveness().is_alive() => return Ok(announce),
                Ok(Verdict::Granted { .. } | Verdict::NotQueued) => return Err(Ended::Again),
                Ok(Verdict::Refused(objection)) => {
                    caller.answer(Err(self.error(ErrorKind::Mismatch, &objection)));
                    return Err(Ended::Done);
                }
                Ok(Verdict::WaitFor(_) | Verdict::WaitForHint(_)) if self.request.only_if_free => {
                    caller.answer(Ok(None));
                    return Err(Ended::Done);
                }
                Ok(Verdict::WaitFor(interest)) => {
                    caller.stage = Stage::Waiting;
                    self.unless_stopped(own, caller, own.changed_with(interest)).await?
                }
                Ok(Verdict::WaitForHint(interest)) => {
                    caller.stage = Stage::Waiting;
                    let looked_again = async {
                        tokio::select! {
                            changed = own.changed_with(interest) => changed,
                            () = until(second_look) => {
                                second_look = next_second_look(own.live.session.ttl(), &self.engine.entropy);
                                Ok(())
                            }
                        }
                    };
                    self.unless_stopped(own, caller, looked_again).await?
                }
                Err(error) => Err(error),
            };
            match changed {
                Ok(()) => backoff = transient_backoff(&self.engine.entropy),
                Err(error) => self.after_error(own, error, &mut backoff, caller).await?,
            }
        }
    }

    /// Waits for `output` as long as the session lives and the caller waits.
    async fn unless_stopped<T>(
        &self,
        own: &OwnEntry,
        caller: &mut Caller,
        output: impl Future<Output = T>,
    ) -> Result<T, Ended> {
        tokio::select! {
            output = output => Ok(output),
            _ = own.live.liveness().seen_lost() => Err(Ended::Again),
            stop = caller.stopped(&self.engine) => {
                self.stop(caller, stop);
                Err(Ended::Done)
            }
        }
    }

    /// Decides what an error means: `Ok` to try again on this session, after a delay; `Err` to end the attempt, the
    /// caller answered if it is not to be made again.
    async fn after_error(
        &self,
        own: &OwnEntry,
        error: BackendError,
        backoff: &mut Backoff,
        caller: &mut Caller,
    ) -> Result<(), Ended> {
        match error.kind() {
            BackendErrorKind::SessionLost => {
                own.live.liveness().end(LossReason::SessionEnded);
                Err(Ended::Again)
            }
            BackendErrorKind::Withdrawn | BackendErrorKind::NoEntry => Err(Ended::Again),
            _ if error.is_transient() => self.unless_stopped(own, caller, sleep(backoff.next_delay())).await,
            _ => {
                caller.answer(Err(self.backend_error(Arc::new(error))));
                Err(Ended::Done)
            }
        }
    }

    /// Answers a caller that stops waiting.
    fn stop(&self, caller: &mut Caller, stop: Stop) {
        caller.answer(match stop {
            Stop::Gone => return caller.answer_as(Outcome::Cancelled, Ok(None)),
            Stop::Draining => Err(self.closed()),
            Stop::OutOfTime if caller.stage == Stage::Waiting => Ok(None),
            Stop::OutOfTime => Err(match self.engine.connection_error() {
                Some(error) => self.backend_error(error),
                None => self.error(ErrorKind::Unavailable, "the service did not answer in time"),
            }),
        });
    }

    fn error(&self, kind: ErrorKind, detail: &str) -> Error {
        self.named(Error::new(kind, self.request.operation, detail))
    }

    fn backend_error(&self, error: Arc<BackendError>) -> Error {
        self.named(Error::from_backend(self.request.operation, error))
    }

    fn closed(&self) -> Error {
        self.error(ErrorKind::Closed, "the coordinator is shut down")
    }

    fn named(&self, error: Error) -> Error {
        error.with_name(self.request.name.clone()).with_backend(self.engine.backend_name)
    }
}

//! What a holder knows of its hold.
//!
//! # Implementation
//!
//! `HeldState` is shared by the guard, the clones of [`Held`] and the acquisition's task. It ends once: whoever calls
//! [`HeldState::end`] first gives the reason, and everybody sees the same. [`Held::is_held`] does not wait to be told: it looks
//! at the session's local deadline itself, so a holder whose driver is starved does not believe longer than it may.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use futures_util::future::{FutureExt, select_all};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::acquisition::Request;
use crate::attempt::AttemptId;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::liveness::{Liveness, LivenessCell, LossReason};
use crate::name::KeyPath;
use crate::observe::Subject;
use crate::own_entry::OwnEntry;
use crate::session_keeper::LiveSession;
use crate::token::FencingToken;

pub(crate) struct HeldState {
    subject: Subject,
    /// The entry that is held, for writes on condition of it.
    path: KeyPath,
    attempt: AttemptId,
    engine: Weak<Engine>,
    token: FencingToken,
    liveness: Arc<LivenessCell>,
    reason: OnceLock<LossReason>,
    ended: CancellationToken,
    /// Cancelled with `ended`, and when the coordinator drains.
    stop: CancellationToken,
    /// Who asks the holder to give up, and whether somebody does.
    asker: OnceLock<Arc<str>>,
    asked: CancellationToken,
    /// Whether the application has got it.
    handed_over: AtomicBool,
    since: Instant,
}

impl HeldState {
    pub(crate) fn new(engine: &Arc<Engine>, request: &Request, own: &OwnEntry, token: FencingToken) -> Self {
        let subject = Subject::of(engine, request);
        subject.hold_began();
        Self {
            subject,
            path: request.path.clone(),
            attempt: own.attempt,
            engine: Arc::downgrade(engine),
            token,
            liveness: own.live.liveness().clone(),
            reason: OnceLock::new(),
            ended: CancellationToken::new(),
            stop: engine.draining.child_token(),
            asker: OnceLock::new(),
            asked: CancellationToken::new(),
            handed_over: AtomicBool::new(false),
            since: Instant::now(),
        }
    }

    /// Notes that the application has it.
    pub(crate) fn hand_over(&self) {
        // Whoever gives it up closes a channel or sends through it afterwards, which orders this before what is done about it.
        self.handed_over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn was_handed_over(&self) -> bool {
        self.handed_over.load(Ordering::Relaxed)
    }

    /// Notes that somebody asks the holder to give up; the first one stays.
    pub(crate) fn ask(&self, who: &str) {
        self.asker.get_or_init(|| who.into());
        self.asked.cancel();
    }

    /// What is held.
    pub(crate) fn subject(&self) -> &Subject {
        &self.subject
    }

    pub(crate) fn token(&self) -> FencingToken {
        self.token
    }

    /// Where the entry is that is held.
    pub(crate) fn entry(&self) -> (&KeyPath, AttemptId) {
        (&self.path, self.attempt)
    }

    /// Whether it is held over this coordinator.
    pub(crate) fn is_of(&self, engine: &Arc<Engine>) -> bool {
        std::ptr::eq(self.engine.as_ptr(), Arc::as_ptr(engine))
    }

    /// Ends the hold; the reason that stays is the first one.
    pub(crate) fn end(&self, reason: LossReason) -> LossReason {
        let mut held = None;
        let reason = *self.reason.get_or_init(|| {
            held = Some(self.since.elapsed());
            reason
        });
        // Not within: whoever records it may ask this hold something.
        if let Some(held) = held {
            self.subject.hold_ended(self.attempt, self.token, held, reason);
        }
        // In this order: who is woken by the end sees everything ended.
        self.stop.cancel();
        self.ended.cancel();
        reason
    }

    /// Why the hold is over, if it is.
    pub(crate) fn ended(&self) -> Option<LossReason> {
        match (self.reason.get(), self.liveness.current()) {
            (Some(reason), _) => Some(*reason),
            (None, Liveness::Lost(reason)) => Some(self.end(reason)),
            (None, _) => None,
        }
    }

    /// How long it is held, if nothing is heard of the service any more.
    pub(crate) fn rest(&self) -> Duration {
        match (self.ended(), self.liveness.current()) {
            (None, Liveness::Live { until } | Liveness::Suspect { until }) => {
                until.saturating_since(self.liveness.clock().now())
            }
            _ => Duration::ZERO,
        }
    }

    /// Resolves when the hold has been ended, with the reason.
    pub(crate) async fn over(&self) -> LossReason {
        self.ended.cancelled().await;
        self.reason.get().copied().unwrap_or(LossReason::DriverGone)
    }

    /// Asks the work to come to its end; the hold goes on.
    pub(crate) fn ask_to_stop(&self) {
        self.stop.cancel();
    }

    /// Whether it is held in that session.
    pub(crate) fn is_in(&self, live: &LiveSession) -> bool {
        Arc::ptr_eq(&self.liveness, live.liveness())
    }

    /// The error of a release that nobody confirmed.
    pub(crate) fn unconfirmed(&self) -> Error {
        self.named(Error::new(ErrorKind::Unavailable, "release", "the service did not confirm it in time"))
    }

    pub(crate) fn error(&self, operation: &'static str, reason: LossReason) -> Error {
        self.named(Error::lost(operation, reason))
    }

    pub(crate) fn named(&self, error: Error) -> Error {
        error.with_name(self.subject.name().clone()).with_backend(self.subject.backend())
    }
}

/// The fact of holding something: owned, `'static`, cheap to clone, to be handed to the tasks that work under a lock.
///
/// It does not keep the lock: the guard does, and when the guard is released or dropped every clone of its
/// `Held` says so. Once it is not held any more it never is again.
#[derive(Clone)]
pub struct Held {
    state: Arc<HeldState>,
}

impl Held {
    pub(crate) fn new(state: Arc<HeldState>) -> Self {
        Self { state }
    }

    pub(crate) fn state(&self) -> &HeldState {
        &self.state
    }

    /// The name of what is held.
    pub fn name(&self) -> &str {
        self.state.subject.name()
    }

    /// The token to hand to the resource with every read and write; see [`FencingToken`].
    pub fn fencing_token(&self) -> FencingToken {
        self.state.token
    }

    /// Whether it is held, by the local deadline: `false` before the service can give the lock to somebody else,
    /// provided that this host's clock runs as fast as the service's (within 1 %).
    ///
    /// It needs nobody to tell it: it looks at the clock itself, also where the driver does not come to run.
    ///
    /// What it cannot promise: that it is still held when the caller *acts* on the answer. The
    /// process may be paused in between; only the fencing token, checked by the resource, closes that gap.
    pub fn is_held(&self) -> bool {
        self.state.ended().is_none()
    }

    /// Resolves when the hold is over, with the reason; [`LossReason::Released`] if its guard gave it up.
    ///
    /// A deadline that passes is noticed by the session's driver, or by whoever asks [`Held::is_held`]. The library's own thread does so in time;
    /// on a [runtime of the application's](crate::CoordinatorBuilder::runtime) that is blocked it is told only when that runs again. The same goes
    /// for [`Held::while_held`] and [`Held::cancellation_token`].
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub fn lost(&self) -> impl Future<Output = LossReason> + Send + 'static {
        let state = self.state.clone();
        async move { state.over().await }
    }

    /// Whether somebody has asked the holder to give up; see [`Held::asked_to_release`].
    pub fn is_asked_to_release(&self) -> bool {
        self.state.asked.is_cancelled()
    }

    /// Resolves when somebody asks the holder to give up, with who asks in that one's own words. It is a request and no more: the
    /// hold goes on until it is released. Pending for ever if nobody asks.
    ///
    /// It is heard within about a round trip, some 50 ms after the grant at the earliest.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub fn asked_to_release(&self) -> impl Future<Output = String> + Send + 'static {
        let state = self.state.clone();
        async move {
            state.asked.cancelled().await;
            state.asker.get().map(|who| who.to_string()).unwrap_or_default()
        }
    }

    /// Cancelled when the work should stop: the hold is over, or the coordinator is shutting down (or
    /// [`Election::lead`](crate::Election::lead) is asked to) and waits for the work to end. In the second case
    /// [`Held::is_held`] still holds, so that work can be brought to a proper end.
    pub fn cancellation_token(&self) -> CancellationToken {
        self.state.stop.clone()
    }

    /// Makes the work and runs it for as long as the hold lasts. It is not even made if the hold is over.
    pub(crate) async fn work<F, W>(&self, work: F) -> Result<W::Output, Error>
    where
        F: FnOnce(Held) -> W,
        W: Future,
    {
        self.while_held(async { work(self.clone()).await }).await
    }

    /// Runs `work` for as long as the hold lasts.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`](crate::ErrorKind::Lost) if the hold ended before `work` did; then `work` was dropped at
    /// the await it was at. What it had sent away by then still happens: fence it.
    ///
    /// # Cancel safety
    /// Dropping the future drops `work`.
    pub async fn while_held<F: Future>(&self, work: F) -> Result<F::Output, Error> {
        let lost = |reason| self.state.error("hold", reason);
        if let Some(reason) = self.state.ended() {
            return Err(lost(reason));
        }
        tokio::select! {
            biased;
            () = self.state.ended.cancelled() => {
                Err(lost(self.state.ended().unwrap_or(LossReason::DriverGone)))
            }
            output = work => match self.state.ended() {
                None => Ok(output),
                Some(reason) => Err(lost(reason)),
            },
        }
    }
}

/// Resolves when one of these is held no longer; never, if there are none.
pub(crate) async fn any_lost(holds: impl Iterator<Item = &Held>) {
    let ends: Vec<_> = holds.map(|held| held.lost().boxed()).collect();
    if ends.is_empty() {
        return std::future::pending().await;
    }
    select_all(ends).await;
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("name", &self.name())
            .field("token", &self.state.token)
            .field("ended", &self.state.ended())
            .finish()
    }
}

//! What a holder knows of its hold.
//!
//! # Implementation
//!
//! `HeldState` is shared by the guard, the clones of [`Held`] and the acquisition's task. It ends once: whoever calls
//! [`HeldState::end`] first gives the reason, and everybody sees the same. [`Held::is_held`] does not wait to be told: it looks
//! at the session's local deadline itself, so a holder whose driver is starved does not believe longer than it may.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind};
use crate::liveness::{Liveness, LivenessCell, LossReason};
use crate::token::FencingToken;

pub(crate) struct HeldState {
    name: Arc<str>,
    backend: &'static str,
    token: FencingToken,
    liveness: Arc<LivenessCell>,
    reason: OnceLock<LossReason>,
    ended: CancellationToken,
    /// Cancelled with `ended`, and when the coordinator drains.
    stop: CancellationToken,
}

impl HeldState {
    pub(crate) fn new(
        name: Arc<str>,
        backend: &'static str,
        token: FencingToken,
        liveness: Arc<LivenessCell>,
        draining: &CancellationToken,
    ) -> Self {
        let (ended, stop) = (CancellationToken::new(), draining.child_token());
        Self { name, backend, token, liveness, reason: OnceLock::new(), ended, stop }
    }

    /// Ends the hold; the reason that stays is the first one.
    pub(crate) fn end(&self, reason: LossReason) -> LossReason {
        let reason = *self.reason.get_or_init(|| reason);
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

    /// The error of a release that nobody confirmed.
    pub(crate) fn unconfirmed(&self) -> Error {
        Error::new(ErrorKind::Unavailable, "release", "the service did not confirm it in time")
            .with_name(self.name.clone())
            .with_backend(self.backend)
    }

    pub(crate) fn error(&self, operation: &'static str, reason: LossReason) -> Error {
        Error::lost(operation, reason).with_name(self.name.clone()).with_backend(self.backend)
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
        &self.state.name
    }

    /// The token to hand to the resource with every read and write; see [`FencingToken`].
    pub fn fencing_token(&self) -> FencingToken {
        self.state.token
    }

    /// Whether it is held, by the local deadline: `false` before the service can give the lock to somebody else,
    /// provided that this host's clock runs as fast as the service's (within 1 %).
    ///
    /// What it cannot promise: that it is still held when the caller *acts* on the answer. The
    /// process may be paused in between; only the fencing token, checked by the resource, closes that gap.
    pub fn is_held(&self) -> bool {
        self.state.ended().is_none()
    }

    /// Resolves when the hold is over, with the reason; [`LossReason::Released`] if its guard gave it up.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub fn lost(&self) -> impl Future<Output = LossReason> + Send + 'static {
        let state = self.state.clone();
        async move {
            state.ended.cancelled().await;
            state.reason.get().copied().unwrap_or(LossReason::DriverGone)
        }
    }

    /// Cancelled when the work should stop: the hold is over, or the coordinator is shutting down and
    /// waits for the work to end. In the second case [`Held::is_held`] still holds, so that work can be brought to a
    /// proper end.
    pub fn cancellation_token(&self) -> CancellationToken {
        self.state.stop.clone()
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

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("name", &self.name())
            .field("token", &self.state.token)
            .field("ended", &self.state.ended())
            .finish()
    }
}

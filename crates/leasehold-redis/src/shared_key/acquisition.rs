//! How a key is got.
//!
//! # Implementation
//!
//! One task an acquisition, which becomes that of the hold. While it waits, be it for its turn in this process or for
//! the key, it looks whether its caller is still there, and ends if not. While a claim is on its way it does not: it
//! takes the answer, and then either the guard reaches the caller or is dropped on the way, which gives the key up.

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{BackendError, BackendErrorKind, Backoff, Clock, LivenessCell};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until};

use super::claim::{Claim, Taken};
use super::guard::SharedKeyGuard;
use super::hold;
use super::lock::SharedKeyLock;

/// After which time a key that was found taken is asked for again, at first.
const FIRST_POLL: Duration = Duration::from_millis(5);

/// By when a key that is about to expire has expired: the server tells whole milliseconds.
const RESOLUTION: Duration = Duration::from_millis(1);

/// How long somebody waits.
#[derive(Debug, Clone, Copy)]
pub(super) enum Patience {
    /// For no other holder.
    Try,
    /// Until then, in all.
    Until(Instant),
    Forever,
}

impl Patience {
    /// No time at all is a try, and one that no clock reaches no limit.
    pub(super) fn within(time: Duration) -> Self {
        match Instant::now().checked_add(time) {
            _ if time.is_zero() => Patience::Try,
            Some(until) => Patience::Until(until),
            None => Patience::Forever,
        }
    }

    /// Resolves when it is exhausted.
    async fn exhausted(self) {
        match self {
            Patience::Until(until) => sleep_until(until).await,
            Patience::Try | Patience::Forever => std::future::pending().await,
        }
    }
}

pub(super) type Answer = Result<Option<SharedKeyGuard>, BackendError>;

pub(super) struct Acquisition {
    pub(super) lock: SharedKeyLock,
    pub(super) patience: Patience,
}

/// What one claim came to.
enum Outcome {
    Ours(Claim, Arc<LivenessCell>),
    Busy(Option<Duration>),
}

impl Acquisition {
    pub(super) async fn run(self, mut reply: oneshot::Sender<Answer>) {
        let (answer, hold) = match self.seek(&mut reply).await {
            None => return,
            Some(Ok(Some((claim, liveness)))) => {
                let (guard, hold) = hold::begin(claim, liveness, self.lock);
                (Ok(Some(guard)), Some(hold))
            }
            Some(Ok(None)) => (Ok(None), None),
            Some(Err(error)) => (Err(error), None),
        };
        // To a caller that is gone by now the guard is dropped.
        let _ = reply.send(answer);
        if let Some(hold) = hold {
            hold.keep().await;
        }
    }

    /// Asks until the key is ours or the patience exhausted; `None` if the caller is gone.
    async fn seek(
        &self,
        reply: &mut oneshot::Sender<Answer>,
    ) -> Option<Result<Option<(Claim, Arc<LivenessCell>)>, BackendError>> {
        let _turn = match self.patience {
            Patience::Try => None,
            _ => tokio::select! {
                biased;
                () = reply.closed() => return None,
                turn = self.lock.local.turn.clone().lock_owned() => Some(turn),
                () = self.patience.exhausted() => return Some(Ok(None)),
            },
        };
        let new_backoff = || Backoff::new(FIRST_POLL, self.lock.poll_interval);
        let mut backoff = new_backoff();
        loop {
            let (nothing, expiry) = match self.claim().await {
                Ok(Outcome::Ours(claim, liveness)) => return Some(Ok(Some((claim, liveness)))),
                Ok(Outcome::Busy(expiry)) => (Ok(None), expiry),
                Err(error) if error.is_transient() => (Err(error), None),
                Err(error) => return Some(Err(error)),
            };
            if matches!(self.patience, Patience::Try) {
                return Some(nothing);
            }
            let pause = backoff.next_delay();
            let pause = expiry.map_or(pause, |expiry| pause.min(expiry + RESOLUTION));
            tokio::select! {
                biased;
                () = reply.closed() => return None,
                () = self.patience.exhausted() => return Some(nothing),
                () = self.lock.local.freed.notified() => backoff = new_backoff(),
                () = sleep(pause) => {}
            }
        }
    }

    /// One claim, of whose tokens there is one each, so that what an unanswered one does later is not mistaken for this.
    async fn claim(&self) -> Result<Outcome, BackendError> {
        let SharedKeyLock { keys, key, ttl, .. } = &self.lock;
        // Redis counts in milliseconds; what is less is not believed either.
        let ttl = Duration::from_millis(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        let claim = Claim::new(keys.link.clone(), key.clone(), ttl)?;
        let limit = match self.patience {
            Patience::Until(until) => until.saturating_duration_since(Instant::now()),
            Patience::Try | Patience::Forever => Duration::MAX,
        };
        let clock = Clock::system();
        let sent_at = clock.now();
        match claim.take(limit.min(keys.link.request_timeout())).await {
            Ok(Taken::Ours) => {
                let liveness = Arc::new(LivenessCell::new(clock, sent_at, ttl));
                if !liveness.is_alive() {
                    // The answer took longer than the TTL.
                    tokio::spawn(claim.undo());
                    return Ok(Outcome::Busy(None));
                }
                Ok(Outcome::Ours(claim, liveness))
            }
            Ok(Taken::Busy(expiry)) => Ok(Outcome::Busy(expiry)),
            Err(error) => {
                if error.kind() == BackendErrorKind::Indeterminate {
                    tokio::spawn(claim.undo());
                }
                Err(error)
            }
        }
    }
}

//! The renewals of a session, or of a hold that has none.
//!
//! # Implementation
//!
//! One loop a session. A renewal is sent each third of the TTL, at once when the [hub](crate::hub)'s connection has
//! broken, and after a failure again with a backoff, each with the time before it was sent. It ends when the session
//! is lost, by the service's word or the local deadline, or is dropped with the session. A renewal that is dropped or
//! not answered counts as not made.

use std::time::Duration;

use leasehold_core::{BackendError, Backoff, LivenessCell, LossReason};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::error::Effect;
use crate::link::Call;
use crate::scripts;
use crate::session::{Core, ended};

/// What is renewed.
pub(crate) trait Renewed: Sync {
    /// Renews it; why it is over, if the service knows it no longer.
    fn renew(&self) -> impl Future<Output = Result<Option<LossReason>, BackendError>> + Send;
}

/// Renews until it is lost, or the future is dropped.
pub(crate) async fn keep(renewed: &impl Renewed, liveness: &LivenessCell, ttl: Duration, renew_now: &Notify) {
    let period = ttl / 3;
    let new_backoff = || Backoff::new(Duration::from_millis(20), (period / 2).max(Duration::from_millis(20)));
    let mut backoff = new_backoff();
    let mut due = Instant::now() + period;
    loop {
        tokio::select! {
            () = sleep_until(due) => {}
            () = renew_now.notified() => {}
        }
        if !liveness.is_alive() {
            return;
        }
        let (sent_at, asked) = (liveness.clock().now(), Instant::now());
        due = match renewed.renew().await {
            Ok(None) => {
                if !liveness.renewed(sent_at, ttl) {
                    return;
                }
                backoff = new_backoff();
                asked + period
            }
            Ok(Some(reason)) => return liveness.end(reason),
            Err(_) => {
                liveness.suspect();
                Instant::now() + backoff.next_delay()
            }
        };
    }
}

/// A session, each of whose renewals may take so long.
pub(crate) struct RenewedSession<'a> {
    pub(crate) core: &'a Core,
    pub(crate) patience: Duration,
}

impl Renewed for RenewedSession<'_> {
    async fn renew(&self) -> Result<Option<LossReason>, BackendError> {
        let core = self.core;
        let ttl = core.ttl.as_millis().to_string();
        let (keys, args) = (core.keyspace.all(), core.args(&[ttl.as_bytes()]));
        let (what, script) = ("renewal of the session", &scripts::RENEW);
        let call = Call { what, effect: Effect::Read, script, keys: &keys, args: &args };
        let reply = core.link.run_within(self.patience, &call).await?;
        let renewed = reply.first().is_some_and(|word| word == b"ok");
        Ok((!renewed).then(|| ended(&reply).unwrap_or(LossReason::SessionEnded)))
    }
}

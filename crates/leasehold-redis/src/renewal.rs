//! The renewals of a session.
//!
//! # Implementation
//!
//! One loop a session. A renewal is sent each third of the TTL, at once when the [hub](crate::hub)'s connection has
//! broken, and after a failure again with a backoff, each with the time before it was sent. It ends when the session
//! is lost, by the service's word or the local deadline, or is dropped with the session. A renewal that is dropped or
//! not answered counts as not made.

use std::time::Duration;

use leasehold_core::{Backoff, LossReason};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::error::Effect;
use crate::link::Call;
use crate::scripts;
use crate::session::{Core, ended};

/// Renews until the session is lost, or the future is dropped.
pub(crate) async fn keep(core: &Core, renew_now: &Notify, patience: Duration) {
    let period = core.ttl / 3;
    let ttl = core.ttl.as_millis().to_string();
    let (keys, args) = (core.keyspace.all(), core.args(&[ttl.as_bytes()]));
    let (what, script) = ("renewal of the session", &scripts::RENEW);
    let call = Call { what, effect: Effect::Read, script, keys: &keys, args: &args };
    let new_backoff = || Backoff::new(Duration::from_millis(20), (period / 2).max(Duration::from_millis(20)));
    let mut backoff = new_backoff();
    let mut due = Instant::now() + period;
    loop {
        tokio::select! {
            () = sleep_until(due) => {}
            () = renew_now.notified() => {}
        }
        if !core.liveness.is_alive() {
            return;
        }
        let (sent_at, asked) = (core.liveness.clock().now(), Instant::now());
        due = match core.link.run_within(patience, &call).await {
            Ok(reply) if reply.first().is_some_and(|word| word == b"ok") => {
                if !core.liveness.renewed(sent_at, core.ttl) {
                    return;
                }
                backoff = new_backoff();
                asked + period
            }
            Ok(reply) => return core.liveness.end(ended(&reply).unwrap_or(LossReason::SessionEnded)),
            Err(_) => {
                core.liveness.suspect();
                Instant::now() + backoff.next_delay()
            }
        };
    }
}

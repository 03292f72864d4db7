//! The renewals of a session.
//!
//! # Implementation
//!
//! One loop a session. A renewal is sent each third of the TTL, at once when the [hub](crate::hub)'s connection has broken, and after a
//! failure again with a backoff, each with the time before it was sent. It goes over the connection of the notifications, on which nothing waits for
//! the lock of a queue. It ends when the session is lost, by the service's word or the local deadline, or is dropped with the session. A renewal that is
//! dropped or not answered counts as not made.

use std::time::Duration;

use leasehold_core::{Backoff, LossReason};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::error::Effect;
use crate::link::{Call, Link};
use crate::session::{Core, ended};

/// Renews until the session is lost, or the future is dropped.
pub(crate) async fn keep(core: &Core, link: &Link, renew_now: &Notify, patience: Duration) {
    let period = core.ttl / 3;
    let (what, statement) = ("renewal of the session", "SELECT leasehold.renew($1, $2)");
    let call = Call { what, effect: Effect::Read, statement, args: &core.who() };
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
        let renewed = link.run_within(patience, &call).await;
        due = match renewed.as_ref().map(|rows| rows.first().map(|row| row.try_get::<_, &str>(0))) {
            Ok(Some(Ok("ok"))) => {
                if !core.liveness.renewed(sent_at, core.ttl) {
                    return;
                }
                backoff = new_backoff();
                asked + period
            }
            Ok(Some(Ok(word))) => {
                return core.liveness.end(ended(word).unwrap_or(LossReason::SessionEnded));
            }
            // No answer, or none of ours.
            _ => {
                core.liveness.suspect();
                Instant::now() + backoff.next_delay()
            }
        };
    }
}

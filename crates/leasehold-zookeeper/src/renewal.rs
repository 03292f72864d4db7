//! Keeping a session alive, and its liveness told.
//!
//! # Implementation
//!
//! One task a session. It follows the client's states and sends a `sync` at a time; every acknowledged one goes
//! into the [`RenewalWindow`], whose answer is what the local deadline counts from. *Disconnected* makes the session
//! suspect at once, *connected* sends a `sync` at once. The task ends the session here when the client says that it is
//! over, or when the local deadline passes: then nothing of it may be left at the service to hold a lock that nobody
//! believes in. It ends when the session does. The client sends pings of its own, which keep the connection but are
//! not believed (see the window).

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use leasehold_core::{LossReason, Timestamp};
use tokio::time::Instant;
use zookeeper_client::{Client, Error, SessionState};

use crate::link::Link;
use crate::renewal_window::RenewalWindow;

/// How often a TTL is renewed at least.
const RENEWALS_PER_TTL: u32 = 6;

/// The tick from which on a session cannot be renewed in time: a deadline is up to a tick and two intervals nearer than the TTL.
pub(crate) fn longest_tick(ttl: Duration) -> Duration {
    ttl - 2 * (ttl / RENEWALS_PER_TTL)
}

/// Renews the session of `link` until it ends. `opened_at` is what the TTL counts from at first.
pub(crate) async fn keep_alive(link: Arc<Link>, ttl: Duration, tick: Duration, opened_at: Timestamp) {
    let interval = tick.min(ttl / RENEWALS_PER_TTL);
    let mut renewals = Renewals { window: RenewalWindow::new(tick), renewed_at: opened_at, ttl };
    let mut states = link.states();
    let mut state = states.state();
    let mut next = Instant::now();
    let mut under_way: Option<Sync> = None;
    loop {
        match state {
            SessionState::SyncConnected | SessionState::Disconnected | SessionState::ConnectedReadOnly => {}
            // The tasks that remove what is left are the service's in all three: the session is over there.
            SessionState::Expired | SessionState::AuthFailed | SessionState::Closed => {
                link.retire(LossReason::SessionEnded);
                return;
            }
        }
        tokio::select! {
            biased;
            () = link.retired() => return,
            reason = link.liveness.lost() => {
                link.retire(reason);
                return;
            }
            changed = states.changed() => {
                state = changed;
                match state {
                    SessionState::SyncConnected => next = Instant::now(),
                    _ => link.liveness.suspect(),
                }
            }
            (sent_at, outcome) = answer(&mut under_way) => {
                under_way = None;
                match outcome {
                    Ok(()) => {
                        renewals.acknowledged(&link, sent_at);
                        next = Instant::now() + interval.saturating_sub(link.liveness.clock().now().saturating_since(sent_at));
                    }
                    // The client waits with the next one until it is connected again.
                    Err(_) => {
                        link.liveness.suspect();
                        next = Instant::now() + interval;
                    }
                }
            }
            () = tokio::time::sleep_until(next), if under_way.is_none() => {
                let Ok(client) = link.client() else { continue };
                under_way = Some(sync(client, link.liveness.clock().now()));
            }
        }
    }
}

type Sync = BoxFuture<'static, (Timestamp, Result<(), Error>)>;

fn sync(client: Arc<Client>, sent_at: Timestamp) -> Sync {
    async move {
        let outcome = client.sync("/").await;
        (sent_at, outcome)
    }
    .boxed()
}

async fn answer(under_way: &mut Option<Sync>) -> (Timestamp, Result<(), Error>) {
    match under_way {
        Some(sync) => sync.await,
        None => std::future::pending().await,
    }
}

struct Renewals {
    window: RenewalWindow,
    renewed_at: Timestamp,
    ttl: Duration,
}

impl Renewals {
    fn acknowledged(&mut self, link: &Link, sent_at: Timestamp) {
        if let Some(proven) = self.window.acknowledged(sent_at) {
            self.renewed_at = self.renewed_at.max(proven);
        }
        // Also where nothing newer is proven: the service answers, so the session is not suspect.
        link.liveness.renewed(self.renewed_at, self.ttl);
    }
}

/// Proves that the session of a client that was connected before is alive, and since when that counts.
///
/// It takes a tick and two round trips.
pub(crate) async fn prove(
    client: &Client,
    clock: &leasehold_core::Clock,
    tick: Duration,
) -> Result<Timestamp, Error> {
    let mut window = RenewalWindow::new(tick);
    loop {
        let sent_at = clock.now();
        client.sync("/").await?;
        match window.acknowledged(sent_at) {
            Some(proven) => return Ok(proven),
            None => tokio::time::sleep(tick.saturating_sub(clock.now().saturating_since(sent_at))).await,
        }
    }
}

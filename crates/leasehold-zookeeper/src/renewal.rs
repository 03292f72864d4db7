//! Keeping a session alive, and its liveness told.
//!
//! # Implementation
//!
//! One task a session. It follows the client's states and sends a `sync` at a time, and behind it a look whether another
//! process has resumed the session; every acknowledged one goes into the [`RenewalWindow`], whose answer is what the local
//! deadline counts from. *Disconnected* makes the session suspect at once, *connected* sends a `sync` at once.
//!
//! The task ends the session here when the client says that it is over, when another process has resumed it, of which a watch tells
//! as well, or when the local deadline passes: then nothing of it may be left at the service to hold a lock that nobody
//! believes in. It ends when the session does. The client sends pings of its own, which keep the connection but are
//! not believed (see the window).

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use leasehold_core::{BackendError, LossReason, Timestamp};
use tokio::time::Instant;
use zookeeper_client::{Client, Error, SessionState};

use crate::incarnation::Incarnation;
use crate::link::Link;
use crate::renewal_window::RenewalWindow;
use crate::waiting;
use crate::watches::{Fired, Seen, Subject};

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
    let told = superseded(&link);
    tokio::pin!(told);
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
            reason = &mut told => {
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
                    Ok(Some(reason)) => {
                        link.retire(reason);
                        return;
                    }
                    Ok(None) => {
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
                under_way = Some(sync(client, link.incarnation().cloned(), link.liveness.clock().now()));
            }
        }
    }
}

/// When it was sent, and why the session is over if it is.
type Renewal = (Timestamp, Result<Option<LossReason>, Error>);

type Sync = BoxFuture<'static, Renewal>;

fn sync(client: Arc<Client>, incarnation: Option<Incarnation>, sent_at: Timestamp) -> Sync {
    async move {
        let synced = client.sync("/");
        let outcome = match &incarnation {
            None => synced.await.map(|()| None),
            Some(incarnation) => {
                let looked = client.check_stat(incarnation.path());
                futures::try_join!(synced, looked).map(|((), stat)| incarnation.loss_by(stat))
            }
        };
        (sent_at, outcome)
    }
    .boxed()
}

/// Resolves when the session's node tells that the session is another process's, or over. Without a watch the renewals find out.
async fn superseded(link: &Link) -> LossReason {
    let Some(incarnation) = link.incarnation() else { return std::future::pending().await };
    let told = async {
        let watch = waiting::arm(link, Subject::Data, incarnation.path()).await?;
        match watch.seen {
            Seen::Node { version, .. } if version == incarnation.version() => {}
            Seen::Node { .. } => return Ok(LossReason::Superseded),
            Seen::Absent | Seen::Children(_) => return Ok(LossReason::SessionEnded),
        }
        // No second look: nobody changes the node but to resume the session, and by then the connection is about to be lost.
        Ok(match waiting::fired(link, watch).await? {
            Fired::Changed => LossReason::Superseded,
            Fired::Deleted | Fired::Vanished | Fired::SessionOver => LossReason::SessionEnded,
        })
    };
    let told: Result<_, BackendError> = told.await;
    match told {
        Ok(reason) => reason,
        Err(_) => std::future::pending().await,
    }
}

async fn answer(under_way: &mut Option<Sync>) -> Renewal {
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

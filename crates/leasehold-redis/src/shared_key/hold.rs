//! How a key is kept, and given up.
//!
//! # Implementation
//!
//! The task of a hold renews the key until the guard gives it up or it is lost. The guard ends the liveness and then
//! says whom to tell, or closes the channel, in the same breath; so an end as `Released` is followed by one of the two,
//! whichever the task hears first.
//!
//! A key that was lost by the deadline may still be there, and a renewal may be on its way that prolongs it, held by
//! nobody; so it is undone.

use std::pin::pin;
use std::sync::Arc;

use leasehold_core::{Liveness, LivenessCell, LossReason};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::claim::{Claim, Removal};
use super::guard::SharedKeyGuard;
use super::lock::SharedKeyLock;
use crate::renewal;

pub(super) struct Hold {
    claim: Claim,
    lock: SharedKeyLock,
    liveness: FailClosed,
    released: oneshot::Receiver<oneshot::Sender<Removal>>,
}

/// Ends the hold when the task is gone.
struct FailClosed(Arc<LivenessCell>);

impl Drop for FailClosed {
    fn drop(&mut self) {
        self.0.end(LossReason::DriverGone);
    }
}

/// Begins the hold of a key that was got.
pub(super) fn begin(
    claim: Claim,
    liveness: Arc<LivenessCell>,
    lock: SharedKeyLock,
) -> (SharedKeyGuard, Hold) {
    let (release, released) = oneshot::channel();
    let guard = SharedKeyGuard::new(lock.key.clone(), liveness.clone(), release);
    (guard, Hold { claim, lock, liveness: FailClosed(liveness), released })
}

impl Hold {
    /// Keeps the key until it is given up or lost.
    pub(super) async fn keep(mut self) {
        let (liveness, by_schedule) = (&*self.liveness.0, Notify::new());
        tokio::select! {
            _ = liveness.lost() => {}
            () = renewal::keep(&self.claim, liveness, self.claim.ttl(), &by_schedule) => {}
        }
        match liveness.current() {
            Liveness::Lost(LossReason::Released) => {
                let reply = (&mut self.released).await.ok();
                self.remove(reply).await;
            }
            Liveness::Lost(LossReason::EntryRemoved) => {}
            _ => self.claim.undo().await,
        }
    }

    /// Removes the key, and answers when that is done or has taken too long.
    async fn remove(&self, reply: Option<oneshot::Sender<Removal>>) {
        let mut removal = pin!(self.claim.remove());
        let in_time = timeout(self.lock.keys.link.request_timeout(), &mut removal).await;
        let done = in_time.is_ok();
        if let Some(reply) = reply {
            // Whoever asked may be gone.
            let _ = reply.send(in_time.unwrap_or(Removal::Unknown));
        }
        if !done {
            removal.await;
        }
        self.lock.local.freed.notify_one();
    }
}

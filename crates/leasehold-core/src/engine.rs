//! What the tasks of one coordinator share.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backend::{LockBackend, OpenSession};
use crate::backend_error::BackendError;
use crate::driver::Driver;
use crate::entropy::Entropy;
use crate::errand::Errand;
use crate::holder::HolderInfo;
use crate::observe::Alerts;
use crate::session_keeper::{LiveSession, Slot};
use crate::status::{State, Status};

/// What the tasks of one coordinator share. It holds no handle of the coordinator, so that it does not keep it alive.
pub(crate) struct Engine {
    pub(crate) backend: Arc<dyn LockBackend>,
    pub(crate) backend_name: &'static str,
    pub(crate) options: OpenSession,
    pub(crate) holder: HolderInfo,
    pub(crate) epoch: u32,
    pub(crate) request_timeout: Duration,
    pub(crate) driver: Driver,
    pub(crate) entropy: Entropy,
    pub(crate) alerts: Option<Alerts>,
    pub(crate) slot: watch::Receiver<Slot>,
    pub(crate) status: watch::Sender<Status>,
    /// Every acquisition from its enqueue to the confirmed end of its entry, and every request beside them.
    pub(crate) acquisitions: TaskTracker,
    /// Nothing new is accepted, and holders are asked to stop.
    pub(crate) draining: CancellationToken,
    /// What is still there is given up without a withdrawal.
    pub(crate) abandon: CancellationToken,
}

/// Why there is no session to be had.
pub(crate) enum NoSession {
    /// Opening one failed for a reason that waiting does not cure.
    Refused(Arc<BackendError>),
    /// The keeper is gone.
    Closed,
}

impl Engine {
    /// Starts a task that a shutdown waits for.
    pub(crate) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.driver.spawn(self.acquisitions.track_future(task))
    }

    /// Begins a task that a shutdown waits for, for somebody who attends to it.
    pub(crate) fn begin(&self, task: impl Future<Output = ()> + Send + 'static) -> Arc<Errand> {
        Errand::begin(&self.driver, self.acquisitions.track_future(task))
    }

    /// The session, once there is one that lives.
    pub(crate) async fn live_session(&self) -> Result<Arc<LiveSession>, NoSession> {
        let mut slots = self.slot.clone();
        loop {
            {
                let slot = slots.borrow_and_update();
                match (&slot.live, &slot.error) {
                    (Some(live), _) if live.liveness().is_alive() => return Ok(live.clone()),
                    (None, Some(error)) if !error.is_transient() => {
                        return Err(NoSession::Refused(error.clone()));
                    }
                    _ => {}
                }
            }
            slots.changed().await.map_err(|_| NoSession::Closed)?;
        }
    }

    /// Why there is no session at the moment, where that is known.
    pub(crate) fn connection_error(&self) -> Option<Arc<BackendError>> {
        self.slot.borrow().error.clone()
    }

    pub(crate) fn set_state(&self, state: State) {
        self.status.send_if_modified(|status| std::mem::replace(&mut status.state, state) != state);
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("backend", &self.backend)
            .field("namespace", &self.options.namespace)
            .finish_non_exhaustive()
    }
}

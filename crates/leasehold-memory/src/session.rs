//! A session of the memory service.
//!
//! # Implementation
//!
//! One task a session (the *driver*), spawned when it is opened. It does four things at once and ends with the first that ends:
//!
//! - it renews the session each third of the TTL, and at once after the link was broken or healed;
//! - it waits for the service's word that the session is over, or that another process resumed it;
//! - it awaits [`LivenessCell::lost`], which enforces the local deadline;
//! - it lends the service a timer: it sleeps until the next expiry of *any* session and has the service look. So expiry
//!   needs no task of the session that expires, whose process may hang or be gone: whoever waits for it has a session, and
//!   with it a timer.
//!
//! When it ends, `over` is cancelled, which ends the waits of the session's queues. Dropping the session cancels `over` and
//! aborts the task, so it is not renewed any more and expires. Queue handles that outlive it do not
//! keep it alive.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_core::{
    BackendError, BackendErrorKind, Credentials, Gate, KeyPath, Kind, LivenessCell, LossReason, Namespace,
    Queue, RegisterWrite, RegisterWritten, Session, Versioned,
};
use tokio::task::AbortHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::change::Removal;
use crate::client::{Client, Site};
use crate::fault::Operation;
use crate::link::LinkState;
use crate::queue::MemoryQueue;
use crate::service::Service;
use crate::state::{Over, SessionRef, Topic};

/// Timers stop while the machine is suspended and the clock does not, so no sleep is longer.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// How often a close is repeated whose reply was lost.
const CLOSE_TRIES: usize = 3;

pub(crate) struct MemorySession {
    client: Client,
    session: SessionRef,
    ttl: Duration,
    namespace: Namespace,
    credentials: Credentials,
    liveness: Arc<LivenessCell>,
    over: CancellationToken,
    driver: AbortHandle,
}

/// What the service granted.
pub(crate) struct Granted {
    pub(crate) session: SessionRef,
    pub(crate) ttl: Duration,
    pub(crate) secret: [u8; 16],
    pub(crate) heard: Over,
}

impl MemorySession {
    /// Starts the driver, behind the gate if there is one.
    pub(crate) fn start(driver: Driver, namespace: Namespace, granted: Granted, gate: Option<Gate>) -> Self {
        let Granted { session, ttl, secret, heard } = granted;
        let over = CancellationToken::new();
        let (client, liveness) = (driver.client.clone(), Arc::clone(&driver.liveness));
        let run = driver.run(heard, over.clone());
        let task = match gate {
            Some(gate) => tokio::spawn(gate.pass(run)),
            None => tokio::spawn(run),
        };
        let credentials = credentials(session.id, &secret);
        let driver = task.abort_handle();
        Self { client, session, ttl, namespace, credentials, liveness, over, driver }
    }
}

impl Drop for MemorySession {
    fn drop(&mut self) {
        self.driver.abort();
        self.over.cancel();
    }
}

/// What the credentials of a memory service begin with.
const CREDENTIALS: &[u8] = b"memory:";

fn credentials(id: u64, secret: &[u8; 16]) -> Credentials {
    Credentials::from_bytes([CREDENTIALS, &id.to_be_bytes(), secret].concat())
}

/// Session and secret of credentials, if they are of this form.
pub(crate) fn parse_credentials(credentials: &Credentials) -> Option<(u64, [u8; 16])> {
    let (id, secret) = credentials.as_bytes().strip_prefix(CREDENTIALS)?.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*id), secret.try_into().ok()?))
}

#[async_trait]
impl Session for MemorySession {
    fn id(&self) -> String {
        self.session.id.to_string()
    }

    fn ttl(&self) -> Duration {
        self.ttl
    }

    fn liveness(&self) -> &Arc<LivenessCell> {
        &self.liveness
    }

    fn credentials(&self) -> Option<Credentials> {
        Some(self.credentials.clone())
    }

    fn queue(&self, path: &KeyPath) -> Arc<dyn Queue> {
        Arc::new(MemoryQueue::new(self.client.clone(), self.session, path.clone(), self.over.clone()))
    }

    async fn queues(&self, kind: Kind) -> Result<Vec<KeyPath>, BackendError> {
        let (session, prefix) = (self.session, KeyPath::prefix(&self.namespace, kind));
        self.client
            .call(Site::new(Operation::Queues), move |state, _| {
                state.session(session)?;
                let below = |path: &&Arc<KeyPath>| {
                    // What has more segments belongs to a namespace below this one.
                    path.as_str().strip_prefix(&prefix).is_some_and(|name| !name.contains('/'))
                };
                Ok(state.queues.keys().filter(below).map(|path| KeyPath::clone(path)).collect())
            })
            .await
    }

    async fn read(&self, register: &KeyPath) -> Result<Option<Versioned>, BackendError> {
        let (session, path) = (self.session, register.clone());
        self.client
            .call(Site::at(Operation::Read, register, None), move |state, _| {
                state.session(session)?;
                Ok(state.registers.get(&path).cloned())
            })
            .await
    }

    async fn write(&self, register: &KeyPath, write: RegisterWrite) -> Result<RegisterWritten, BackendError> {
        let (session, path) = (self.session, Arc::new(register.clone()));
        let attempt = write.if_held.as_ref().map(|(_, attempt)| *attempt);
        self.client
            .call(Site::at(Operation::Write, register, attempt), move |state, _| {
                state.write(session, &path, write)
            })
            .await
    }

    async fn register_changed(&self, register: &KeyPath, seen: u64) -> Result<(), BackendError> {
        let topic = Topic::Register(Arc::new(register.clone()));
        let site = Site::at(Operation::RegisterChanged, register, None);
        self.client
            .until_changed(site, topic, &self.over, |state| state.register_version(register) != seen)
            .await
    }

    async fn close(&self) {
        // First here, then there: nobody may believe in what the service is about to give away.
        self.liveness.end(LossReason::ShutDown);
        self.driver.abort();
        self.over.cancel();
        let session = self.session;
        for _ in 0..CLOSE_TRIES {
            let closed = self
                .client
                .call(Site::new(Operation::CloseSession), move |state, _| {
                    state.session(session)?;
                    state.end_session(session.id, Removal::SessionEnded);
                    Ok(())
                })
                .await;
            match closed {
                Err(error) if error.kind() == BackendErrorKind::Indeterminate => {}
                _ => return,
            }
        }
    }
}

/// Keeps a session.
pub(crate) struct Driver {
    pub(crate) client: Client,
    pub(crate) session: SessionRef,
    pub(crate) ttl: Duration,
    /// The connection that the session was opened over; it may have broken before the task first runs.
    pub(crate) connection: LinkState,
    pub(crate) liveness: Arc<LivenessCell>,
}

impl Driver {
    async fn run(self, mut heard: Over, over: CancellationToken) {
        let _over = over.drop_guard();
        let told = async {
            // The sender is the service's, which drops none without a word.
            let reason = heard.wait_for(Option::is_some).await.ok().and_then(|reason| *reason);
            self.client.until_reached().await;
            reason.unwrap_or(LossReason::SessionEnded)
        };
        tokio::select! {
            biased;
            _ = self.liveness.lost() => {}
            reason = told => self.liveness.end(reason),
            () = self.renew() => {}
            () = tell_the_time(&self.client.service) => {}
        }
    }

    async fn renew(&self) {
        let (pace, retry) = (self.ttl / 3, self.ttl / 12);
        let client = Client { patience: self.client.patience.min(pace), ..self.client.clone() };
        let mut connection = self.connection;
        let mut pause = pace;
        loop {
            tokio::select! {
                () = sleep(pause) => {}
                () = client.link.broken(connection) => self.liveness.suspect(),
            }
            client.link.until(|link| !link.is_cut()).await;
            connection = client.link.state();
            let sent_at = self.liveness.clock().now();
            let session = self.session;
            let renewed =
                client.call(Site::new(Operation::Renew), move |state, now| state.renew(now, session)).await;
            pause = match renewed {
                Ok(()) if self.liveness.renewed(sent_at, self.ttl) => pace,
                Ok(()) => return,
                // The client has noticed it.
                Err(error) if error.kind() == BackendErrorKind::SessionLost => return,
                Err(_) => {
                    self.liveness.suspect();
                    retry
                }
            };
        }
    }
}

/// Has the service look at each expiry.
async fn tell_the_time(service: &Service) {
    loop {
        let moved = service.expiry_moved.notified();
        tokio::pin!(moved);
        // From here on nothing is missed.
        moved.as_mut().enable();
        let next = service.transact(|state, now| state.next_expiry().map(|next| next.saturating_since(now)));
        tokio::select! {
            () = sleep(next.unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP)) => {}
            () = moved => {}
        }
    }
}

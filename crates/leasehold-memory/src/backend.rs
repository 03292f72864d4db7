//! The backend: a connection to a memory service.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_core::{
    BackendError, BackendErrorKind, Capabilities, Clock, Credentials, Gate, LivenessCell, LockBackend,
    OpenSession, Session,
};

use crate::client::{Client, Site};
use crate::error::{session_lost, unavailable};
use crate::fault::Operation;
use crate::link::Link;
use crate::service::Service;
use crate::session::{Driver, Granted, MemorySession, parse_credentials};
use crate::state::State;

/// The smallest TTL that the service grants; of a smaller one the local deadline's margin would leave too little.
pub(crate) const MIN_TTL: Duration = Duration::from_millis(100);

/// The largest value of an entry or a register.
pub(crate) const MAX_VALUE_BYTES: usize = 1024 * 1024;

/// A connection to a [`MemoryService`](crate::MemoryService).
///
/// A test can break it; clones and their sessions share one connection and break together. Make another with
/// [`MemoryService::backend`](crate::MemoryService::backend) for a coordinator that shall not be concerned.
#[derive(Clone)]
pub struct MemoryBackend {
    service: Arc<Service>,
    link: Arc<Link>,
    gate: Option<Gate>,
}

impl MemoryBackend {
    pub(crate) fn new(service: Arc<Service>) -> Self {
        let link = service.new_link();
        Self { service, link, gate: None }
    }

    /// The same connection, whose sessions renew themselves and count their deadlines behind that gate: shut together with
    /// [the coordinator's](leasehold_core::CoordinatorBuilder::gate) it makes a process that is stopped. What is on its way to the service arrives.
    pub fn behind(self, gate: Gate) -> Self {
        Self { gate: Some(gate), ..self }
    }

    /// Breaks the connection and refuses new ones. Requests under way are indeterminate, new ones
    /// [`Unavailable`](BackendErrorKind::Unavailable), sessions suspect at once; waits go on until it is healed.
    pub fn cut(&self) {
        self.link.cut();
    }

    /// From now on requests arrive and replies are lost, those of renewals included, until it is healed: every request ends
    /// as [`Indeterminate`](BackendErrorKind::Indeterminate) after the request time-out.
    pub fn cut_replies(&self) {
        self.link.lose_replies();
    }

    /// Repairs the connection. Sessions renew themselves at once, if they still live.
    pub fn heal(&self) {
        self.link.heal();
    }

    async fn grant(&self, options: &OpenSession) -> Result<Granted, BackendError> {
        let mut fresh = [0; 16];
        getrandom::fill(&mut fresh).map_err(|error| {
            let message = "the operating system has no randomness to give";
            BackendError::new(BackendErrorKind::Unavailable, message).with_source(error)
        })?;
        let (ttl, resume) = (options.ttl.max(MIN_TTL), options.resume.clone());
        let client = Client {
            service: Arc::clone(&self.service),
            link: Arc::clone(&self.link),
            session: None,
            patience: options.connect_timeout,
        };
        let site = || Site::new(Operation::OpenSession);
        let Some(credentials) = resume else {
            return client
                .call(site(), move |state, now| {
                    let (session, heard) = state.open_session(now, ttl, fresh);
                    Ok(Granted { session, ttl, secret: fresh, heard })
                })
                .await;
        };
        let (id, secret) = read_credentials(&credentials)?;
        loop {
            // In two steps, as with a service at a distance: a takeover that arrives late must not undo a later one.
            let look = move |state: &mut State, _| {
                let known = state.sessions.get(&id).ok_or_else(session_lost)?.secret;
                if known != secret {
                    let message = "these are not the credentials of the session";
                    return Err(BackendError::new(BackendErrorKind::Unauthenticated, message));
                }
                state.incarnation(id)
            };
            let seen = client.call(site(), look).await?;
            let taken = client.call(site(), move |state, now| state.take_over(now, seen)).await?;
            if let Some((session, ttl, heard)) = taken {
                return Ok(Granted { session, ttl, secret, heard });
            }
        }
    }
}

fn read_credentials(credentials: &Credentials) -> Result<(u64, [u8; 16]), BackendError> {
    parse_credentials(credentials).ok_or_else(|| {
        BackendError::new(BackendErrorKind::InvalidConfig, "these are no credentials of a memory service")
    })
}

impl fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBackend").field("endpoint", &self.endpoint()).finish_non_exhaustive()
    }
}

#[async_trait]
impl LockBackend for MemoryBackend {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn endpoint(&self) -> String {
        format!("memory://{}", self.service.name)
    }

    /// Everything, but for durable tokens: the service ends with the process, and its order with it.
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::full(MIN_TTL, MAX_VALUE_BYTES);
        capabilities.durable_tokens = false;
        capabilities
    }

    fn clock(&self) -> Clock {
        self.service.clock.clone()
    }

    async fn open_session(&self, options: OpenSession) -> Result<Arc<dyn Session>, BackendError> {
        let (connection, sent_at) = (self.link.state(), options.clock.now());
        let granted = self.grant(&options).await.map_err(|error| {
            // A session that was opened without our knowing has nothing, and expires.
            if error.is_transient() { unavailable(Operation::OpenSession) } else { error }
        })?;
        self.service.expiry_moved.notify_waiters();
        let liveness = Arc::new(LivenessCell::new(options.clock, sent_at, granted.ttl));
        let client = Client {
            service: Arc::clone(&self.service),
            link: Arc::clone(&self.link),
            session: Some((granted.session, Arc::clone(&liveness))),
            patience: options.request_timeout,
        };
        let driver = Driver { client, session: granted.session, ttl: granted.ttl, connection, liveness };
        Ok(Arc::new(MemorySession::start(driver, options.namespace, granted, self.gate.clone())))
    }
}

//! The way to etcd.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use etcd_client::Client;
use leasehold_core::{
    BackendError, BackendErrorKind, Capabilities, Kind, LockBackend, OpenSession, ServerReport, Session,
    WireProfile,
};
use tokio::time::timeout;

use crate::config::EtcdConfig;
use crate::examination;
use crate::incarnation::Incarnation;
use crate::keys::MAX_VALUE_BYTES;
use crate::lease::Lease;
use crate::link::{Link, Origin};
use crate::session::{Core, EtcdSession};

/// What etcd grants at least where its election time-out is the default of 1 s. It grants more than was asked for, rather
/// than refuse.
const MIN_TTL: Duration = Duration::from_secs(2);

/// How long it may take to see why no connection could be secured.
const LONGEST_LOOK: Duration = Duration::from_secs(2);

/// A way to etcd. Cheap to clone.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use leasehold_core::Coordinator;
/// use leasehold_etcd::{EtcdBackend, EtcdConfig};
///
/// let backend = EtcdBackend::new(EtcdConfig::new(["127.0.0.1:2379"]))?;
/// let coordinator = Coordinator::builder(backend).connect().await?;
/// let guard = coordinator.mutex("cache/users").lock().await?;
/// # guard.release().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct EtcdBackend {
    origin: Origin,
}

impl EtcdBackend {
    /// From a configuration. Every session makes a connection of its own to each endpoint.
    ///
    /// # Errors
    /// [`InvalidConfig`](BackendErrorKind::InvalidConfig) if there is no endpoint, one is none by its form, or the certificates or the key for
    /// TLS cannot be used. Nothing is sent.
    pub fn new(config: EtcdConfig) -> Result<Self, BackendError> {
        Ok(Self { origin: Origin::new(config)? })
    }

    /// From a client that the application has. All sessions use its connections, and these live on the runtime they were made
    /// on: if the application blocks it for a TTL, the locks are lost. The client should be made with `with_require_leader`,
    /// `with_keep_alive` and, if it has a user, `with_auto_token_refresh`.
    pub fn from_client(client: Client) -> Self {
        Self { origin: Origin::Given(Box::new(client)) }
    }
}

impl fmt::Debug for EtcdBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("EtcdBackend");
        match &self.origin {
            Origin::Config(settings) => shown.field("config", &settings.config),
            Origin::Given(_) => shown.field("client", &format_args!("of the application")),
        };
        shown.finish()
    }
}

#[async_trait]
impl LockBackend for EtcdBackend {
    fn name(&self) -> &'static str {
        "etcd"
    }

    fn endpoint(&self) -> String {
        self.origin.endpoint()
    }

    fn capabilities(&self) -> Capabilities {
        let mut promised = Capabilities::full(MIN_TTL, MAX_VALUE_BYTES);
        promised.wire = &[(WireProfile::EtcdV3, Kind::Lock), (WireProfile::EtcdV3, Kind::Election)];
        promised
    }

    async fn examine(&self, limit: Duration) -> Result<Vec<ServerReport>, BackendError> {
        Ok(examination::examine(&self.origin, limit).await)
    }

    async fn open_session(&self, options: OpenSession) -> Result<Arc<dyn Session>, BackendError> {
        let limit = options.connect_timeout;
        let (namespace, clock) = (&options.namespace, &options.clock);
        let opened = timeout(limit, async {
            let link = Link::open(self.origin.clone(), limit, options.request_timeout).await?;
            let link = Arc::new(link);
            let Some(credentials) = options.resume else {
                let (lease, liveness) = Lease::grant(&link, options.ttl, limit, clock).await?;
                let incarnation = match Incarnation::begin(&link, namespace, lease.id, limit).await {
                    Ok(begun) => begun,
                    Err(refused) => {
                        // Nothing is tied to it. Whoever does not get to this leaves a lease that ends by itself.
                        lease.revoke(&link).await;
                        return Err(refused);
                    }
                };
                return Ok((Core { link, lease, liveness, incarnation, namespace: namespace.clone() }, None));
            };
            let (incarnation, id) = Incarnation::take_over(&link, namespace, credentials, limit).await?;
            // Only now: what was sent before does not count.
            let (lease, liveness, stream) = Lease::adopt(&link, id, limit, clock).await?;
            Ok((Core { link, lease, liveness, incarnation, namespace: namespace.clone() }, Some(stream)))
        });
        let opened = opened.await.unwrap_or_else(|_| {
            let message = format!("etcd at {} did not answer within {limit:?}", self.origin.endpoint());
            Err(BackendError::new(BackendErrorKind::Unavailable, message))
        });
        match opened {
            Ok((core, stream)) => Ok(Arc::new(EtcdSession::start(core, stream))),
            Err(error) => {
                Err(self.origin.explain("opening of a session", error, LONGEST_LOOK.min(limit)).await)
            }
        }
    }
}

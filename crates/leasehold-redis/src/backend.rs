//! The way to Redis.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use leasehold_core::{
    BackendError, BackendErrorKind, Capabilities, LivenessCell, LockBackend, Namespace, OpenSession,
    ServerReport, Session,
};
use tokio::time::timeout;

use crate::config::RedisConfig;
use crate::departed::Departed;
use crate::dial::Dialer;
use crate::error::Effect;
use crate::examination;
use crate::identity::Identity;
use crate::keys::{Keyspace, MAX_VALUE_BYTES};
use crate::link::{Call, Link};
use crate::report::RedisReport;
use crate::scripts;
use crate::session::{Core, RedisSession, opened};
use crate::topology::Topology;

/// Of a smaller one, the local deadline's margin and a round trip would leave too little.
pub(crate) const MIN_TTL: Duration = Duration::from_millis(100);

/// Beyond it (a year), sums of times would not be exact in the scripts.
pub(crate) const MAX_TTL: Duration = Duration::from_secs(366 * 24 * 3600);

/// A way to Redis: to one server, to the primary that sentinels watch, or to a cluster. Cheap to clone.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use leasehold_core::Coordinator;
/// use leasehold_redis::{RedisBackend, RedisConfig};
///
/// let backend = RedisBackend::new(RedisConfig::new("127.0.0.1:6379"))?;
/// let coordinator = Coordinator::builder(backend).connect().await?;
/// let guard = coordinator.mutex("cache/users").lock().await?;
/// # guard.release().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RedisBackend {
    dialer: Dialer,
}

impl RedisBackend {
    /// From a configuration. Every session makes a connection of its own, and a second one while somebody waits in it.
    ///
    /// # Errors
    /// [`InvalidConfig`](BackendErrorKind::InvalidConfig) if an endpoint is none by its form, or there is none. Nothing is sent.
    pub fn new(config: RedisConfig) -> Result<Self, BackendError> {
        Ok(Self { dialer: Dialer::new(config)? })
    }

    /// Asks the servers for what decides about safety, within `limit`: the primary, in a cluster all of them. A session
    /// is refused where a server says that a lock would be given away; what else it says (whether a crash loses
    /// something, whether there are replicas) is the application's to judge.
    ///
    /// # Errors
    /// `Unavailable`, `Unauthenticated`; `PermissionDenied` if `INFO` is not allowed to us; `InvalidConfig` if the
    /// sentinels or nodes are none, or know no such primary.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connections.
    pub async fn inspect(&self, limit: Duration) -> Result<Vec<RedisReport>, BackendError> {
        let asking = async {
            let topology = Topology::of(self.dialer.config(), &Namespace::default());
            let primaries = topology.primaries(&self.dialer, "look at the servers", limit / 2).await?;
            let reports = primaries.into_iter().map(async |endpoint| {
                let (dialer, namespace) = (self.dialer.only(endpoint), Namespace::default());
                Link::new(dialer, &namespace, limit, limit).report().await
            });
            futures::future::try_join_all(reports).await
        };
        timeout(limit, asking).await.unwrap_or_else(|_| Err(self.silent(limit)))
    }
}

impl fmt::Debug for RedisBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBackend").field("config", self.dialer.config()).finish()
    }
}

#[async_trait]
impl LockBackend for RedisBackend {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn endpoint(&self) -> String {
        self.dialer.config().endpoint()
    }

    /// The tokens are not durable: a failover may lose the newest, and only clocks keep them rising then. The
    /// deadline is not safe: Redis expires by a clock that may be set.
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::full(MIN_TTL, MAX_VALUE_BYTES);
        capabilities.durable_tokens = false;
        capabilities.safe_deadline = false;
        capabilities
    }

    async fn examine(&self, limit: Duration) -> Result<Vec<ServerReport>, BackendError> {
        let asked = SystemTime::now();
        let reports = self.inspect(limit).await?;
        let answered = SystemTime::now();
        Ok(reports.iter().map(|report| examination::explain(report, asked, answered)).collect())
    }

    async fn open_session(&self, options: OpenSession) -> Result<Arc<dyn Session>, BackendError> {
        if !(MIN_TTL..=MAX_TTL).contains(&options.ttl) {
            let message = format!("a TTL of {:?} is not between {MIN_TTL:?} and a year", options.ttl);
            return Err(BackendError::new(BackendErrorKind::InvalidConfig, message));
        }
        let limit = options.connect_timeout;
        let opening = async {
            let link = Link::new(self.dialer.clone(), &options.namespace, limit, options.request_timeout);
            link.check().await?;
            self.open(link, &options).await
        };
        let core = timeout(limit, opening).await.unwrap_or_else(|_| Err(self.silent(limit)))?;
        Ok(Arc::new(RedisSession::start(core, options.namespace)))
    }
}

impl RedisBackend {
    fn silent(&self, limit: Duration) -> BackendError {
        let message = format!("Redis at {} did not answer within {limit:?}", self.endpoint());
        BackendError::new(BackendErrorKind::Unavailable, message)
    }

    async fn open(&self, link: Link, options: &OpenSession) -> Result<Core, BackendError> {
        let identity = match &options.resume {
            Some(credentials) => Identity::of(credentials)?,
            None => Identity::fresh()?,
        };
        // The scripts count in milliseconds; what is less is not believed either.
        let ttl = Duration::from_millis(u64::try_from(options.ttl.as_millis()).unwrap_or(u64::MAX));
        let keyspace = Keyspace::new(&options.namespace, &identity.id);
        let millis = ttl.as_millis().to_string();
        let (id, text, secret) =
            (identity.id.as_bytes(), identity.text.as_bytes(), identity.secret.as_bytes());
        let (what, script, args): (_, &redis::Script, Vec<&[u8]>) = match options.resume {
            Some(_) => {
                ("resumption of a session", &scripts::RESUME, vec![id, text, millis.as_bytes(), secret])
            }
            None => ("opening of a session", &scripts::OPEN, vec![id, text, millis.as_bytes()]),
        };
        // A session that is opened without our knowing has nothing, and expires.
        let (keys, effect) = (keyspace.all(), Effect::Read);
        let sent_at = options.clock.now();
        let call = Call { what, effect, script, keys: &keys, args: &args };
        opened(&link.run_within(options.connect_timeout, &call).await?)?;
        let liveness = Arc::new(LivenessCell::new(options.clock.clone(), sent_at, ttl));
        let departed = Departed::default();
        Ok(Core { link: Arc::new(link), keyspace, identity, ttl, liveness, departed })
    }
}

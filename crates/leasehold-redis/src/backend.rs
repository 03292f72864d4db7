//! The way to Redis.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_core::{
    BackendError, BackendErrorKind, Capabilities, LivenessCell, LockBackend, OpenSession, Session,
};
use tokio::time::timeout;

use crate::config::RedisConfig;
use crate::error::Effect;
use crate::identity::Identity;
use crate::keys::{Keyspace, MAX_VALUE_BYTES};
use crate::link::{Call, Link};
use crate::report::RedisReport;
use crate::scripts;
use crate::session::{Core, RedisSession, opened};

/// Of a smaller one, the local deadline's margin and a round trip would leave too little.
pub(crate) const MIN_TTL: Duration = Duration::from_millis(100);

/// Beyond it (a year), sums of times would not be exact in the scripts.
pub(crate) const MAX_TTL: Duration = Duration::from_secs(366 * 24 * 3600);

/// A way to one Redis server. Cheap to clone.
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
    config: RedisConfig,
}

impl RedisBackend {
    /// From a configuration. Every session makes a connection of its own, and a second one while somebody waits in it.
    ///
    /// # Errors
    /// [`InvalidConfig`](BackendErrorKind::InvalidConfig) if the endpoint is none by its form. Nothing is sent.
    pub fn new(config: RedisConfig) -> Result<Self, BackendError> {
        config.validate()?;
        Ok(Self { config })
    }

    /// Asks the server for what decides about safety, within `limit`. A session is refused where it says that a lock
    /// would be given away; what else it says (whether a crash loses something, whether there are replicas) is the
    /// application's to judge.
    ///
    /// # Errors
    /// `Unavailable`, `Unauthenticated`; `PermissionDenied` if `INFO` is not allowed to us.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub async fn inspect(&self, limit: Duration) -> Result<RedisReport, BackendError> {
        let link = Link::new(self.config.clone(), limit, limit);
        timeout(limit, link.report()).await.unwrap_or_else(|_| Err(self.silent(limit)))
    }
}

impl fmt::Debug for RedisBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBackend").field("config", &self.config).finish()
    }
}

#[async_trait]
impl LockBackend for RedisBackend {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn endpoint(&self) -> String {
        self.config.endpoint().to_owned()
    }

    /// The tokens are not durable: a failover may lose the newest, and only clocks keep them rising then. The
    /// deadline is not safe: Redis expires by a clock that may be set.
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::full(MIN_TTL, MAX_VALUE_BYTES);
        capabilities.durable_tokens = false;
        capabilities.safe_deadline = false;
        capabilities
    }

    async fn open_session(&self, options: OpenSession) -> Result<Arc<dyn Session>, BackendError> {
        if !(MIN_TTL..=MAX_TTL).contains(&options.ttl) {
            let message = format!("a TTL of {:?} is not between {MIN_TTL:?} and a year", options.ttl);
            return Err(BackendError::new(BackendErrorKind::InvalidConfig, message));
        }
        let limit = options.connect_timeout;
        let opening = async {
            let link = Link::new(self.config.clone(), limit, options.request_timeout);
            link.report().await?.check(self.config.endpoint(), self.config.accepts_eviction())?;
            self.open(link, &options).await
        };
        let core = timeout(limit, opening).await.unwrap_or_else(|_| Err(self.silent(limit)))?;
        Ok(Arc::new(RedisSession::start(core, options.namespace)))
    }
}

impl RedisBackend {
    fn silent(&self, limit: Duration) -> BackendError {
        let message = format!("Redis at {} did not answer within {limit:?}", self.config.endpoint());
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
        Ok(Core { link: Arc::new(link), keyspace, identity, ttl, liveness })
    }
}

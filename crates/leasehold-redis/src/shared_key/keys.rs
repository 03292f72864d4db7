//! The connection for locks that are single keys.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{
    BackendError, BackendErrorKind, Error, ErrorKind, LossReason, Namespace, driver_runtime,
};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::lock::SharedKeyLock;
use crate::config::{RedisConfig, Servers};
use crate::dial::Dialer;
use crate::link::Link;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to one Redis, for locks that are single keys and shared with redis-py. Cheap to clone: all clones and
/// all locks share the connection.
///
/// Beside keys that Python programs use too, use a [`Coordinator`](leasehold_core::Coordinator): its locks are fair,
/// wait without polling, and have fencing tokens.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use leasehold_redis::{RedisConfig, SharedKeys};
///
/// let keys = SharedKeys::builder(RedisConfig::new("127.0.0.1:6379")).connect().await?;
/// // In Python: redis.Redis().lock("report", timeout=10)
/// let guard = keys.lock("report").ttl(Duration::from_secs(10)).lock().await?;
/// guard.while_held(async { /* dropped if the lock is lost */ }).await?;
/// guard.release().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SharedKeys {
    pub(super) link: Arc<Link>,
    pub(super) driver: Handle,
}

impl SharedKeys {
    /// Configures a connection.
    pub fn builder(config: RedisConfig) -> SharedKeysBuilder {
        SharedKeysBuilder {
            config,
            database: 0,
            connect_timeout: DEFAULT_TIMEOUT,
            request_timeout: DEFAULT_TIMEOUT,
        }
    }

    /// The lock that is the key of this name, verbatim. It touches no server.
    pub fn lock(&self, key: impl Into<String>) -> SharedKeyLock {
        SharedKeyLock::new(self.clone(), key.into())
    }
}

impl fmt::Debug for SharedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedKeys").field("endpoint", &self.link.endpoint()).finish_non_exhaustive()
    }
}

/// Configures [`SharedKeys`].
///
/// A [user](RedisConfig::user) of access control lists needs `+@read +@write +@scripting +@connection +info` and the
/// keys of the locks.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it connects"]
pub struct SharedKeysBuilder {
    config: RedisConfig,
    database: u32,
    connect_timeout: Duration,
    request_timeout: Duration,
}

impl SharedKeysBuilder {
    /// The number of the database that the keys are in, redis-py's `db`; 0 if not set.
    pub fn database(mut self, number: u32) -> Self {
        self.database = number;
        self
    }

    /// How long connecting may take; 5 s if not set.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long one request to the server may take; 5 s if not set.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Connects, and looks whether the server is one that keeps keys: the same is refused as for a
    /// [session](crate::RedisBackend).
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] within the connect time-out if the server does not answer;
    /// [`ErrorKind::Unauthenticated`], [`ErrorKind::PermissionDenied`], [`ErrorKind::Unsupported`];
    /// [`ErrorKind::InvalidConfig`] if it may evict the keys, has no such database, or is a cluster.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection within the connect time-out.
    pub async fn connect(self) -> Result<SharedKeys, Error> {
        let failed =
            |error| Error::from_backend("connect", Arc::new(error)).with_backend(super::lock::BACKEND);
        let refused = |why: &str| Err(failed(BackendError::new(BackendErrorKind::InvalidConfig, why)));
        if matches!(self.config.servers(), Servers::Cluster(_)) {
            return refused("keys that are shared one by one are on one server, not in a cluster");
        }
        let dialer = Dialer::new(self.config).map_err(failed)?.in_database(self.database);
        let limit = self.connect_timeout;
        if limit.is_zero() || self.request_timeout.is_zero() {
            return refused("a time-out of zero");
        }
        let driver = driver_runtime()?;
        let endpoint = dialer.config().endpoint();
        let link = Arc::new(Link::new(dialer, &Namespace::default(), limit, self.request_timeout));
        let looking = link.clone();
        let looked = driver.spawn(async move {
            timeout(limit, looking.check()).await.unwrap_or_else(|_| {
                let message = format!("Redis at {endpoint} did not answer within {limit:?}");
                Err(BackendError::new(BackendErrorKind::Unavailable, message))
            })
        });
        match looked.await {
            Ok(checked) => checked.map_err(failed)?,
            Err(_) => {
                return Err(Error::new(ErrorKind::DriverGone, "connect", LossReason::DriverGone.to_string()));
            }
        }
        Ok(SharedKeys { link, driver })
    }
}

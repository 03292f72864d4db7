//! The connection for locks that are single keys.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{
    BackendError, BackendErrorKind, DEFAULT_TTL, Error, ErrorKind, LossReason, Namespace, Scheme, ServiceUrl,
    driver_runtime,
};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::lock::{BACKEND, SharedKeyLock};
use crate::config::{RedisConfig, Servers};
use crate::dial::Dialer;
use crate::link::Link;
use crate::scheme::{self, RedisScheme};

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
    pub(super) ttl: Duration,
}

impl SharedKeys {
    /// Configures a connection.
    pub fn builder(config: RedisConfig) -> SharedKeysBuilder {
        SharedKeysBuilder {
            config,
            database: 0,
            ttl: DEFAULT_TTL,
            connect_timeout: DEFAULT_TIMEOUT,
            request_timeout: DEFAULT_TIMEOUT,
        }
    }

    /// Configures a connection as a URL says: that of [`RedisScheme`], with the option `db`, the number of the
    /// [database](SharedKeysBuilder::database), beside `ttl`, `connect_timeout` and `request_timeout`. The password may stand
    /// elsewhere, as [`read_password`](ServiceUrl::read_password) has it. A key is taken as it is, so that
    /// the URL's namespace is not used; one that is a number is refused, since redis-py names a database so.
    ///
    /// ```
    /// use leasehold_redis::SharedKeys;
    ///
    /// let builder = SharedKeys::from_url("redis://:secret@10.0.0.1:6379?db=3&ttl=10s")?;
    /// assert!(SharedKeys::from_url("redis://10.0.0.1:6379/3").is_err());
    /// # Ok::<(), leasehold_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if the URL cannot be read, or says what is not known here; [`ErrorKind::UnknownScheme`] if it is not Redis's.
    pub fn from_url(url: &str) -> Result<SharedKeysBuilder, Error> {
        let mut url = ServiceUrl::parse(url).map_err(failed)?;
        if !RedisScheme.names().contains(&url.scheme()) {
            let detail = format!(
                "a key of Redis is at redis:// or redis+sentinel://, or by TLS at rediss:// or rediss+sentinel://, not at {}://",
                url.scheme()
            );
            return Err(Error::new(ErrorKind::UnknownScheme, "connect", detail));
        }
        url.read_password().map_err(failed)?;
        let database = url.take_option("db");
        let config =
            scheme::config(&mut url).and_then(|config| url.finish().map(|()| config)).map_err(failed)?;
        let database = match database {
            Some(text) => {
                text.parse().map_err(|_| refused("the URL's option db is the number of a database"))?
            }
            None => 0,
        };
        let namespace = url.namespace().map_err(failed)?;
        if let Some(number) = namespace.as_ref().and_then(|namespace| namespace.as_str().parse::<u32>().ok())
        {
            return Err(refused(&format!(
                "a database is named by an option: ?db={number} in the place of /{number}"
            )));
        }
        let mut builder = Self::builder(config).database(database);
        builder.ttl = url.ttl().unwrap_or(builder.ttl);
        builder.connect_timeout = url.connect_timeout().unwrap_or(builder.connect_timeout);
        builder.request_timeout = url.request_timeout().unwrap_or(builder.request_timeout);
        Ok(builder)
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
    ttl: Duration,
    connect_timeout: Duration,
    request_timeout: Duration,
}

impl SharedKeysBuilder {
    /// The number of the database that the keys are in, redis-py's `db`; 0 if not set.
    pub fn database(mut self, number: u32) -> Self {
        self.database = number;
        self
    }

    /// The TTL of locks that are [given none](SharedKeyLock::ttl); 15 s if not set.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
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
        if matches!(self.config.servers(), Servers::Cluster(_)) {
            return Err(refused("keys that are shared one by one are on one server, not in a cluster"));
        }
        let dialer = Dialer::new(self.config).map_err(failed)?.in_database(self.database);
        let limit = self.connect_timeout;
        if limit.is_zero() || self.request_timeout.is_zero() {
            return Err(refused("a time-out of zero"));
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
        Ok(SharedKeys { link, driver, ttl: self.ttl })
    }
}

fn failed(error: BackendError) -> Error {
    Error::from_backend("connect", Arc::new(error)).with_backend(BACKEND)
}

fn refused(why: &str) -> Error {
    failed(BackendError::new(BackendErrorKind::InvalidConfig, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_which_database_and_which_times() {
        let read = SharedKeys::from_url("redis://me:secret@a/team?db=3&ttl=2s&request_timeout=1s").unwrap();
        assert_eq!(read.config, RedisConfig::new("a:6379").user("me", "secret"));
        assert_eq!((read.database, read.ttl), (3, Duration::from_secs(2)));
        assert_eq!((read.connect_timeout, read.request_timeout), (DEFAULT_TIMEOUT, Duration::from_secs(1)));
        let elsewhere = SharedKeys::from_url("redis://me@a?password_env=PATH").unwrap();
        let path = std::env::var("PATH").unwrap();
        assert_eq!(elsewhere.config, RedisConfig::new("a:6379").user("me", path));
        for (url, kind, hint) in [
            ("etcd://a", ErrorKind::UnknownScheme, "redis://"),
            ("redis://a?password_file=/nowhere/x", ErrorKind::InvalidConfig, "/nowhere/x"),
            ("redis://a/3", ErrorKind::InvalidConfig, "?db=3"),
            ("redis://a?db=x", ErrorKind::InvalidConfig, "db"),
            ("redis://a?bd=3", ErrorKind::InvalidConfig, "bd"),
            ("a", ErrorKind::InvalidConfig, "scheme"),
        ] {
            let error = SharedKeys::from_url(url).unwrap_err();
            assert_eq!(error.kind(), kind, "{url}");
            let mut told = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                told += &cause.to_string();
                source = cause.source();
            }
            assert!(told.contains(hint), "{url}: {told}");
        }
    }
}

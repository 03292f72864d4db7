//! A lock that is one key, shared with the programs of other languages that lock by `SET … NX PX`.

mod guard;
mod keeper;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{BackendError, BackendErrorKind, Clock, DEFAULT_TTL, Error, ErrorKind, driver};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::backend::{MAX_TTL, MIN_TTL};
use crate::config::RedisConfig;
use crate::dial::Dialer;
use crate::link::Link;
pub use guard::KeyLockGuard;
use keeper::Acquisition;

/// How long opening and each request may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How often somebody who waits asks, if nobody says otherwise: as redis-py does.
const POLL: Duration = Duration::from_millis(100);

/// Makes [`KeyLock`]s over one connection to Redis. Cheap to clone.
///
/// It is for **sharing a lock with programs that are not ours**: with Python's redis-py (`redis.lock.Lock`), and with whoever
/// else takes a lock by `SET key token NX PX milliseconds`, extends it by `PEXPIRE` and gives it up by `DEL`, both if the key still
/// holds the token. Among programs that use this library, [`Coordinator::mutex`](leasehold_core::Coordinator::mutex) is
/// better in every way: it is fair, wakes who waits, and has fencing tokens.
///
/// ```no_run
/// # async fn example() -> Result<(), leasehold_core::Error> {
/// use std::time::Duration;
/// use leasehold_redis::{KeyLocks, RedisConfig};
///
/// let locks = KeyLocks::connect(RedisConfig::new("127.0.0.1:6379")).await?;
/// // In Python: redis.Redis().lock("jobs:nightly", timeout=10)
/// let lock = locks.lock("jobs:nightly", Duration::from_secs(10))?;
/// let guard = lock.lock().await?;
/// guard.while_held(async { /* … */ }).await?;
/// guard.release().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct KeyLocks {
    dialer: Dialer,
    driver: Handle,
}

impl KeyLocks {
    /// Connects, to find out now whether that works: to one server, to the primary that sentinels watch, or to a cluster.
    ///
    /// # Errors
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) (an endpoint is none by its form; the server may evict keys and that was not
    /// [accepted](RedisConfig::accept_eviction)), [`Unavailable`](ErrorKind::Unavailable),
    /// [`Unauthenticated`](ErrorKind::Unauthenticated), [`PermissionDenied`](ErrorKind::PermissionDenied): the user needs
    /// `+@read +@write +@scripting +@connection +info` and the locks' keys.
    ///
    /// # Cancel safety
    /// Dropping the future closes what was opened.
    pub async fn connect(config: RedisConfig) -> Result<Self, Error> {
        let failed = |error| Error::from_backend("connect", Arc::new(error));
        let dialer = Dialer::new(config).map_err(failed)?;
        let driver = driver().map_err(|error| {
            let message = "the thread of the driver cannot be started";
            failed(BackendError::new(BackendErrorKind::Unavailable, message).with_source(error))
        })?;
        let link = Link::new(dialer.clone(), "", TIMEOUT, TIMEOUT);
        // On the driver, where the connections of the locks will be made too.
        let checked = driver.spawn(async move { link.check().await });
        checked.await.map_err(|_| driver_gone("connect"))?.map_err(failed)?;
        Ok(Self { dialer, driver })
    }

    /// The lock of a key, which is used as it stands, outside every namespace. Whoever holds it has it for `ttl` at a time: it is
    /// extended each third of that as long as it is held, and if the process dies, the key expires by itself.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if the key is empty, or the TTL is not between 100 ms and a year.
    pub fn lock(&self, key: impl Into<Arc<str>>, ttl: Duration) -> Result<KeyLock, Error> {
        let key = key.into();
        let refused = |detail: String| {
            Err(Error::new(ErrorKind::InvalidArgument, "lock", detail)
                .with_name(key.clone())
                .with_backend("redis"))
        };
        if key.is_empty() {
            return refused("the key of a lock is empty".into());
        }
        if !(MIN_TTL..=MAX_TTL).contains(&ttl) {
            return refused(format!("a TTL of {ttl:?} is not between {MIN_TTL:?} and a year"));
        }
        let link = Link::new(self.dialer.clone(), hash_tag(&key), TIMEOUT, TIMEOUT);
        let shared = Shared { key, ttl, poll: POLL, link: Arc::new(link), clock: Clock::system() };
        Ok(KeyLock { shared: Arc::new(shared), driver: self.driver.clone() })
    }

    /// As [`lock`](Self::lock), with the TTL of sessions.
    ///
    /// # Errors
    /// As [`lock`](Self::lock).
    pub fn lock_by_default(&self, key: impl Into<Arc<str>>) -> Result<KeyLock, Error> {
        self.lock(key, DEFAULT_TTL)
    }
}

impl fmt::Debug for KeyLocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyLocks").field("config", self.dialer.config()).finish()
    }
}

/// What the acquisitions of a lock share.
struct Shared {
    key: Arc<str>,
    ttl: Duration,
    poll: Duration,
    link: Arc<Link>,
    clock: Clock,
}

/// A lock that is one key of Redis. Cheap to clone. See [`KeyLocks`].
///
/// # What it promises
/// At most one believes to hold it, as long as Redis keeps its word: the clone's [`is_held`](KeyLockGuard::is_held) ends before the key
/// can expire. What a failover, a clock jump or an eviction does to it is what they do to every lock over Redis (see the
/// [crate](crate)).
///
/// # What it does not promise
/// **No fencing token**: other programs that take the key count nothing, so nothing rises. **No order**: whoever asks next after a
/// release gets it. **No notice**: nobody tells who waits of a release, so whoever waits asks again and again
/// ([`poll_every`](KeyLock::poll_every)), each time one round trip.
#[derive(Clone)]
pub struct KeyLock {
    shared: Arc<Shared>,
    driver: Handle,
}

impl KeyLock {
    /// How often somebody who waits asks: 100 ms, if this says nothing else; each time between a half of it and the whole, and
    /// sooner where the key expires sooner.
    #[must_use]
    pub fn poll_every(mut self, poll: Duration) -> Self {
        let Shared { key, ttl, link, clock, .. } = &*self.shared;
        let (key, ttl, link, clock) = (key.clone(), *ttl, link.clone(), clock.clone());
        self.shared = Arc::new(Shared { key, ttl, poll: poll.max(Duration::from_millis(1)), link, clock });
        self
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.shared.key
    }

    /// Waits until it is held.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt), naming the key, if a key of another type is there; `Unauthenticated`, `PermissionDenied`. While the
    /// server cannot be reached, it waits.
    ///
    /// # Cancel safety
    /// Dropping the future gives the key up, in the background: within a round trip where the server answers, within the TTL in any
    /// case. There is no place in a queue to lose.
    pub async fn lock(&self) -> Result<KeyLockGuard, Error> {
        loop {
            if let Some(guard) = self.acquire(None).await? {
                return Ok(guard);
            }
        }
    }

    /// Takes it if nobody has it, asking once; `None` if somebody has.
    ///
    /// # Errors
    /// As [`lock`](Self::lock), and [`Unavailable`](ErrorKind::Unavailable) if the server does not answer within 5 s.
    ///
    /// # Cancel safety
    /// As [`lock`](Self::lock).
    pub async fn try_lock(&self) -> Result<Option<KeyLockGuard>, Error> {
        self.acquire(Some(Duration::ZERO)).await
    }

    /// Waits for it for so long in all; `None` if that was not enough.
    ///
    /// # Errors
    /// As [`lock`](Self::lock), and [`Unavailable`](ErrorKind::Unavailable) if the server has not answered in that time.
    ///
    /// # Cancel safety
    /// As [`lock`](Self::lock).
    pub async fn lock_timeout(&self, patience: Duration) -> Result<Option<KeyLockGuard>, Error> {
        self.acquire(Some(patience)).await
    }

    async fn acquire(&self, patience: Option<Duration>) -> Result<Option<KeyLockGuard>, Error> {
        let (reply, answer) = oneshot::channel();
        let acquisition = Acquisition::new(self.shared.clone(), patience)?;
        self.driver.spawn(acquisition.run(reply));
        answer.await.unwrap_or_else(|_| Err(driver_gone("lock").with_name(self.shared.key.clone())))
    }
}

impl fmt::Debug for KeyLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { key, ttl, poll, .. } = &*self.shared;
        f.debug_struct("KeyLock").field("key", key).field("ttl", ttl).field("poll", poll).finish()
    }
}

fn driver_gone(operation: &'static str) -> Error {
    Error::new(ErrorKind::DriverGone, operation, "the thread of the driver is gone").with_backend("redis")
}

/// The part of a key that decides its slot in a cluster: what is between the first `{` and the next `}`, if there is
/// anything, else the whole ([Redis's cluster specification](https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags)).
fn hash_tag(key: &str) -> &str {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    tag.filter(|tag| !tag.is_empty()).unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::hash_tag;

    #[test]
    fn the_hash_tag_is_as_the_specification_has_it() {
        let keys = [
            ("{user1000}.following", "user1000"),
            ("foo{}{bar}", "foo{}{bar}"),
            ("foo{{bar}}zap", "{bar"),
            ("foo{bar}{zap}", "bar"),
            ("plain", "plain"),
            ("open{", "open{"),
        ];
        for (key, tag) in keys {
            assert_eq!(hash_tag(key), tag, "{key}");
        }
    }
}

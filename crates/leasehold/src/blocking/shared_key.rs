//! The blocking twin of the lock that is one key of Redis.

use std::future::Future;
use std::time::Duration;

use leasehold_core::{Error, LossReason, ReleaseError};
use leasehold_redis::SharedKeysBuilder;

use super::{twin, wait};

twin::handle! {
    /// The blocking twin of [`SharedKeys`](crate::redis::SharedKeys): a connection for locks that are single keys, shared
    /// with redis-py.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use leasehold::blocking::SharedKeys;
    /// use leasehold::redis::{self, RedisConfig};
    ///
    /// let keys = SharedKeys::connect(redis::SharedKeys::builder(RedisConfig::new("127.0.0.1:6379")))?;
    /// // In Python: redis.Redis().lock("report", timeout=15)
    /// keys.lock("report").with(|held| while held.is_held() { /* one step of the work */ })?;
    /// # Ok(()) }
    /// ```
    SharedKeys of leasehold_redis::SharedKeys
}

impl SharedKeys {
    /// Connects as `builder` says.
    ///
    /// # Errors
    /// As [`SharedKeysBuilder::connect`].
    ///
    /// # Panics
    /// When called from asynchronous code; see [the module](crate::blocking#panics).
    #[track_caller]
    pub fn connect(builder: SharedKeysBuilder) -> Result<Self, Error> {
        wait(builder.connect()).map(From::from)
    }

    /// The lock that is the key of this name, verbatim. It touches no server.
    pub fn lock(&self, key: impl Into<String>) -> SharedKeyLock {
        self.inner.lock(key).into()
    }
}

twin::handle! {
    /// The blocking twin of [`SharedKeyLock`](crate::redis::SharedKeyLock), which says what it promises and what it cannot.
    SharedKeyLock of leasehold_redis::SharedKeyLock
}

impl SharedKeyLock {
    /// The same lock with this TTL; see [`SharedKeyLock::ttl`](crate::redis::SharedKeyLock::ttl).
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Self {
        self.inner.ttl(ttl).into()
    }

    /// The same lock, polled at least that often; see
    /// [`SharedKeyLock::poll_interval`](crate::redis::SharedKeyLock::poll_interval).
    #[must_use]
    pub fn poll_interval(self, interval: Duration) -> Self {
        self.inner.poll_interval(interval).into()
    }

    /// The key.
    pub fn key(&self) -> &str {
        self.inner.key()
    }

    /// Locks, runs `work`, and releases.
    ///
    /// Nobody stops `work` when the hold is lost: it is told afterwards. If `work` panics, the hold is given up.
    ///
    /// # Errors
    /// Those of the acquisition, and [`ErrorKind::Lost`](crate::ErrorKind::Lost) if the hold was lost before `work` had ended;
    /// then what `work` answered is dropped. A release that the server does not confirm in time is no error here: the
    /// removal goes on in the background.
    ///
    /// # Panics
    /// When called from asynchronous code; see [the module](crate::blocking#panics).
    #[track_caller]
    pub fn with<T>(&self, work: impl FnOnce(&SharedKeyGuard) -> T) -> Result<T, Error> {
        let guard = self.lock()?;
        let output = work(&guard);
        match guard.release() {
            Err(error) if error.is_lost() => Err(error.into()),
            _ => Ok(output),
        }
    }

    twin::waits! {
        /// Locks, waiting as long as it takes.
        lock() -> SharedKeyGuard
    }

    twin::waits! {
        /// Locks if nobody holds it; `Ok(None)` if somebody does.
        try_lock() -> Option<SharedKeyGuard>
    }

    twin::waits! {
        /// Locks, waiting at most `patience` in all; `Ok(None)` if others held it for that long.
        try_lock_for(patience: Duration) -> Option<SharedKeyGuard>
    }
}

/// A held [`SharedKeyLock`].
///
/// Dropping it gives the hold up in the background; it neither waits nor panics, anywhere.
#[derive(Debug)]
#[must_use = "a guard that is dropped at once gives its hold up at once"]
pub struct SharedKeyGuard {
    inner: leasehold_redis::SharedKeyGuard,
}

impl SharedKeyGuard {
    /// The key.
    pub fn key(&self) -> &str {
        self.inner.key()
    }

    /// Whether it is held, by the local deadline; see [`SharedKeyGuard::is_held`](crate::redis::SharedKeyGuard::is_held).
    pub fn is_held(&self) -> bool {
        self.inner.is_held()
    }

    /// Resolves when the hold is over, with the reason: for [`wait`] and [`wait_for`](crate::blocking::wait_for), on any thread.
    pub fn lost(&self) -> impl Future<Output = LossReason> + Send + 'static {
        self.inner.lost()
    }

    /// Gives it up and waits for the server to confirm that.
    ///
    /// # Errors
    /// As [`SharedKeyGuard::release`](crate::redis::SharedKeyGuard::release) of the asynchronous twin.
    ///
    /// # Panics
    /// When called from asynchronous code; see [the module](crate::blocking#panics). The hold is given up all the same.
    #[track_caller]
    pub fn release(self) -> Result<(), ReleaseError> {
        wait(self.inner.release())
    }

    /// The asynchronous twin.
    pub fn into_async(self) -> leasehold_redis::SharedKeyGuard {
        self.inner
    }
}

impl From<leasehold_redis::SharedKeyGuard> for SharedKeyGuard {
    fn from(inner: leasehold_redis::SharedKeyGuard) -> Self {
        Self { inner }
    }
}

//! The lock that is one key.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{BackendError, Error, ErrorKind, LossReason};
use tokio::sync::{Mutex, Notify, oneshot};

use super::acquisition::{Acquisition, Patience};
use super::guard::SharedKeyGuard;
use super::keys::SharedKeys;
use crate::backend::{MAX_TTL, MIN_TTL};

pub(super) const BACKEND: &str = "redis";

/// As long as redis-py sleeps between two tries.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A mutual-exclusion lock that is one key of Redis, as redis-py's `Lock` makes it: the key holds a token of its holder
/// and expires with the TTL.
///
/// It is for sharing a lock with Python programs, and with whatever else uses `SET key token NX PX ttl`. Both sides
/// name the same key, verbatim, of the same database; each side has a TTL of its own (redis-py's `timeout`).
///
/// # What it promises, and what it cannot
///
/// As long as the server keeps its keys and its clock does not jump, no two holders, of either kind, have the key at
/// once, and the holder is told before its key can expire. [What a lock over Redis is worth](crate#what-a-lock-over-redis-is-worth)
/// holds all the more here, since this lock has **no fencing token**: the key has no number that rises, so a resource
/// cannot tell a holder of old. It saves work, and protects no data.
///
/// It is **not fair**: whoever asks first after a release has it. redis-py tells nobody of a release, so waiting is
/// polling: at first after some 5 ms, then half as often each time until it is once in 50 to 100 ms (the
/// [interval](SharedKeyLock::poll_interval)), at random within that; and once when the key expires, if that comes first.
/// Of the acquisitions that wait through one `SharedKeyLock` and its clones only one asks, the others stand behind it
/// in the order in which they came, and a release among them is heard at once.
///
/// It is renewed for as long as it is held, each third of the TTL, by the library's own thread. A program that blocks
/// its runtime does not lose it.
#[derive(Clone)]
pub struct SharedKeyLock {
    pub(super) keys: SharedKeys,
    pub(super) key: Arc<str>,
    pub(super) ttl: Duration,
    pub(super) poll_interval: Duration,
    pub(super) local: Arc<Local>,
}

/// What the acquisitions of one lock know of each other.
#[derive(Default)]
pub(super) struct Local {
    /// Whoever waits for the key has it.
    pub(super) turn: Arc<Mutex<()>>,
    /// One of them has given the key up.
    pub(super) freed: Notify,
}

impl SharedKeyLock {
    pub(super) fn new(keys: SharedKeys, key: String) -> Self {
        let (key, ttl) = (key.into(), keys.ttl);
        Self { keys, key, ttl, poll_interval: POLL_INTERVAL, local: Arc::default() }
    }

    /// The same lock with this TTL, that of the [connection](super::SharedKeysBuilder::ttl) if not set: how long the key outlives a process that dies.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// The same lock, polled at least that often while waited for; 100 ms if not set, as redis-py does.
    #[must_use]
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Locks, waiting as long as it takes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if the TTL is not between 100 ms and a year, or the interval zero;
    /// [`ErrorKind::Corrupt`], naming the key, if it is no lock but of another type; [`ErrorKind::PermissionDenied`], …
    /// if the server refuses for good. While it cannot be reached it waits on.
    ///
    /// # Cancel safety
    /// Dropping the future at any point gives up the place among the waiters of this process. A key that was set by
    /// then, or that a request on its way sets later, is removed in the background within about a round trip, at the
    /// latest by its expiry.
    pub async fn lock(&self) -> Result<SharedKeyGuard, Error> {
        const OPERATION: &str = "lock";
        self.acquire(OPERATION, Patience::Forever).await?.ok_or_else(|| self.driver_gone(OPERATION))
    }

    /// Locks if nobody holds it; `Ok(None)` if somebody does. It may overtake whoever waits.
    ///
    /// # Errors
    /// As [`SharedKeyLock::lock`], and [`ErrorKind::Unavailable`] or [`ErrorKind::Indeterminate`] if the server did not
    /// answer within the request time-out; what that left behind is removed as after a drop.
    ///
    /// # Cancel safety
    /// As [`SharedKeyLock::lock`].
    pub async fn try_lock(&self) -> Result<Option<SharedKeyGuard>, Error> {
        self.acquire("try_lock", Patience::Try).await
    }

    /// Locks, waiting at most `patience` in all, for the server's answers as well as for other holders; `Ok(None)` if
    /// others held it for that long. No patience at all is [`SharedKeyLock::try_lock`].
    ///
    /// # Errors
    /// As [`SharedKeyLock::try_lock`].
    ///
    /// # Cancel safety
    /// As [`SharedKeyLock::lock`].
    pub async fn try_lock_for(&self, patience: Duration) -> Result<Option<SharedKeyGuard>, Error> {
        self.acquire("try_lock_for", Patience::within(patience)).await
    }

    async fn acquire(
        &self,
        operation: &'static str,
        patience: Patience,
    ) -> Result<Option<SharedKeyGuard>, Error> {
        let invalid =
            |detail: &str| Err(self.named(Error::new(ErrorKind::InvalidArgument, operation, detail)));
        if !(MIN_TTL..=MAX_TTL).contains(&self.ttl) {
            return invalid(&format!("a TTL of {:?} is not between {MIN_TTL:?} and a year", self.ttl));
        }
        if self.poll_interval.is_zero() {
            return invalid("a poll interval of zero");
        }
        let (reply, answer) = oneshot::channel();
        let acquisition = Acquisition { lock: self.clone(), patience };
        self.keys.driver.spawn(acquisition.run(reply));
        match answer.await {
            Ok(answer) => answer.map_err(|error| self.failed(operation, error)),
            Err(_) => Err(self.driver_gone(operation)),
        }
    }

    pub(super) fn failed(&self, operation: &'static str, error: BackendError) -> Error {
        self.named(Error::from_backend(operation, Arc::new(error)))
    }

    pub(super) fn driver_gone(&self, operation: &'static str) -> Error {
        self.named(Error::new(ErrorKind::DriverGone, operation, LossReason::DriverGone.to_string()))
    }

    fn named(&self, error: Error) -> Error {
        error.with_name(self.key.clone()).with_backend(BACKEND)
    }
}

impl fmt::Debug for SharedKeyLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedKeyLock")
            .field("key", &self.key)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

//! What a holder of a key has.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use leasehold_core::{Error, ErrorKind, Liveness, LivenessCell, LossReason};
use tokio::sync::oneshot;

use super::keeper::Released;

/// Holds a [`KeyLock`](super::KeyLock) until it is released or dropped, or lost.
///
/// Dropping it neither blocks nor needs a runtime: the key is given up in the background, and expires within the TTL if that fails.
#[must_use = "the key is given up when the guard is dropped"]
pub struct KeyLockGuard {
    key: Arc<str>,
    liveness: Arc<LivenessCell>,
    release: oneshot::Sender<oneshot::Sender<Released>>,
}

impl KeyLockGuard {
    pub(super) fn new(
        key: Arc<str>,
        liveness: Arc<LivenessCell>,
        release: oneshot::Sender<oneshot::Sender<Released>>,
    ) -> Self {
        Self { key, liveness, release }
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether it is held, by the local deadline: it ends before the server can give the key to somebody else, as long as the
    /// server's clock does not jump. Once lost, it stays lost.
    pub fn is_held(&self) -> bool {
        self.liveness.is_alive()
    }

    /// Resolves when it is lost: the deadline has passed without a renewal, or the key holds another token, or none.
    pub fn lost(&self) -> impl Future<Output = LossReason> + Send + 'static {
        let liveness = self.liveness.clone();
        async move { liveness.lost().await }
    }

    /// Works as long as it is held; the work is dropped when it is lost.
    ///
    /// # Errors
    /// [`Lost`](ErrorKind::Lost).
    ///
    /// # Cancel safety
    /// Dropping the future drops the work; it stays held.
    pub async fn while_held<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
        tokio::select! {
            biased;
            reason = self.liveness.lost() => Err(self.error("while_held", reason)),
            done = work => Ok(done),
        }
    }

    /// Gives the key up, and says whether it was held until then.
    ///
    /// # Errors
    /// [`Lost`](ErrorKind::Lost) if the key held another token, or none; [`Unavailable`](ErrorKind::Unavailable) if the server has not
    /// confirmed it by the deadline: the key has been given up or expires by itself.
    ///
    /// # Cancel safety
    /// Dropping the future goes on with it in the background.
    pub async fn release(self) -> Result<(), Error> {
        if let Liveness::Lost(reason) = self.liveness.current() {
            return Err(self.error("release", reason));
        }
        let Self { key, liveness, release } = self;
        let (confirm, confirmed) = oneshot::channel();
        let lost = |reason| Err(error(&key, "release", reason));
        if release.send(confirm).is_err() {
            return match liveness.current() {
                Liveness::Lost(reason) => lost(reason),
                _ => lost(LossReason::DriverGone),
            };
        }
        match confirmed.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(LossReason::DeadlinePassed)) => {
                let detail = "the server did not confirm it in time";
                Err(Error::new(ErrorKind::Unavailable, "release", detail).with_name(key).with_backend("redis"))
            }
            Ok(Err(reason)) => lost(reason),
            Err(_) => lost(LossReason::DriverGone),
        }
    }

    fn error(&self, operation: &'static str, reason: LossReason) -> Error {
        error(&self.key, operation, reason)
    }
}

fn error(key: &Arc<str>, operation: &'static str, reason: LossReason) -> Error {
    Error::lost(operation, reason).with_name(key.clone()).with_backend("redis")
}

impl fmt::Debug for KeyLockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyLockGuard")
            .field("key", &self.key)
            .field("liveness", &self.liveness.current())
            .finish()
    }
}

//! A held key.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use leasehold_core::{Error, ErrorKind, Liveness, LivenessCell, LossReason, ReleaseError};
use tokio::sync::oneshot;

use super::claim::Removal;
use super::lock::BACKEND;

/// A held [`SharedKeyLock`](super::SharedKeyLock). Owned: it can be kept anywhere and moved to other tasks.
///
/// Dropping it removes the key in the background, without a word whether it went well; dropping needs no runtime.
/// [`SharedKeyGuard::release`] waits and reports. The backstop of both is the TTL. Once it is not held any more it
/// never is again.
#[must_use = "a guard that is dropped at once gives the lock up at once"]
pub struct SharedKeyGuard {
    key: Arc<str>,
    liveness: Arc<LivenessCell>,
    /// To the task of the hold: whom to tell of the removal. Closed, it is the order to remove.
    release: Option<oneshot::Sender<oneshot::Sender<Removal>>>,
}

impl SharedKeyGuard {
    pub(super) fn new(
        key: Arc<str>,
        liveness: Arc<LivenessCell>,
        release: oneshot::Sender<oneshot::Sender<Removal>>,
    ) -> Self {
        Self { key, liveness, release: Some(release) }
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether it is held, by the local deadline: `false` before the key can expire, provided that this host's clock
    /// runs as fast as the server's (within 1 %). It needs nobody to tell it: it looks at the clock itself.
    ///
    /// What it cannot promise: that it is still held when the caller *acts* on the answer. There is no token to close
    /// that gap.
    pub fn is_held(&self) -> bool {
        self.liveness.is_alive()
    }

    /// Resolves when the hold is over, with the reason: [`LossReason::EntryRemoved`] if the key is not there any more or
    /// somebody else's, which is noticed within a third of the TTL; [`LossReason::Released`] if the guard gave it up.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub fn lost(&self) -> impl Future<Output = LossReason> + Send + 'static {
        let liveness = self.liveness.clone();
        async move { liveness.lost().await }
    }

    /// Runs `work` for as long as the hold lasts.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] if the hold ended before `work` did; then `work` was dropped at the await it was at. What it
    /// had sent away by then still happens.
    ///
    /// # Cancel safety
    /// Dropping the future drops `work`.
    pub async fn while_held<F: Future>(&self, work: F) -> Result<F::Output, Error> {
        let output = tokio::select! {
            biased;
            reason = self.liveness.lost() => return Err(self.error("hold", reason)),
            output = work => output,
        };
        match self.liveness.current() {
            Liveness::Lost(reason) => Err(self.error("hold", reason)),
            _ => Ok(output),
        }
    }

    /// Gives it up and waits for the server to confirm that.
    ///
    /// # Errors
    /// [`ReleaseError::Lost`] if it was lost before; [`ReleaseError::Unknown`] if the server did not confirm the removal
    /// within the request time-out (it goes on in the background; at the latest the key expires).
    ///
    /// # Cancel safety
    /// Once polled, the release goes on whether or not the future is.
    pub async fn release(mut self) -> Result<(), ReleaseError> {
        if let Some(reason) = self.end() {
            return Err(ReleaseError::Lost(self.error("release", reason)));
        }
        let (reply, outcome) = oneshot::channel();
        let sent = self.release.take().is_some_and(|release| release.send(reply).is_ok());
        match if sent { outcome.await.ok() } else { None } {
            Some(Removal::Removed) => Ok(()),
            Some(Removal::WasGone) => {
                Err(ReleaseError::Lost(self.error("release", LossReason::EntryRemoved)))
            }
            Some(Removal::Unknown) | None => {
                let detail = "the service did not confirm it in time";
                Err(ReleaseError::Unknown(self.named(Error::new(ErrorKind::Unavailable, "release", detail))))
            }
        }
    }

    /// Ends the hold as released; why it was over before, if it was.
    fn end(&self) -> Option<LossReason> {
        self.liveness.end(LossReason::Released);
        match self.liveness.current() {
            Liveness::Lost(LossReason::Released) | Liveness::Live { .. } | Liveness::Suspect { .. } => None,
            Liveness::Lost(reason) => Some(reason),
        }
    }

    fn error(&self, operation: &'static str, reason: LossReason) -> Error {
        self.named(Error::lost(operation, reason))
    }

    fn named(&self, error: Error) -> Error {
        error.with_name(self.key.clone()).with_backend(BACKEND)
    }
}

impl Drop for SharedKeyGuard {
    fn drop(&mut self) {
        // Before the channel closes, and no loss that nobody has noticed yet is called a release.
        self.end();
    }
}

impl fmt::Debug for SharedKeyGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedKeyGuard")
            .field("key", &self.key)
            .field("state", &self.liveness.current())
            .finish()
    }
}

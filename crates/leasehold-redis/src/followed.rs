//! A copy of a queue or a register that is kept up to date while somebody needs it.
//!
//! # Implementation
//!
//! A [`Followed`] owns a [`Replica`] and, while it is used, one task that feeds it from a channel. Users hold a
//! [`Using`]. The first one starts the task; the task ends by itself when there has been no user for [`LINGER`], so
//! that a hot lock does not pay the opening again and again.
//!
//! The task subscribes, and at each subscription (also after breaks) loads anew what is there: what was published in
//! between is lost. What is published while it loads waits in the feed. What nobody publishes is found by the
//! [watchman](crate::watchman). `running` and the replica's beginning and end change together under the lock of
//! `usage`, so that a user either finds the task running, or starts another one, or is told by the replica that it
//! failed.
//!
//! A load that fails is repeated as long as that may help. The task is dropped at an await only with its runtime; when
//! the session closes, it fails the replica and ends.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use leasehold_core::{BackendError, BackendErrorKind, Backoff};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::error::session_over;
use crate::hub::{Feed, FeedEvent, Hub};
use crate::session::Core;
use crate::watchman::Watchman;

/// How long a copy is kept up to date without a user.
const LINGER: Duration = Duration::from_secs(5);

/// A copy of some keys.
pub(crate) trait Replica: Send + Sync + 'static {
    /// Where its changes are published.
    fn channel(&self) -> String;

    /// A subscription is about to be made; there is nothing yet.
    fn begin(&self);

    /// Takes over what is there now, and answers within what time it may change without being published.
    fn load(&self, core: &Core) -> impl Future<Output = Result<Option<Duration>, BackendError>> + Send;

    /// Takes over a change, which may be older than what was loaded, or not of our making.
    fn apply(&self, message: &[u8]);

    /// Nothing is kept up to date any more, and waiting is in vain.
    fn fail(&self, error: &BackendError);
}

/// What a copy is kept up to date with.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) core: Arc<Core>,
    pub(crate) hub: Hub,
    pub(crate) watchman: Arc<Watchman>,
    /// The session closes.
    pub(crate) closing: CancellationToken,
}

pub(crate) struct Followed<R> {
    pub(crate) replica: R,
    means: Means,
    usage: Mutex<Usage>,
}

#[derive(Debug)]
struct Usage {
    users: usize,
    last_used: Instant,
    running: bool,
}

/// Keeps the copy up to date while it exists.
pub(crate) struct Using<'a, R>(&'a Followed<R>);

impl<R> Drop for Using<'_, R> {
    fn drop(&mut self) {
        let mut usage = self.0.usage();
        usage.users -= 1;
        usage.last_used = Instant::now();
    }
}

impl<R: Replica> Followed<R> {
    pub(crate) fn new(replica: R, means: Means) -> Self {
        let usage = Usage { users: 0, last_used: Instant::now(), running: false };
        Self { replica, means, usage: Mutex::new(usage) }
    }

    /// Sees to it that the copy is kept up to date.
    pub(crate) fn using(self: &Arc<Self>) -> Using<'_, R> {
        let mut usage = self.usage();
        usage.users += 1;
        if !usage.running {
            usage.running = true;
            self.replica.begin();
            let feed = self.means.hub.subscribe(self.replica.channel());
            tokio::spawn(self.clone().follow(feed));
        }
        Using(self)
    }

    /// Whether it is kept up to date.
    pub(crate) fn is_followed(&self) -> bool {
        self.usage().running
    }

    async fn follow(self: Arc<Self>, mut feed: Feed) {
        let failure = tokio::select! {
            biased;
            () = self.means.closing.cancelled() => session_over("subscription"),
            failure = self.feed(&mut feed) => failure,
            () = self.unused() => return,
        };
        let mut usage = self.usage();
        usage.running = false;
        self.replica.fail(&failure);
    }

    /// Feeds the replica until that is in vain.
    async fn feed(&self, feed: &mut Feed) -> BackendError {
        loop {
            match feed.next().await {
                Some(FeedEvent::Opened) => {
                    if let Err(error) = self.load().await {
                        return error;
                    }
                }
                Some(FeedEvent::Message(message)) => self.replica.apply(&message),
                Some(FeedEvent::Refused(error)) => return error,
                None => return session_over("subscription"),
            }
        }
    }

    async fn load(&self) -> Result<(), BackendError> {
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
        loop {
            match self.replica.load(&self.means.core).await {
                Err(error) if error.is_transient() => sleep(backoff.next_delay()).await,
                Err(error) => return Err(error),
                Ok(changes_within) => {
                    self.means.watchman.look_within(changes_within);
                    return Ok(());
                }
            }
        }
    }

    /// Resolves when there has been no user for some time, and the task is no longer counted on.
    async fn unused(&self) {
        loop {
            let look_at = {
                let mut usage = self.usage();
                let now = Instant::now();
                match usage.users {
                    0 if now >= usage.last_used + LINGER => {
                        usage.running = false;
                        return;
                    }
                    0 => usage.last_used + LINGER,
                    _ => now + LINGER,
                }
            };
            sleep_until(look_at).await;
        }
    }
}

impl<R> Followed<R> {
    fn usage(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same error for each of several waiters.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    kind: BackendErrorKind,
    message: String,
}

impl From<&BackendError> for Failure {
    fn from(error: &BackendError) -> Self {
        Self { kind: error.kind(), message: error.to_string() }
    }
}

impl Failure {
    pub(crate) fn error(&self) -> BackendError {
        BackendError::new(self.kind, self.message.clone())
    }
}

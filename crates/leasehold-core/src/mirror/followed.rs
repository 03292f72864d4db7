//! A copy that is kept up to date while somebody needs it.
//!
//! # Implementation
//!
//! A [`Mirror`] owns a replica and, while it is used, one task that feeds it from its source. Users hold a
//! [`Using`]. The first one starts the task; the task ends by itself when there has been no user for [`LINGER`], so
//! that a hot lock does not pay the opening again and again.
//!
//! The task opens the watch, and at each opening (also after breaks) loads anew what is there; what the watch tells
//! meanwhile waits in the stream. `running` and the replica's beginning and end change together under the lock of
//! `usage`, so that a user either finds the task running, or starts another one, or is told by the replica that it
//! failed. A task that ends feeds nothing after it has given up `running`: its feed is dropped, unpolled, in the same step.
//!
//! A load that fails is repeated as long as that may help. The task is dropped at an await only with its runtime; when
//! the session closes, it fails the replica and ends.

use std::ops::Deref;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::source::{FeedEvent, Replica, Source};
use crate::backend_error::{BackendError, BackendErrorKind};
use crate::backoff::Backoff;

/// How long a copy is kept up to date without a user.
const LINGER: Duration = Duration::from_secs(5);

/// A copy of what a [`Source`] shows, kept up to date while it is used and some seconds longer.
pub struct Mirror<S: Source> {
    source: S,
    replica: S::Replica,
    closing: CancellationToken,
    usage: Mutex<Usage>,
}

#[derive(Debug)]
struct Usage {
    users: usize,
    last_used: Instant,
    running: bool,
}

/// Keeps a mirror up to date while it exists, and gives access to its copy.
#[must_use]
pub struct Using<'a, S: Source>(&'a Mirror<S>);

impl<S: Source> Deref for Using<'_, S> {
    type Target = S::Replica;

    fn deref(&self) -> &S::Replica {
        &self.0.replica
    }
}

impl<S: Source> Drop for Using<'_, S> {
    fn drop(&mut self) {
        let mut usage = self.0.usage();
        usage.users -= 1;
        usage.last_used = Instant::now();
    }
}

impl<S: Source> Mirror<S> {
    /// A mirror that nobody uses yet. Once `closing` is cancelled, whoever waits is told that the session is over.
    pub fn new(source: S, closing: CancellationToken) -> Self {
        let usage = Usage { users: 0, last_used: Instant::now(), running: false };
        Self { source, replica: S::Replica::default(), closing, usage: Mutex::new(usage) }
    }

    /// Where the copy comes from.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// The copy as it is, up to date or not: to tell it what is known by other means. To look or to wait, use
    /// [`Mirror::using`].
    pub fn replica(&self) -> &S::Replica {
        &self.replica
    }

    /// Sees to it that the copy is kept up to date. It may spawn a task on the present runtime.
    pub fn using(self: &Arc<Self>) -> Using<'_, S> {
        let mut usage = self.usage();
        usage.users += 1;
        if !usage.running {
            usage.running = true;
            self.replica.begin();
            tokio::spawn(self.clone().follow());
        }
        Using(self)
    }

    /// Whether it is kept up to date.
    pub fn is_followed(&self) -> bool {
        self.usage().running
    }

    async fn follow(self: Arc<Self>) {
        let failure = tokio::select! {
            biased;
            () = self.closing.cancelled() => session_over(),
            failure = self.feed() => failure,
            () = self.unused() => return,
        };
        let mut usage = self.usage();
        usage.running = false;
        self.replica.fail(&failure);
    }

    /// Feeds the replica until that is in vain.
    async fn feed(&self) -> BackendError {
        let mut feed = pin!(self.source.watch());
        loop {
            match feed.next().await {
                Some(FeedEvent::Opened) => {
                    if let Err(error) = self.load().await {
                        return error;
                    }
                }
                Some(FeedEvent::Changed(change)) => self.replica.apply(change),
                Some(FeedEvent::Refused(error)) => return error,
                None => return session_over(),
            }
        }
    }

    async fn load(&self) -> Result<(), BackendError> {
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
        loop {
            let known = self.replica.known();
            match self.source.load().await {
                Err(error) if error.is_transient() => sleep(backoff.next_delay()).await,
                loaded => return loaded.map(|snapshot| self.replica.load(known, snapshot)),
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

    fn usage(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn session_over() -> BackendError {
    BackendError::new(BackendErrorKind::SessionLost, "watch: the session is over")
}

#[cfg(test)]
#[path = "followed_tests.rs"]
mod tests;

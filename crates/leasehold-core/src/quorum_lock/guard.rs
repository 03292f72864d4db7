//! The guard of a quorum lock.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::QuorumLock;
use super::asking::Question;
use super::held::{QuorumHeld, State};
use super::keeper::{Keeper, Release};
use crate::acquisition::until;
use crate::error::{Error, ErrorKind, ReleaseError};
use crate::guard::HeldGuard;
use crate::liveness::LossReason;
use crate::shared_guard::{Guard, Sealed, SharedGuard};

/// The members that were not released as they should, with whether so few are unconfirmed that the others are a majority.
#[derive(Debug, Default)]
pub(super) struct Report {
    failures: Vec<(Arc<str>, ReleaseError)>,
    is_enough: bool,
}

/// Releases all, none waiting for another. Once no more than `spare` are unconfirmed, those are waited for no longer than
/// `patience` in all.
///
/// Each release goes on once it was polled, whether or not this is, and a guard that is dropped is released too.
pub(super) async fn release(taken: Vec<(Arc<str>, HeldGuard)>, spare: usize, patience: Duration) -> Report {
    let deadline = Instant::now().checked_add(patience);
    let mut waited_for: Vec<_> =
        taken.iter().map(|(label, guard)| Some((label.clone(), guard.held().clone()))).collect();
    let mut releases: FuturesUnordered<_> = (taken.into_iter().enumerate())
        .map(|(at, (_, guard))| async move { (at, guard.release().await) })
        .collect();
    let mut report = Report::default();
    let mut unconfirmed = 0;
    loop {
        let give_up = deadline.filter(|_| unconfirmed + releases.len() <= spare);
        let released = tokio::select! {
            biased;
            released = releases.next() => released,
            () = until(give_up) => None,
        };
        let Some((at, outcome)) = released else { break };
        if let (Some((label, _)), Err(error)) = (waited_for[at].take(), outcome) {
            unconfirmed += usize::from(!error.is_lost());
            report.failures.push((label.clone(), error.of_member(&label)));
        }
    }
    for (label, held) in waited_for.into_iter().flatten() {
        unconfirmed += 1;
        report
            .failures
            .push((label.clone(), ReleaseError::Unknown(held.state().unconfirmed()).of_member(&label)));
    }
    report.failures.sort_by(|(a, _), (b, _)| a.cmp(b));
    report.is_enough = unconfirmed <= spare;
    report
}

/// A locked [`QuorumLock`]: a majority of its members, or more. What the holder knows of its hold are the methods of [`QuorumHeld`].
///
/// Dropping it gives all members up in the background, without waiting and without a word whether it went well; dropping needs
/// no runtime. [`QuorumGuard::release`] waits and reports. The backstop of both is the TTL of each member.
#[must_use = "a guard that is dropped at once gives the lock up at once"]
pub struct QuorumGuard {
    held: QuorumHeld,
    /// `None` once it is asked for.
    release: Option<oneshot::Sender<Release>>,
}

impl QuorumGuard {
    /// Of at least one member.
    pub(super) fn new(
        lock: &QuorumLock,
        taken: Vec<(usize, HeldGuard)>,
        pending: FuturesUnordered<Question>,
    ) -> Self {
        let driver = taken[0].1.coordinator().engine().driver.clone();
        let mut guards: Vec<_> = lock.members.iter().map(|_| None).collect();
        for (at, guard) in taken {
            guards[at] = Some(guard);
        }
        let seats = (lock.members.iter().zip(&guards))
            .map(|(member, guard)| (member.label.clone(), guard.as_ref().map(|guard| guard.held().clone())));
        let state = Arc::new(State::new(lock.name.clone(), lock.majority(), seats));
        let keeper = Keeper::new(state.clone(), lock.clone(), guards, pending);
        let (release, released) = oneshot::channel();
        driver.handle().spawn(keeper.run(released));
        Self { held: QuorumHeld::new(state), release: Some(release) }
    }

    /// The owned, cloneable fact of holding, for tasks that work under it.
    pub fn held(&self) -> QuorumHeld {
        self.held.clone()
    }

    /// Gives all members up, and waits for their services to confirm that. Members that do not, but are so few that the others
    /// are a majority, are waited for only as long as a member [may take](QuorumLock::member_timeout), and are no error; their
    /// entries go in the background.
    ///
    /// # Errors
    /// [`QuorumReleaseError`] if the lock was lost before, or if so many members did not confirm it within their request time-outs that
    /// nobody else may get a majority yet; with what became of each of them.
    ///
    /// # Cancel safety
    /// Once polled, the release of all members goes on whether or not the future is.
    pub async fn release(mut self) -> Result<(), QuorumReleaseError> {
        let end = self.held.state().end(LossReason::Released);
        let (asked, report) = oneshot::channel();
        let sent = self.release.take().is_some_and(|release| release.send(asked).is_ok());
        // None: the driver's runtime is gone.
        let report = if sent { report.await.ok() } else { None };
        let Report { failures, is_enough } = report.unwrap_or_default();
        let state = self.held.state();
        let error = if end.reason != LossReason::Released {
            state.error("release", &end)
        } else if is_enough {
            return Ok(());
        } else {
            let detail = "too few members have confirmed it";
            Error::new(ErrorKind::Unavailable, "release", detail).with_name(state.name().clone())
        };
        Err(QuorumReleaseError { error, failures })
    }

    /// Makes it one that can be cloned; the lock is given up with the last clone.
    pub fn share(self) -> SharedGuard<Self> {
        SharedGuard::new(self)
    }
}

impl Drop for QuorumGuard {
    fn drop(&mut self) {
        // A loss that nobody has noticed yet stays one. The channel closes after it, which tells the keeper.
        self.held.state().end(LossReason::Released);
    }
}

impl Guard for QuorumGuard {
    type ReleaseError = QuorumReleaseError;

    async fn release(self) -> Result<(), QuorumReleaseError> {
        QuorumGuard::release(self).await
    }
}

impl Sealed for QuorumGuard {}

impl Deref for QuorumGuard {
    type Target = QuorumHeld;

    fn deref(&self) -> &QuorumHeld {
        &self.held
    }
}

impl fmt::Debug for QuorumGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("QuorumGuard").field(&self.held).finish()
    }
}

/// A quorum lock was lost before its release, or too few members confirmed the release.
#[derive(Debug, Clone)]
pub struct QuorumReleaseError {
    error: Error,
    failures: Vec<(Arc<str>, ReleaseError)>,
}

impl QuorumReleaseError {
    /// The members that were held to the end and not released as they should, by label.
    pub fn failures(&self) -> impl ExactSizeIterator<Item = (&str, &ReleaseError)> {
        self.failures.iter().map(|(label, error)| (&**label, error))
    }

    /// Whether the lock was lost before the release.
    pub fn is_lost(&self) -> bool {
        self.error.kind() == ErrorKind::Lost
    }
}

impl fmt::Display for QuorumReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)?;
        for (_, error) in &self.failures {
            write!(f, "; {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for QuorumReleaseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.failures.first().and_then(|(_, error)| error.source())
    }
}

impl From<QuorumReleaseError> for Error {
    fn from(error: QuorumReleaseError) -> Self {
        error.error
    }
}

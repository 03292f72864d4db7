//! The guard of a multi-lock.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use futures_util::future::join_all;

use super::held::{MemberHeld, MultiHeld};
use crate::error::{Error, ReleaseError};
use crate::guard::HeldGuard;
use crate::shared_guard::{Guard, Sealed, SharedGuard};

/// A member that is locked. Dropping it gives it up in the background.
pub(super) struct Taken {
    pub(super) held: MemberHeld,
    guard: HeldGuard,
}

impl Taken {
    pub(super) fn new(label: Arc<str>, guard: HeldGuard) -> Self {
        let namespace = guard.coordinator().namespace().clone();
        Self { held: MemberHeld::new(label, namespace, guard.held().clone()), guard }
    }
}

/// Releases all, the last taken first, none waiting for another; answers what did not go well, in the order in which they were taken.
///
/// Each release goes on once it was polled, and one that was not is a guard that is dropped: whoever drops this future releases
/// them all the same.
pub(super) async fn release(taken: Vec<Taken>) -> Vec<(Arc<str>, ReleaseError)> {
    let releases = taken.into_iter().rev().map(|Taken { held, guard }| async move {
        let label: Arc<str> = held.label().into();
        guard.release().await.err().map(|error| (label.clone(), error.of_member(&label)))
    });
    join_all(releases).await.into_iter().rev().flatten().collect()
}

/// A locked [`MultiLock`](crate::MultiLock), all members of it. What the holder knows of its holds are the methods of
/// [`MultiHeld`].
///
/// Dropping it gives all members up in the background, without waiting and without a word whether it went well; dropping needs
/// no runtime. [`MultiLockGuard::release`] waits and reports.
#[must_use = "a guard that is dropped at once gives the locks up at once"]
pub struct MultiLockGuard {
    taken: Vec<Taken>,
    held: MultiHeld,
}

impl MultiLockGuard {
    /// Of at least one member.
    pub(super) fn new(taken: Vec<Taken>) -> Self {
        taken.iter().for_each(|taken| taken.guard.hand_over());
        let members = taken.iter().map(|taken| taken.held.clone()).collect();
        let held = MultiHeld::new(members, taken[0].guard.coordinator());
        Self { taken, held }
    }

    /// The owned, cloneable fact of holding all of them, for tasks that work under it.
    pub fn held(&self) -> MultiHeld {
        self.held.clone()
    }

    /// Gives all members up, the last locked first, and waits for the services to confirm that. No member waits for the release of
    /// another: a service that does not answer keeps only its own.
    ///
    /// # Errors
    /// [`MultiReleaseError`] with each member that was lost before, or whose release its service did not confirm within its request
    /// time-out. The others are released.
    ///
    /// # Cancel safety
    /// Once polled, the release of all members goes on whether or not the future is.
    pub async fn release(self) -> Result<(), MultiReleaseError> {
        // A loss that nobody has noticed yet stays the first one.
        self.held.loss();
        let failures = release(self.taken).await;
        if failures.is_empty() { Ok(()) } else { Err(MultiReleaseError { failures }) }
    }

    /// Makes it one that can be cloned; the members are given up with the last clone.
    pub fn share(self) -> SharedGuard<Self> {
        SharedGuard::new(self)
    }
}

impl Guard for MultiLockGuard {
    type ReleaseError = MultiReleaseError;

    async fn release(self) -> Result<(), MultiReleaseError> {
        MultiLockGuard::release(self).await
    }
}

impl Sealed for MultiLockGuard {}

impl Deref for MultiLockGuard {
    type Target = MultiHeld;

    fn deref(&self) -> &MultiHeld {
        &self.held
    }
}

impl fmt::Debug for MultiLockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MultiLockGuard").field(&self.held).finish()
    }
}

/// What did not go well when a multi-lock was released.
#[derive(Debug, Clone)]
pub struct MultiReleaseError {
    /// At least one.
    failures: Vec<(Arc<str>, ReleaseError)>,
}

impl MultiReleaseError {
    /// The members that were not released as they should, by label; each error names its lock.
    pub fn failures(&self) -> impl ExactSizeIterator<Item = (&str, &ReleaseError)> {
        self.failures.iter().map(|(label, error)| (&**label, error))
    }

    /// Whether a member was lost before the release.
    pub fn is_lost(&self) -> bool {
        self.failures.iter().any(|(_, error)| error.is_lost())
    }
}

impl fmt::Display for MultiReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (_, error)) in self.failures.iter().enumerate() {
            write!(f, "{}{error}", if at == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for MultiReleaseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.failures.first().and_then(|(_, error)| error.source())
    }
}

/// That of one member: of one that was lost, if there is one.
impl From<MultiReleaseError> for Error {
    fn from(error: MultiReleaseError) -> Self {
        let mut failures = error.failures;
        let at = failures.iter().position(|(_, error)| error.is_lost()).unwrap_or_default();
        failures.swap_remove(at).1.into()
    }
}

//! Guards that several owners share.
//!
//! # Implementation
//!
//! A counted reference to the guard, and no more. Of owners that end at the same time exactly one is the last
//! ([`Arc::into_inner`]), and it gives up the hold: by releasing the guard or by dropping it.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

/// What the guards of all recipes have in common. It is sealed: only guards of this library are.
#[allow(private_bounds)]
pub trait Guard: Deref<Target: Clone> + Sealed + Sized + Send + Sync + 'static {
    /// What its release fails with.
    type ReleaseError;

    /// Gives up the hold and waits for the service to confirm that, as the guard's own `release`.
    fn release(self) -> impl Future<Output = Result<(), Self::ReleaseError>> + Send;
}

pub(crate) trait Sealed {}

/// A guard with several owners: clones of it share one hold, which is given up with the last of them.
///
/// It is what reentrant locks are used for, made visible. Code that needs the lock takes a `SharedGuard`, or a reference to one, as proof that
/// it is held, instead of locking a name that its caller may have locked already:
///
/// ```
/// use leasehold_core::{Coordinator, Error, MutexGuard, SharedGuard};
///
/// async fn transfer(coordinator: &Coordinator) -> Result<(), Error> {
///     let accounts = coordinator.mutex("accounts").lock().await?.share();
///     deposit(&accounts); // by reference, where it is for a while
///     let audit = tokio::spawn(report(accounts.clone())); // by a clone, where it goes elsewhere
///     accounts.release().await?; // the last one, here or there, gives the lock up
///     audit.await.expect("no panic");
///     Ok(())
/// }
///
/// fn deposit(accounts: &SharedGuard<MutexGuard>) {
///     println!("with token {}", accounts.fencing_token());
/// }
///
/// async fn report(accounts: SharedGuard<MutexGuard>) {
///     assert!(accounts.is_held());
/// }
/// ```
///
/// **It is not a reentrant lock.** Who holds is decided by who has a clone, never by the task or thread that runs: a task may move
/// between threads, and a thread runs many tasks. A name that is locked again, although a clone of its guard is at hand, waits for it.
/// The owners do not exclude each other: what they share is one tenure, with one fencing token.
///
/// A clone that is forgotten somewhere keeps the lock. A loss concerns all of them at once, whatever is cloned.
#[must_use = "a guard that is dropped at once gives the lock up at once, unless others share it"]
pub struct SharedGuard<G> {
    guard: Arc<G>,
}

impl<G: Guard> SharedGuard<G> {
    pub(crate) fn new(guard: G) -> Self {
        Self { guard: Arc::new(guard) }
    }

    /// The owned, cloneable fact of holding, which keeps nothing locked.
    pub fn held(&self) -> G::Target {
        (**self.guard).clone()
    }

    /// Gives up this share. If it is the last one, gives up the hold, waits for the service to confirm that, and answers `true`;
    /// otherwise answers `false` at once, and the hold goes on.
    ///
    /// # Errors
    /// As the release of the guard; only the last share gets one.
    ///
    /// # Cancel safety
    /// Once polled, a release goes on whether or not the future is. Dropping the future before gives up the share.
    pub async fn release(self) -> Result<bool, G::ReleaseError> {
        match Arc::into_inner(self.guard) {
            Some(guard) => guard.release().await.map(|()| true),
            None => Ok(false),
        }
    }

    /// The guard itself, if this is the only share.
    ///
    /// # Errors
    /// This share, if there are others.
    pub fn try_unwrap(self) -> Result<G, Self> {
        Arc::try_unwrap(self.guard).map_err(|guard| Self { guard })
    }
}

impl<G> Clone for SharedGuard<G> {
    fn clone(&self) -> Self {
        Self { guard: self.guard.clone() }
    }
}

impl<G: Guard> Deref for SharedGuard<G> {
    type Target = G::Target;

    fn deref(&self) -> &G::Target {
        &self.guard
    }
}

impl<G: fmt::Debug> fmt::Debug for SharedGuard<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedGuard").field(&self.guard).finish()
    }
}

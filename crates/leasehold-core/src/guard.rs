//! What the guards of all recipes are made of.

use std::fmt;
use std::future::Future;

use crate::coordinator::Coordinator;
use crate::error::{Error, ReleaseError};
use crate::held::Held;
use crate::hold::{Change, Grant};

/// A held entry. Dropping it gives the hold up in the background.
pub(crate) struct HeldGuard {
    grant: Grant,
    /// Keeps the session alive.
    coordinator: Coordinator,
}

impl HeldGuard {
    pub(crate) fn new(grant: Grant, coordinator: Coordinator) -> Self {
        Self { grant, coordinator }
    }

    pub(crate) fn held(&self) -> &Held {
        self.grant.held()
    }

    /// See [`Grant::hand_over`].
    pub(crate) fn hand_over(&self) {
        self.grant.hand_over();
    }

    pub(crate) fn coordinator(&self) -> &Coordinator {
        &self.coordinator
    }

    pub(crate) async fn release(self) -> Result<(), ReleaseError> {
        self.grant.release().await
    }

    /// Runs `work` for as long as the hold lasts, and releases. A release that nobody confirms in time is no error.
    pub(crate) async fn with<F, W>(self, work: F) -> Result<W::Output, Error>
    where
        F: FnOnce(Held) -> W,
        W: Future,
    {
        let output = self.held().work(work).await?;
        match self.release().await {
            Ok(()) | Err(ReleaseError::Unknown(_)) => Ok(output),
            Err(ReleaseError::Lost(error)) => Err(error),
        }
    }

    /// Changes the entry; the hold and its token stay.
    pub(crate) async fn change(&self, operation: &'static str, change: Change) -> Result<(), Error> {
        self.grant.change(operation, change).await
    }
}

impl fmt::Debug for HeldGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.held().fmt(f)
    }
}

/// What every guard has: it is a [`Held`], can be released, and is shown as what it holds. The guard is a struct with the field
/// `inner`, a [`HeldGuard`].
macro_rules! guard_methods {
    ($guard:ident) => {
        impl $guard {
            /// The owned, cloneable fact of holding, for tasks that work under it.
            pub fn held(&self) -> $crate::held::Held {
                self.inner.held().clone()
            }

            /// Gives it up and waits for the service to confirm that.
            ///
            /// # Errors
            /// [`ReleaseError::Lost`](crate::ReleaseError::Lost) if it was lost before;
            /// [`ReleaseError::Unknown`](crate::ReleaseError::Unknown) if the service did not confirm the release within the
            /// request time-out (it goes on in the background).
            ///
            /// # Cancel safety
            /// Once polled, the release goes on whether or not the future is.
            pub async fn release(self) -> Result<(), $crate::error::ReleaseError> {
                self.inner.release().await
            }

            /// Makes it one that can be cloned; the hold is given up with the last clone.
            pub fn share(self) -> $crate::shared_guard::SharedGuard<Self> {
                $crate::shared_guard::SharedGuard::new(self)
            }
        }

        impl $crate::shared_guard::Guard for $guard {
            type ReleaseError = $crate::error::ReleaseError;

            async fn release(self) -> Result<(), $crate::error::ReleaseError> {
                self.inner.release().await
            }
        }

        impl $crate::shared_guard::Sealed for $guard {}

        impl std::ops::Deref for $guard {
            type Target = $crate::held::Held;

            fn deref(&self) -> &$crate::held::Held {
                self.inner.held()
            }
        }

        impl std::fmt::Debug for $guard {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_tuple(stringify!($guard)).field(&self.inner).finish()
            }
        }
    };
}

pub(crate) use guard_methods;

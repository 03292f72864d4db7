//! The leader's guard.

use bytes::Bytes;

use super::resumption::refusal;
use super::ticket::LeadershipTicket;
use crate::error::{Error, ErrorKind, ReleaseError};
use crate::guard::{HeldGuard, guard_methods};
use crate::hold::Change;
use crate::liveness::LossReason;

/// The leadership of an [`Election`](crate::Election). Owned: it can be kept anywhere and moved to other tasks.
///
/// Dropping it resigns in the background, without waiting and without a word whether it went well;
/// [`Leadership::resign`] waits and reports. The backstop of both is the TTL. What a leader knows of its leadership are the methods
/// of [`Held`](crate::Held).
#[must_use = "a leadership that is dropped at once is resigned at once"]
pub struct Leadership {
    inner: HeldGuard,
}

guard_methods!(Leadership);

impl Leadership {
    pub(super) fn new(inner: HeldGuard) -> Self {
        Self { inner }
    }

    /// Publishes another value; leadership and token stay.
    ///
    /// Values that are proclaimed at the same time are published one after the other, in the order in which the futures were
    /// first polled. While the service cannot be reached it waits on, as long as the leadership lasts.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] if the leadership is over; then the value may have been published in its last moments.
    /// [`ErrorKind::TooLarge`] if the value is larger than the service takes, and other refusals: the leadership goes on with the value
    /// that it had.
    ///
    /// # Cancel safety
    /// Once polled, the value is published whether or not the future is, unless the leadership ends first.
    pub async fn proclaim(&self, value: impl Into<Bytes>) -> Result<(), Error> {
        let change = Change { payload: Some(value.into()), ..Change::default() };
        self.inner.change("proclaim", change).await
    }

    /// Gives the leadership up and waits for the service to confirm that: the next candidate leads. The same as
    /// [`Leadership::release`].
    ///
    /// # Errors
    /// [`ReleaseError::Lost`] if it was lost before; [`ReleaseError::Unknown`] if the service did not confirm the
    /// resignation within the request time-out (it goes on in the background).
    ///
    /// # Cancel safety
    /// Once polled, the resignation goes on whether or not the future is.
    pub async fn resign(self) -> Result<(), ReleaseError> {
        self.release().await
    }

    /// What lets a successor of this process [resume](crate::Election::resume) the leadership. A secret: it holds the
    /// [credentials](crate::Coordinator::credentials) of the coordinator's session.
    ///
    /// It is worth something as long as the session lives and the leadership is not resigned, so a process that wants to be
    /// resumed ends without resigning and without a shutdown.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] if the leadership is over; [`ErrorKind::Unsupported`] if the backend
    /// [cannot](crate::Capabilities::resumable_sessions) resume sessions, and at a path in [another client's
    /// layout](crate::Coordinator::at).
    pub fn ticket(&self) -> Result<LeadershipTicket, Error> {
        const OPERATION: &str = "ticket";
        let state = self.inner.held().state();
        if let Some(reason) = state.ended() {
            return Err(state.error(OPERATION, reason));
        }
        let live = self.inner.coordinator().engine().slot.borrow().live.clone();
        let Some(live) = live.filter(|live| state.is_in(live)) else {
            // The keeper has already gone on.
            return Err(state.error(OPERATION, state.ended().unwrap_or(LossReason::SessionEnded)));
        };
        let (path, attempt) = state.entry();
        if let Some(refusal) = refusal(path) {
            return Err(state.named(Error::new(ErrorKind::Unsupported, OPERATION, refusal)));
        }
        match live.session.credentials() {
            Some(credentials) => Ok(LeadershipTicket::new(credentials, attempt, path.as_str())),
            None => Err(state.named(Error::new(
                ErrorKind::Unsupported,
                OPERATION,
                "the backend cannot resume sessions",
            ))),
        }
    }
}

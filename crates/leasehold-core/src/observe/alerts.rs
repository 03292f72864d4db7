//! What somebody should look at.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::driver::Driver;
use crate::liveness::LossReason;
use crate::token::FencingToken;

/// What somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Alert {
    /// Something has been held for [longer](Alerts::held_longer_than) than expected. It is still held. Told once a hold.
    #[non_exhaustive]
    HeldLong {
        /// The name of what is held.
        name: Arc<str>,
        /// Over which backend.
        backend: &'static str,
        /// Of the hold.
        token: FencingToken,
        /// For how long.
        held: Duration,
    },
    /// The service does not answer. What is held is lost when `rest` is over, if it does not answer until then.
    #[non_exhaustive]
    Suspect {
        /// Which backend.
        backend: &'static str,
        /// Until the local deadline.
        rest: Duration,
    },
    /// The session is over, and all that was held in it is lost.
    #[non_exhaustive]
    SessionLost {
        /// Which backend.
        backend: &'static str,
        /// Why.
        reason: LossReason,
    },
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Alert::HeldLong { name, backend, token, held } => {
                write!(f, "{name:?} on {backend} is held for {held:?} under token {token}")
            }
            Alert::Suspect { backend, rest } => {
                write!(f, "{backend} does not answer; what is held is lost in {rest:?}")
            }
            Alert::SessionLost { backend, reason } => write!(f, "the session on {backend} is lost: {reason}"),
        }
    }
}

/// Whom to tell, and of what; for [`CoordinatorBuilder::alerts`](crate::CoordinatorBuilder::alerts).
///
/// ```
/// use std::time::Duration;
/// use leasehold_core::observe::Alerts;
///
/// let alerts = Alerts::new(|alert| eprintln!("leasehold: {alert}")).held_longer_than(Duration::from_secs(600));
/// ```
///
/// A hold that must *end* when it has lasted for too long has a [maximum](crate::Mutex::max_hold) instead.
#[derive(Clone)]
pub struct Alerts {
    hook: Arc<dyn Fn(Alert) + Send + Sync>,
    held_longer_than: Option<Duration>,
}

impl Alerts {
    /// Tells `hook`, which is called on a thread of the runtime's for blocking work: it may block, two calls may overlap, and if it panics
    /// the coordinator goes on. It is told of the session, and of holds once [`held_longer_than`](Alerts::held_longer_than) says of which.
    pub fn new(hook: impl Fn(Alert) + Send + Sync + 'static) -> Self {
        Self { hook: Arc::new(hook), held_longer_than: None }
    }

    /// Tells of holds that last longer than that.
    #[must_use]
    pub fn held_longer_than(mut self, time: Duration) -> Self {
        self.held_longer_than = Some(time);
        self
    }

    pub(crate) fn threshold(&self) -> Option<Duration> {
        self.held_longer_than
    }

    pub(crate) fn raise(&self, driver: &Driver, alert: Alert) {
        let hook = self.hook.clone();
        driver.handle().spawn_blocking(move || hook(alert));
    }
}

impl fmt::Debug for Alerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alerts").field("held_longer_than", &self.held_longer_than).finish_non_exhaustive()
    }
}

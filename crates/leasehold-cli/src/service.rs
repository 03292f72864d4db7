//! Where a lock is: in queues, or in a key that is shared with redis-py.

use std::time::Duration;

use leasehold::Coordinator;

use crate::exit::Failure;
use crate::place::Place;
#[cfg(feature = "redis")]
use crate::shared_key;
use crate::target::{self, Target};

/// What is connected to.
pub(crate) enum Service {
    Queues(Coordinator),
    #[cfg(feature = "redis")]
    Key(leasehold::redis::SharedKeyLock),
}

impl Service {
    /// Connects, with a TTL other than the URL's and in words that others can read, where they are given.
    pub(crate) async fn connect(
        target: &Target,
        place: &Place,
        ttl: Option<Duration>,
        purpose: Option<&str>,
    ) -> Result<Self, Failure> {
        #[cfg(feature = "redis")]
        if place.is_key() {
            return shared_key::connect(target, place, ttl).await.map(Service::Key);
        }
        let _ = place;
        target.connect(ttl, purpose).await.map(Service::Queues)
    }

    /// Ends the session; what it has not given up by then is free after the TTL.
    pub(crate) async fn leave(&self) {
        match self {
            Service::Queues(coordinator) => target::leave(coordinator).await,
            // It has no session.
            #[cfg(feature = "redis")]
            Service::Key(_) => {}
        }
    }
}

//! The blocking twin of the barrier.

use std::time::Duration;

use super::twin;

twin::handle! {
    /// The blocking twin of [`Barrier`](crate::Barrier).
    Barrier
}

impl Barrier {
    /// The name, as it was given.
    pub fn name(&self) -> &str {
        self.inner.name()
    }

    twin::waits! {
        /// Sets it: whoever waits from now on is stopped.
        set() => ()
    }

    twin::waits! {
        /// Lifts it: whoever waits goes on.
        lift() => ()
    }

    twin::waits! {
        /// Whether it is set.
        is_set() => bool
    }

    twin::waits! {
        /// Waits until it is lifted.
        wait() => ()
    }

    twin::waits! {
        /// Waits until it is lifted, for at most `patience`; whether it was.
        wait_for(patience: Duration) => bool
    }
}

//! The blocking twin of the count-down latch.

use std::time::Duration;

use super::twin;

twin::handle! {
    /// The blocking twin of [`CountDownLatch`](crate::CountDownLatch).
    CountDownLatch
}

impl CountDownLatch {
    /// The name, as it was given.
    pub fn name(&self) -> &str {
        self.inner.name()
    }

    twin::waits! {
        /// How far it still has to count down.
        count() => u32
    }

    twin::waits! {
        /// Counts down by one, and answers what is left.
        count_down() => u32
    }

    twin::waits! {
        /// Waits until it has counted down.
        wait() => ()
    }

    twin::waits! {
        /// Waits until it has counted down, for at most `patience`; whether it has.
        wait_for(patience: Duration) => bool
    }

    twin::waits! {
        /// Begins a new round; see [`CountDownLatch::reset`](crate::CountDownLatch::reset).
        reset() => bool
    }
}

//! The blocking twin of the counter.

use super::twin;

twin::handle! {
    /// The blocking twin of [`Counter`](crate::Counter).
    Counter
}

impl Counter {
    /// The name, as it was given.
    pub fn name(&self) -> &str {
        self.inner.name()
    }

    twin::waits! {
        /// The number.
        get() => i64
    }

    twin::waits! {
        /// Adds, and answers the sum.
        add(amount: i64) => i64
    }

    twin::waits! {
        /// Sets the number if it is the expected one; whether it was.
        compare_and_set(expected: i64, new: i64) => bool
    }
}

//! The blocking twin of the register.

use std::time::Duration;

use bytes::Bytes;
use leasehold_core::{Held, Updated, Versioned};

use super::twin;

twin::handle! {
    /// The blocking twin of [`Register`](crate::Register).
    Register
}

impl Register {
    /// The name, as it was given.
    pub fn name(&self) -> &str {
        self.inner.name()
    }

    twin::waits! {
        /// The value and its version; `None` if nothing was ever written.
        read() => Option<Versioned>
    }

    twin::waits! {
        /// Writes whatever is there, and answers the new version.
        write(value: impl Into<Bytes>) => u64
    }

    twin::waits! {
        /// Writes if `held` is still held.
        write_held(held: &Held, value: impl Into<Bytes>) => u64
    }

    twin::waits! {
        /// Writes if the version is this one; `None` if it is another.
        compare_and_set(version: u64, value: impl Into<Bytes>) => Option<u64>
    }

    twin::waits! {
        /// Writes if the version is this one and `held` is still held.
        compare_and_set_held(held: &Held, version: u64, value: impl Into<Bytes>) => Option<u64>
    }

    twin::waits! {
        /// Replaces the value by what `compute` makes of it, as often as others are faster.
        update(compute: impl FnMut(Option<Versioned>) -> Option<Bytes>) => Updated
    }

    twin::waits! {
        /// As [`Register::update`], giving up when it has lost its races for `patience`.
        update_for(patience: Duration, compute: impl FnMut(Option<Versioned>) -> Option<Bytes>) => Updated
    }

    twin::waits! {
        /// Waits until the version is another one than `version`, and answers what is there then.
        changed(version: u64) => Option<Versioned>
    }
}

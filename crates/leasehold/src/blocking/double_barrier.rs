//! The blocking twin of the double barrier.

use std::ops::Deref;

use leasehold_core::{Error, Held};

use super::twin;
use super::wait::wait;

twin::handle! {
    /// The blocking twin of [`DoubleBarrier`](crate::DoubleBarrier).
    ///
    /// ```
    /// use leasehold::blocking;
    ///
    /// # fn main() -> Result<(), leasehold::Error> {
    /// let barrier = blocking::connect("memory://")?.double_barrier("step", 3);
    /// let party = || {
    ///     let inside = barrier.enter()?;
    ///     // All three are here.
    ///     inside.leave()?;
    ///     // All three are done.
    ///     Ok(())
    /// };
    /// std::thread::scope(|scope| {
    ///     let others = [scope.spawn(party), scope.spawn(party)];
    ///     party()?;
    ///     others.into_iter().try_for_each(|other| other.join().expect("no panic"))
    /// })
    /// # }
    /// ```
    DoubleBarrier
}

impl DoubleBarrier {
    /// The name, as it was given.
    pub fn name(&self) -> &str {
        self.inner.name()
    }

    /// How many parties it takes.
    pub fn parties(&self) -> u32 {
        self.inner.parties()
    }

    twin::waits! {
        /// Enters, waiting until all parties have come.
        enter() -> Inside
    }
}

/// The blocking twin of [`Inside`](crate::Inside): all parties have come.
///
/// Dropping it without [leaving](Inside::leave) breaks the round for the others; it neither waits nor panics, anywhere.
#[derive(Debug)]
#[must_use = "dropping it without leaving breaks the round for the others"]
pub struct Inside {
    inner: leasehold_core::Inside,
}

impl Inside {
    /// The number of the round; see [`Inside::round`](crate::Inside::round).
    pub fn round(&self) -> u64 {
        self.inner.round()
    }

    /// The owned, cloneable fact of being inside, for threads that work there.
    pub fn held(&self) -> Held {
        self.inner.held()
    }

    /// Leaves, waiting until all parties do.
    ///
    /// # Errors
    /// As the method of the asynchronous twin.
    ///
    /// # Panics
    /// When called from asynchronous code; see [the module](crate::blocking#panics). That breaks the round for the others.
    #[track_caller]
    pub fn leave(self) -> Result<(), Error> {
        wait(self.inner.leave())
    }

    /// The asynchronous twin.
    pub fn into_async(self) -> leasehold_core::Inside {
        self.inner
    }
}

impl From<leasehold_core::Inside> for Inside {
    fn from(inner: leasehold_core::Inside) -> Self {
        Self { inner }
    }
}

impl Deref for Inside {
    type Target = Held;

    fn deref(&self) -> &Held {
        &self.inner
    }
}

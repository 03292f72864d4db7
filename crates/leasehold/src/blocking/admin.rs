//! The blocking twin of administration.

use std::time::Duration;

use leasehold_core::{ContenderInfo, EntryId, Recipe, Released};

use super::twin;

twin::handle! {
    /// The blocking twin of [`Admin`](crate::Admin).
    ///
    /// ```
    /// use leasehold::{Recipe, blocking};
    ///
    /// # fn main() -> Result<(), leasehold::Error> {
    /// let admin = blocking::connect("memory://")?.admin();
    /// for name in admin.names(Recipe::Mutex, "cache/")? {
    ///     for contender in admin.contenders(Recipe::Mutex, &name)? {
    ///         println!("{name}: {contender}");
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    Admin
}

impl Admin {
    /// The same, but a holder that is released by force has this long to give up by itself; 1 s if not set.
    #[must_use]
    pub fn grace(self, grace: Duration) -> Self {
        self.inner.grace(grace).into()
    }

    twin::waits! {
        /// Who is in the queue of that name, in the queue's order: nobody, if there is none.
        contenders(recipe: Recipe, name: impl AsRef<str>) => Vec<ContenderInfo>
    }

    twin::waits! {
        /// The names of one recipe that begin with `prefix` and have contenders, sorted.
        names(recipe: Recipe, prefix: impl AsRef<str>) => Vec<String>
    }

    twin::waits! {
        /// Asks the present holders to give up, and answers how many were asked.
        ask_to_release(recipe: Recipe, name: impl AsRef<str>, who: impl AsRef<str>) => usize
    }

    twin::waits! {
        /// Asks the owner of one entry to give up, and answers whether there was such an entry.
        ask_entry_to_release(recipe: Recipe, name: impl AsRef<str>, entry: EntryId, who: impl AsRef<str>) => bool
    }

    twin::waits! {
        /// Takes the lock from its present holders; see [`Admin::force_release`](crate::Admin::force_release) for what it does to them.
        force_release(recipe: Recipe, name: impl AsRef<str>, who: impl AsRef<str>) => Released
    }

    twin::waits! {
        /// Takes away one entry; see [`Admin::force_release_entry`](crate::Admin::force_release_entry).
        force_release_entry(recipe: Recipe, name: impl AsRef<str>, entry: EntryId, who: impl AsRef<str>) => Released
    }
}

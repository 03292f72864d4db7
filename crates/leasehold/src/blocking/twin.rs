//! What the types of this module have in common. A recipe's file is its handle and its guards by these macros, and a line for each of
//! its methods.

/// A handle: the blocking twin of the type of the same name, or of that type.
macro_rules! handle {
    ($(#[$attribute:meta])* $name:ident) => {
        $crate::blocking::twin::handle! { $(#[$attribute])* $name of leasehold_core::$name }
    };
    ($(#[$attribute:meta])* $name:ident of $twin:ty) => {
        $(#[$attribute])*
        #[derive(Debug, Clone)]
        pub struct $name {
            inner: $twin,
        }

        impl $name {
            /// The asynchronous twin.
            pub fn as_async(&self) -> &$twin {
                &self.inner
            }
        }

        impl From<$twin> for $name {
            fn from(inner: $twin) -> Self {
                Self { inner }
            }
        }
    };
}

/// A guard: the blocking twin of the type of the same name, with what it dereferences to and what its release fails with.
macro_rules! guard {
    ($(#[$attribute:meta])* $name:ident, $held:ty, $error:ty) => {
        $(#[$attribute])*
        ///
        /// Dropping it gives the hold up in the background; it neither waits nor panics, anywhere.
        #[derive(Debug)]
        #[must_use = "a guard that is dropped at once gives its hold up at once"]
        pub struct $name {
            inner: leasehold_core::$name,
        }

        impl $name {
            /// The owned, cloneable fact of holding, for threads that work under it.
            pub fn held(&self) -> $held {
                self.inner.held()
            }

            /// Gives it up and waits for the service to confirm that.
            ///
            /// # Errors
            /// As the release of the asynchronous twin.
            ///
            /// # Panics
            /// When called from asynchronous code; see [the module](crate::blocking#panics). The hold is given up all the same.
            #[track_caller]
            pub fn release(self) -> Result<(), $error> {
                $crate::blocking::wait(self.inner.release())
            }

            /// Makes it one that can be cloned; the hold is given up with the last clone. To wait for the release of one:
            /// [`wait(shared.release())`](crate::blocking::wait).
            pub fn share(self) -> leasehold_core::SharedGuard<leasehold_core::$name> {
                self.inner.share()
            }

            /// The asynchronous twin.
            pub fn into_async(self) -> leasehold_core::$name {
                self.inner
            }
        }

        impl From<leasehold_core::$name> for $name {
            fn from(inner: leasehold_core::$name) -> Self {
                Self { inner }
            }
        }

        impl std::ops::Deref for $name {
            type Target = $held;

            fn deref(&self) -> &$held {
                &self.inner
            }
        }
    };
}

/// A method that waits for the twin's of the same name, and answers the like: `-> Guard` and `-> Option<Guard>` wrap the guard, `=> Type`
/// answers what the twin does.
macro_rules! waits {
    ($(#[$attribute:meta])* $method:ident($($argument:ident: $type:ty),*) -> $guard:ident) => {
        $(#[$attribute])*
        ///
        /// # Errors
        /// As the method of the asynchronous twin.
        ///
        /// # Panics
        /// When called from asynchronous code; see [the module](crate::blocking#panics).
        #[track_caller]
        pub fn $method(&self, $($argument: $type),*) -> Result<$guard, leasehold_core::Error> {
            $crate::blocking::wait(self.inner.$method($($argument),*)).map(From::from)
        }
    };
    ($(#[$attribute:meta])* $method:ident($($argument:ident: $type:ty),*) -> Option<$guard:ident>) => {
        $(#[$attribute])*
        ///
        /// # Errors
        /// As the method of the asynchronous twin.
        ///
        /// # Panics
        /// When called from asynchronous code; see [the module](crate::blocking#panics).
        #[track_caller]
        pub fn $method(&self, $($argument: $type),*) -> Result<Option<$guard>, leasehold_core::Error> {
            let guard = $crate::blocking::wait(self.inner.$method($($argument),*))?;
            Ok(guard.map(From::from))
        }
    };
    ($(#[$attribute:meta])* $method:ident($($argument:ident: $type:ty),*) => $output:ty) => {
        $(#[$attribute])*
        ///
        /// # Errors
        /// As the method of the asynchronous twin.
        ///
        /// # Panics
        /// When called from asynchronous code; see [the module](crate::blocking#panics).
        #[track_caller]
        pub fn $method(&self, $($argument: $type),*) -> Result<$output, leasehold_core::Error> {
            $crate::blocking::wait(self.inner.$method($($argument),*))
        }
    };
}

/// A method that runs a closure under a guard which another method of the handle acquires.
macro_rules! with {
    ($(#[$attribute:meta])* $method:ident by $acquire:ident, $held:ty) => {
        $(#[$attribute])*
        ///
        /// Nobody stops `work` when the hold is lost: it is told afterwards. If `work` panics, the hold is given up.
        ///
        /// # Errors
        /// Those of the acquisition, and [`ErrorKind::Lost`](crate::ErrorKind::Lost) if the hold was lost before `work` had ended;
        /// then what `work` answered is dropped. A release that the service does not confirm in time is no error here: the removal goes on
        /// in the background.
        ///
        /// # Panics
        /// When called from asynchronous code; see [the module](crate::blocking#panics).
        #[track_caller]
        pub fn $method<T>(&self, work: impl FnOnce($held) -> T) -> Result<T, leasehold_core::Error> {
            let guard = self.$acquire()?;
            let output = work(guard.held());
            match guard.release() {
                Err(error) if error.is_lost() => Err(error.into()),
                _ => Ok(output),
            }
        }
    };
}

/// What follows something: the blocking twin of the stream of the same name, with what comes next.
macro_rules! stream {
    ($(#[$attribute:meta])* $name:ident of $item:ty) => {
        $(#[$attribute])*
        ///
        /// As an iterator it waits for what comes next, and ends when the coordinator is shut down.
        ///
        /// # Panics
        /// `next` panics when it is called from asynchronous code; see [the module](crate::blocking#panics).
        #[derive(Debug)]
        #[must_use = "it tells nothing unless it is asked"]
        pub struct $name {
            inner: leasehold_core::$name,
        }

        impl $name {
            /// The name of what is followed, as it was given.
            pub fn name(&self) -> &str {
                self.inner.name()
            }

            /// What comes next, waiting for at most `patience`; `Ok(None)` if nothing came. Nothing is lost by that.
            ///
            /// # Errors
            /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) if it has ended.
            ///
            /// # Panics
            /// When called from asynchronous code; see [the module](crate::blocking#panics).
            #[track_caller]
            pub fn next_for(&mut self, patience: std::time::Duration) -> Result<Option<$item>, leasehold_core::Error> {
                match $crate::blocking::wait_for(self.inner.next(), patience) {
                    Some(Some(item)) => Ok(Some(item)),
                    Some(None) => {
                        let kind = leasehold_core::ErrorKind::Closed;
                        let error = leasehold_core::Error::new(kind, "next_for", "the coordinator is shut down");
                        Err(error.with_name(self.name()))
                    }
                    None => Ok(None),
                }
            }

            /// The asynchronous twin.
            pub fn into_async(self) -> leasehold_core::$name {
                self.inner
            }
        }

        impl From<leasehold_core::$name> for $name {
            fn from(inner: leasehold_core::$name) -> Self {
                Self { inner }
            }
        }

        impl Iterator for $name {
            type Item = $item;

            #[track_caller]
            fn next(&mut self) -> Option<$item> {
                $crate::blocking::wait(self.inner.next())
            }
        }

        impl std::iter::FusedIterator for $name {}
    };
}

pub(super) use {guard, handle, stream, waits, with};

//! The barrier.
//!
//! # Implementation
//!
//! A register that says `set` or `lifted`; one that was never written is lifted. Setting and lifting are changes of it ([`crate::commit`]): they write only
//! if it says the other thing, and only on the version that was read, so that one that is late does not undo what came after it. A wait
//! looks at the register, and again after each of its changes ([`crate::requests`]): it ends at a look, never by being woken. All its
//! waiters are woken by one event of the service for each process. Dropped futures are treated in those two files.
//!
//! A waiter that is slow to look may find the barrier set again, and goes on waiting: a barrier that is set again is one that it has
//! not passed.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::acquisition::Patience;
use crate::backend::Versioned;
use crate::commit::Amendment;
use crate::coordinator::Coordinator;
use crate::error::Error;
use crate::name::Kind;
use crate::named::Named;
use crate::record::Record;

const SET: &[u8] = b"set";
const LIFTED: &[u8] = b"lifted";

/// A gate across which nobody goes while it is set, and everybody as soon as it is lifted.
///
/// It stays as it is until somebody changes it, whatever becomes of the process that set it: nobody owns it. One that was never set is
/// lifted. What it leaves at the service is one small register for each name that was ever set.
///
/// ```
/// # async fn example(coordinator: leasehold_core::Coordinator) -> Result<(), leasehold_core::Error> {
/// let migrated = coordinator.barrier("schema migrated");
/// migrated.set().await?;
/// // … elsewhere: migrated.wait().await?;
/// migrated.lift().await?;
/// migrated.wait().await?; // at once
/// # Ok(()) }
/// ```
///
/// # What it promises, and what it cannot
///
/// [`Barrier::wait`] returns if the service showed the barrier lifted at some time after the call. It may have been set again since. Reads are as new as
/// those of a [`Register`](crate::Register).
#[derive(Clone)]
pub struct Barrier {
    named: Named,
}

impl Barrier {
    pub(crate) fn new(coordinator: Coordinator, name: &str) -> Self {
        Self { named: Named::new(coordinator, Kind::Barrier, name) }
    }

    /// The name, as it was given.
    pub fn name(&self) -> &str {
        self.named.name()
    }

    /// Sets it: whoever waits from now on waits until it is lifted. Nothing happens if it is set already.
    ///
    /// # Errors
    /// As [`Register::update`](crate::Register::update).
    ///
    /// # Cancel safety
    /// Once polled, it may be done, whether or not the future is polled again.
    pub async fn set(&self) -> Result<(), Error> {
        self.change("set", true).await
    }

    /// Lifts it: whoever waits goes on. Nothing happens if it is not set.
    ///
    /// # Errors
    /// As [`Barrier::set`].
    ///
    /// # Cancel safety
    /// As [`Barrier::set`].
    pub async fn lift(&self) -> Result<(), Error> {
        self.change("lift", false).await
    }

    /// Whether it is set.
    ///
    /// # Errors
    /// As [`Register::read`](crate::Register::read).
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn is_set(&self) -> Result<bool, Error> {
        const OPERATION: &str = "is_set";
        let record = self.named.load(OPERATION).await?;
        is_set(&record).ok_or_else(|| self.named.foreign(OPERATION))
    }

    /// Waits until it is not set; at once if it never was.
    ///
    /// It outlasts disconnections, restarts of the service and the loss of the session.
    ///
    /// # Errors
    /// As [`Register::changed`](crate::Register::changed).
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn wait(&self) -> Result<(), Error> {
        self.until_lifted("wait", Patience::Forever).await.map(drop)
    }

    /// As [`Barrier::wait`], for at most `patience`; whether it was lifted. No patience at all is one look.
    ///
    /// # Errors
    /// As [`Barrier::wait`], and [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) if the service did not answer within `patience`.
    ///
    /// # Cancel safety
    /// As [`Barrier::wait`].
    pub async fn wait_for(&self, patience: Duration) -> Result<bool, Error> {
        self.until_lifted("wait_for", patience.into()).await
    }

    async fn until_lifted(&self, operation: &'static str, patience: Patience) -> Result<bool, Error> {
        let path = self.named.path(operation)?;
        let look = |register: Option<&Versioned>| match Record::read(register).as_ref().and_then(is_set) {
            Some(true) => None,
            Some(false) => Some(true),
            None => Some(false),
        };
        match self.named.until_register_within(operation, &path, patience, look).await? {
            Some(true) => Ok(true),
            Some(false) => Err(self.named.foreign(operation)),
            None => Ok(false),
        }
    }

    async fn change(&self, operation: &'static str, set: bool) -> Result<(), Error> {
        self.named
            .amend_patiently(operation, None, |record| match is_set(record) {
                Some(is_set) if is_set == set => Ok(Amendment::Keep(())),
                Some(_) => Ok(Amendment::Write(Bytes::from_static(if set { SET } else { LIFTED }), ())),
                None => Err(self.named.foreign(operation)),
            })
            .await
    }
}

/// Whether the barrier is set; `None` if that is not what the register says.
fn is_set(record: &Record) -> Option<bool> {
    match record.value.as_deref() {
        None | Some(LIFTED) => Some(false),
        Some(SET) => Some(true),
        Some(_) => None,
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").field("name", &self.named).finish_non_exhaustive()
    }
}

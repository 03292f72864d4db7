//! The versioned register.
//!
//! # Implementation
//!
//! The value with its header of marks ([`crate::record`]); writes and changes are those of [`crate::commit`], waits those of
//! [`crate::requests`]. Nothing is kept here: a handle is a name. What happens when a future is dropped is said there.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;

use crate::acquisition::Patience;
use crate::backend::Versioned;
use crate::commit::{Amended, Amendment, Base, Committed};
use crate::coordinator::Coordinator;
use crate::error::{Error, ErrorKind};
use crate::held::Held;
use crate::name::Kind;
use crate::named::Named;
use crate::record::Record;

/// A small value that all nodes share, with a version that grows with every write: optimistic locking.
///
/// Whoever changes it says which version the change was made on, and loses the race if there is another one by then
/// ([`Register::compare_and_set`], [`Register::update`]). A write can also depend on a lock that is still held
/// ([`Register::write_held`]), decided by the service in the same transaction.
///
/// A `Register` is a name and a [`Coordinator`]; making one costs nothing and touches no service. The value outlives
/// sessions and processes. It is for small things such as settings, positions and numbers: a value is up to the service's limit
/// ([`Capabilities::max_value_bytes`](crate::Capabilities::max_value_bytes)), less about 700 bytes for a header that this
/// library keeps in front of it.
///
/// ```
/// # async fn example(coordinator: leasehold_core::Coordinator) -> Result<(), leasehold_core::Error> {
/// let settings = coordinator.register("settings");
/// let version = settings.write("colour=red").await?;
/// assert!(settings.compare_and_set(version, "colour=blue").await?.is_some());
/// assert!(settings.compare_and_set(version, "colour=green").await?.is_none(), "that version is gone");
/// settings.update(|seen| {
///     let mut text = seen.map(|seen| seen.value.to_vec()).unwrap_or_default();
///     text.extend_from_slice(b" size=5");
///     Some(text.into())
/// }).await?;
/// # Ok(()) }
/// ```
///
/// # What it promises, and what it cannot
///
/// Of all writes on condition of one version at most one is applied. A write whose reply was lost is looked for: each carries a number
/// of its own in the header, which keeps the newest 16. If that does not tell whether it was applied, the error is
/// [`ErrorKind::Indeterminate`], and never "failed" for a write that was applied or may still be. Writes that do
/// not read what is there cut that history off: [`Register::write`], and [`Register::compare_and_set`] but for the writes on its own version.
/// Where several write, prefer [`Register::update`].
///
/// A read is at least as new as all that anybody was answered before it began; on ZooKeeper but for the moment in which a leader that was deposed does
/// not know it yet. What was computed from an old value is not written by the conditional writes.
///
/// All this holds as long as nobody deletes the register by other means: versions may begin anew then.
#[derive(Clone)]
pub struct Register {
    named: Named,
}

/// What came of an [update](Register::update).
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "an update may have ended without a write"]
pub enum Updated {
    /// The closure's value was written.
    Written(Versioned),
    /// The closure answered `None`, and nothing was written.
    Declined,
    /// Others were faster each time, for as long as the patience went, and nothing was written.
    OutOfTime,
}

impl Updated {
    /// What was written, if it was.
    pub fn written(self) -> Option<Versioned> {
        match self {
            Updated::Written(written) => Some(written),
            Updated::Declined | Updated::OutOfTime => None,
        }
    }
}

impl Register {
    pub(crate) fn new(coordinator: Coordinator, name: &str) -> Self {
        Self { named: Named::new(coordinator, Kind::Register, name) }
    }

    /// The name, as it was given.
    pub fn name(&self) -> &str {
        self.named.name()
    }

    /// The value and its version; `None` if nothing was ever written.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidName`]; [`ErrorKind::Unavailable`] if the service did not answer within the request time-out;
    /// [`ErrorKind::Corrupt`] if the value was written by something else than a register; [`ErrorKind::Closed`] if the coordinator is
    /// shut down; [`ErrorKind::Unauthenticated`], [`ErrorKind::PermissionDenied`], … if the service refuses for good.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn read(&self) -> Result<Option<Versioned>, Error> {
        Ok(self.named.load("read").await?.versioned())
    }

    /// Writes, whatever is there, and answers the new version.
    ///
    /// # Errors
    /// As [`Register::read`], but for [`ErrorKind::Corrupt`]: what is there is not looked at. With all of these nothing was written. And
    /// [`ErrorKind::TooLarge`]; [`ErrorKind::Indeterminate`] if the service's answer was lost and the value is not found afterwards: it was overwritten,
    /// or has not arrived, or still may. After [`ErrorKind::DriverGone`] nobody knows either.
    ///
    /// # Cancel safety
    /// Once polled, the write may be applied, whether or not the future is polled again.
    pub async fn write(&self, value: impl Into<Bytes>) -> Result<u64, Error> {
        self.put("write", value.into(), None).await
    }

    /// As [`Register::write`], if `held` is still held.
    ///
    /// The service decides that in the same transaction: nothing is written when somebody else may hold the lock already, however long this
    /// process was paused. That is the fence that a resource in the same service can have.
    ///
    /// # Errors
    /// As [`Register::write`]; [`ErrorKind::Lost`] if it is not held any more: nothing was written; [`ErrorKind::InvalidArgument`] if it
    /// is held over another coordinator than this register's; [`ErrorKind::Unsupported`] if the service has no such writes
    /// ([`Capabilities::conditional_writes`](crate::Capabilities::conditional_writes)).
    ///
    /// # Cancel safety
    /// As [`Register::write`].
    pub async fn write_held(&self, held: &Held, value: impl Into<Bytes>) -> Result<u64, Error> {
        self.put("write_held", value.into(), Some(held)).await
    }

    /// Writes if the version is this one, and answers the new version; `None` if it is another. Version 0 means that nothing was ever
    /// written.
    ///
    /// # Errors
    /// As [`Register::write`]. [`ErrorKind::Indeterminate`] if the service's answer was lost and the header does not tell any more who wrote on this
    /// version, because of what others have written since, or if the service does not answer at all.
    ///
    /// # Cancel safety
    /// As [`Register::write`].
    pub async fn compare_and_set(&self, version: u64, value: impl Into<Bytes>) -> Result<Option<u64>, Error> {
        self.swap("compare_and_set", version, value.into(), None).await
    }

    /// As [`Register::compare_and_set`], if `held` is still held.
    ///
    /// # Errors
    /// As [`Register::compare_and_set`] and [`Register::write_held`]. If both conditions fail, it is [`ErrorKind::Lost`].
    ///
    /// # Cancel safety
    /// As [`Register::write`].
    pub async fn compare_and_set_held(
        &self,
        held: &Held,
        version: u64,
        value: impl Into<Bytes>,
    ) -> Result<Option<u64>, Error> {
        self.swap("compare_and_set_held", version, value.into(), Some(held)).await
    }

    /// Replaces the value by what `compute` makes of it; `None` leaves it as it is.
    ///
    /// It reads, computes, and writes if nobody has written meanwhile. If somebody has, it begins again after a short, jittered delay, so
    /// **`compute` may run any number of times**, each time with the newest value, and only its last answer is written: it should do nothing but compute.
    /// An update is applied once or not at all, also where answers of the service are lost.
    ///
    /// # Errors
    /// As [`Register::read`] and [`Register::compare_and_set`].
    ///
    /// # Cancel safety
    /// As [`Register::write`].
    pub async fn update(
        &self,
        compute: impl FnMut(Option<Versioned>) -> Option<Bytes>,
    ) -> Result<Updated, Error> {
        self.amend("update", Patience::Forever, compute).await
    }

    /// As [`Register::update`], but gives up when it has lost its races for `patience`. With no patience at all there is one try.
    ///
    /// A try that has begun is ended: the service's answers, each within the request time-outs, come on top of the patience.
    ///
    /// # Errors
    /// As [`Register::update`].
    ///
    /// # Cancel safety
    /// As [`Register::write`].
    pub async fn update_for(
        &self,
        patience: Duration,
        compute: impl FnMut(Option<Versioned>) -> Option<Bytes>,
    ) -> Result<Updated, Error> {
        self.amend("update_for", patience.into(), compute).await
    }

    /// Waits until the version is another one than `version` (0: until something is written), and answers what is there then.
    ///
    /// It outlasts disconnections, restarts of the service and the loss of the session.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidName`], [`ErrorKind::Corrupt`] as in [`Register::read`]; [`ErrorKind::Closed`] if the coordinator is shut down,
    /// also while waiting; what the service refuses with for good. While the service cannot be reached it waits on.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn changed(&self, version: u64) -> Result<Option<Versioned>, Error> {
        self.differs("changed", Some(version)).await
    }

    /// The value as it is now, and then each time that it has changed.
    ///
    /// It shows the newest value: what was overwritten before the stream was polled is left out. It ends after an error, which is one of
    /// [`Register::changed`].
    pub fn watch(&self) -> impl Stream<Item = Result<Option<Versioned>, Error>> + Send + 'static {
        let register = self.clone();
        futures_util::stream::unfold(Some((register, None)), |state| async {
            let (register, seen) = state?;
            let value = register.differs("watch", seen).await;
            let next = match &value {
                Ok(value) => Some((register, Some(value.as_ref().map_or(0, |value| value.version)))),
                Err(_) => None,
            };
            Some((value, next))
        })
    }

    /// Waits for a version that is not this one, if one is given.
    async fn differs(
        &self,
        operation: &'static str,
        version: Option<u64>,
    ) -> Result<Option<Versioned>, Error> {
        let path = self.named.path(operation)?;
        let record = self.named.until_register(operation, &path, move |register| {
            let present = register.map_or(0, |register| register.version);
            (Some(present) != version).then(|| Record::read(register))
        });
        match record.await? {
            Some(record) => Ok(record.versioned()),
            None => Err(self.named.foreign(operation)),
        }
    }

    async fn put(&self, operation: &'static str, value: Bytes, held: Option<&Held>) -> Result<u64, Error> {
        match self.named.commit(operation, Base::Any, &value, held).await? {
            Committed::Written { version } => Ok(version),
            Committed::VersionDiffers => {
                let detail = "the service reports a condition that was not asked for";
                Err(self.named.error(ErrorKind::Corrupt, operation, detail))
            }
        }
    }

    async fn swap(
        &self,
        operation: &'static str,
        version: u64,
        value: Bytes,
        held: Option<&Held>,
    ) -> Result<Option<u64>, Error> {
        match self.named.commit(operation, Base::Version(version), &value, held).await? {
            Committed::Written { version } => Ok(Some(version)),
            Committed::VersionDiffers => Ok(None),
        }
    }

    async fn amend(
        &self,
        operation: &'static str,
        patience: Patience,
        mut compute: impl FnMut(Option<Versioned>) -> Option<Bytes>,
    ) -> Result<Updated, Error> {
        let amended = self
            .named
            .amend(operation, patience, None, |seen| {
                Ok(match compute(seen.versioned()) {
                    Some(value) => Amendment::Write(value.clone(), value),
                    None => Amendment::Keep(Bytes::new()),
                })
            })
            .await?;
        Ok(match amended {
            Amended::Written(version, value) => Updated::Written(Versioned { value, version }),
            Amended::Kept(_) => Updated::Declined,
            Amended::OutOfTime => Updated::OutOfTime,
        })
    }
}

impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Register").field("name", &self.named).finish_non_exhaustive()
    }
}

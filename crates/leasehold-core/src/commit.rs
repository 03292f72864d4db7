//! Writes of registers whose lost replies are made good, and changes that are tried until they win.
//!
//! # Implementation
//!
//! **One write** ([`Named::commit`]) is sent, and decided by the service, if its reply comes. If it does not, it is sent again and the register is
//! read, and the marks in it ([`crate::record`]) decide:
//!
//! ```text
//! sent ── reply ───────────────────────────────────────→ written, refused
//!   └─ reply lost → sent again, read ── applied, void ──→ written, refused
//!                       ↑             ├─ open ──┐
//!                       └─────────────┼─────────┘
//!                                     └─ unknown, or no time left → Indeterminate
//! ```
//!
//! *Sent again* is the same write with the same mark on the same base, so that it and the one that is still on its way make each other void. It is done
//! only where the write has a base: an unconditional write is looked for, but not repeated, since what others have written meanwhile
//! is not to be overwritten. A refusal of the repetition tells nothing of the first sending; the read that follows on the same session, and
//! which is as new as the refusal, does. One refusal is final for both: an attempt that has lost its entry never has one again.
//!
//! All this is tried for one request time-out from the first lost reply on, then the write is [`ErrorKind::Indeterminate`].
//!
//! **A change** ([`Named::amend`]) reads, computes, and commits on the version that it read; who loses a race computes again from what the winner
//! wrote. One that writes nothing ends at the read, which is as new as all that anybody was told before it (contract, `read`). The delay between tries doubles and is jittered, so that many writers get apart. Somebody always wins: a
//! write is refused only because another one was applied.
//!
//! **At each await.** These run in the caller's future. Dropped, they send nothing more; a write that was sent is decided by the service, and whoever
//! dropped it does not know how. Nothing else exists at the service.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::acquisition::Patience;
use crate::attempt::AttemptId;
use crate::backend::{RegisterWrite, RegisterWritten};
use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind};
use crate::held::Held;
use crate::liveness::LossReason;
use crate::name::KeyPath;
use crate::named::Named;
use crate::own_entry::transient_backoff;
use crate::record::{Fate, Mark, Record, alone};

/// What a write is made on.
#[derive(Clone, Copy)]
pub(crate) enum Base<'a> {
    /// Whatever is there.
    Any,
    /// This version; 0 means nothing.
    Version(u64),
    /// What was read.
    Seen(&'a Record),
}

/// What came of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Committed {
    /// It was applied, and made this version.
    Written { version: u64 },
    /// It was not: the version is another.
    VersionDiffers,
}

/// What to make of a register that was read.
pub(crate) enum Amendment<T> {
    /// It is well as it is.
    Keep(T),
    /// It shall have this value.
    Write(Bytes, T),
}

/// What came of a change.
pub(crate) enum Amended<T> {
    /// Nothing was to be written.
    Kept(T),
    /// It was written, and has this version.
    Written(u64, T),
    /// Others were faster each time.
    OutOfTime,
}

impl Named {
    /// Reads the register of this name.
    ///
    /// # Errors
    /// As [`Named::read_register`], and [`ErrorKind::Corrupt`] if the value is not of our making.
    pub(crate) async fn load(&self, operation: &'static str) -> Result<Record, Error> {
        let register = self.read_register(operation, &self.path(operation)?).await?;
        Record::read(register.as_ref()).ok_or_else(|| self.foreign(operation))
    }

    /// The error for a value that is not of our making.
    pub(crate) fn foreign(&self, operation: &'static str) -> Error {
        self.error(
            ErrorKind::Corrupt,
            operation,
            "the register holds something that was not written by this recipe",
        )
    }

    /// Writes the register of this name on condition of `base`, and of `held` if given, and finds out what came of it.
    ///
    /// # Errors
    /// As [`Named::write_register`]; [`ErrorKind::Lost`] if the hold is over, nothing written; for what `held` must be,
    /// as [`Named::condition`].
    pub(crate) async fn commit(
        &self,
        operation: &'static str,
        base: Base<'_>,
        value: &[u8],
        held: Option<&Held>,
    ) -> Result<Committed, Error> {
        let register = self.path(operation)?;
        let if_held = held.map(|held| self.condition(operation, held)).transpose()?;
        let if_version = match base {
            Base::Any => None,
            Base::Version(version) => Some(version),
            Base::Seen(record) => Some(record.version),
        };
        let mark = Mark { base: if_version, number: self.random(operation)? };
        let value = match base {
            Base::Seen(record) => record.followed_by(mark, value),
            Base::Any | Base::Version(_) => alone(mark, value),
        };
        let write = RegisterWrite { value, if_version, if_held };
        let lost = || match held {
            Some(held) => Err(self.lost(operation, held)),
            None => Err(self.error(
                ErrorKind::Lost,
                operation,
                "the service reports a condition that was not asked for",
            )),
        };
        match self.write_register(operation, &register, write.clone()).await {
            Ok(RegisterWritten::Written { version }) => Ok(Committed::Written { version }),
            Ok(RegisterWritten::VersionDiffers) => Ok(Committed::VersionDiffers),
            Ok(RegisterWritten::NotHeld) => lost(),
            Err(error) if error.kind() == ErrorKind::Indeterminate => {
                match self.resolve(operation, &register, write, mark, error).await? {
                    RegisterWritten::Written { version } => Ok(Committed::Written { version }),
                    RegisterWritten::VersionDiffers => Ok(Committed::VersionDiffers),
                    RegisterWritten::NotHeld => lost(),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Finds out what became of a write whose reply was lost.
    async fn resolve(
        &self,
        operation: &'static str,
        register: &KeyPath,
        write: RegisterWrite,
        mark: Mark,
        unanswered: Error,
    ) -> Result<RegisterWritten, Error> {
        let deadline = Instant::now().checked_add(self.coordinator().engine().request_timeout);
        let mut backoff = transient_backoff(&self.coordinator().engine().entropy);
        loop {
            let looked = match mark.base {
                Some(_) => self.repeat_write(operation, register, write.clone()).await,
                None => self.read_register(operation, register).await.map(|value| (None, value)),
            };
            match looked {
                Ok((Some(written @ RegisterWritten::Written { .. }), _)) => return Ok(written),
                Ok((refused, value)) => {
                    // Another one's value says nothing of the writes before it.
                    let fate = Record::read(value.as_ref()).map_or(Fate::Unknown, |record| record.fate(mark));
                    match (fate, refused) {
                        (Fate::Applied { version }, _) => return Ok(RegisterWritten::Written { version }),
                        (Fate::Void | Fate::Open, Some(RegisterWritten::NotHeld)) => {
                            return Ok(RegisterWritten::NotHeld);
                        }
                        (Fate::Void, _) => return Ok(RegisterWritten::VersionDiffers),
                        (Fate::Unknown, _) => return Err(unanswered),
                        (Fate::Open, _) => {}
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Indeterminate) => {}
                Err(_) => return Err(unanswered),
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(unanswered);
            }
            self.pause(backoff.next_delay()).await;
        }
    }

    /// Changes the register of this name to what `amend` makes of it, as often as that takes and the patience goes. `amend` is called
    /// anew after each lost race.
    ///
    /// # Errors
    /// As [`Named::commit`] and [`Named::load`], and those of `amend`.
    pub(crate) async fn amend<T>(
        &self,
        operation: &'static str,
        patience: Patience,
        held: Option<&Held>,
        mut amend: impl FnMut(&Record) -> Result<Amendment<T>, Error>,
    ) -> Result<Amended<T>, Error> {
        let deadline = match patience {
            Patience::Try => Some(Instant::now()),
            Patience::For(patience) => Instant::now().checked_add(patience),
            Patience::Forever => None,
        };
        let mut backoff = {
            let entropy = self.coordinator().engine().entropy.clone();
            Backoff::with_entropy(Duration::from_millis(2), Duration::from_millis(200), entropy)
        };
        loop {
            let seen = self.load(operation).await?;
            let (value, output) = match amend(&seen)? {
                Amendment::Keep(output) => return Ok(Amended::Kept(output)),
                Amendment::Write(value, output) => (value, output),
            };
            match self.commit(operation, Base::Seen(&seen), &value, held).await? {
                Committed::Written { version } => return Ok(Amended::Written(version, output)),
                Committed::VersionDiffers => {}
            }
            let delay = backoff.next_delay();
            if deadline.is_some_and(|deadline| Instant::now() + delay >= deadline) {
                return Ok(Amended::OutOfTime);
            }
            self.pause(delay).await;
        }
    }

    /// The same without an end of the patience.
    pub(crate) async fn amend_patiently<T>(
        &self,
        operation: &'static str,
        held: Option<&Held>,
        amend: impl FnMut(&Record) -> Result<Amendment<T>, Error>,
    ) -> Result<T, Error> {
        match self.amend(operation, Patience::Forever, held, amend).await? {
            Amended::Kept(output) | Amended::Written(_, output) => Ok(output),
            Amended::OutOfTime => {
                Err(self.error(ErrorKind::Unavailable, operation, "others were faster each time"))
            }
        }
    }

    /// Where the service finds what `held` stands for.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the service has no such writes, [`ErrorKind::InvalidArgument`] if it is held over another
    /// coordinator, [`ErrorKind::Lost`] if it is known to be over.
    fn condition(&self, operation: &'static str, held: &Held) -> Result<(KeyPath, AttemptId), Error> {
        self.check_conditional_writes(operation)?;
        let state = held.state();
        if !state.is_of(self.coordinator().engine()) {
            let detail = format!("{:?} is held over another coordinator", held.name());
            return Err(self.error(ErrorKind::InvalidArgument, operation, &detail));
        }
        if state.ended().is_some() {
            return Err(self.lost(operation, held));
        }
        let (path, attempt) = state.entry();
        Ok((path.clone(), attempt))
    }

    /// # Errors
    /// [`ErrorKind::Unsupported`] if the service cannot write on condition of a hold.
    pub(crate) fn check_conditional_writes(&self, operation: &'static str) -> Result<(), Error> {
        if self.coordinator().capabilities().conditional_writes {
            return Ok(());
        }
        let detail = "the service cannot write on condition that a lock is held";
        Err(self.error(ErrorKind::Unsupported, operation, detail))
    }

    /// The error of a write on condition of something that is held no longer.
    pub(crate) fn lost(&self, operation: &'static str, held: &Held) -> Error {
        // The service may know it first.
        let reason = held.state().ended().unwrap_or(LossReason::EntryRemoved);
        self.with_name(Error::lost(operation, reason))
    }

    fn random(&self, operation: &'static str) -> Result<u64, Error> {
        self.coordinator().engine().entropy.draw().map_err(|error| {
            self.error(ErrorKind::Unavailable, operation, "the system gives no randomness").with_source(error)
        })
    }
}

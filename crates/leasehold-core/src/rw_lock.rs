//! The read/write lock.
//!
//! # Implementation
//!
//! One queue; a reader's entry is shared, a writer's exclusive. The rule: a reader is granted when no exclusive entry is ahead of it, and waits for
//! the nearest one that is; a writer is granted when it is first, and waits for the entry next ahead.

use std::fmt;
use std::time::Duration;

use crate::acquisition::Patience;
use crate::attempt::AttemptId;
use crate::backend::Interest;
use crate::contenders::Contenders;
use crate::coordinator::Coordinator;
use crate::error::Error;
use crate::guard::{HeldGuard, guard_methods};
use crate::mode::Mode;
use crate::name::Kind;
use crate::named::{Acquire, Named};
use crate::rule::{Rule, Verdict};

/// A fair distributed read/write lock.
#[derive(Clone)]
pub struct RwLock {
    named: Named,
}

impl RwLock {
    pub(crate) fn new(coordinator: Coordinator, name: &str) -> Self {
        Self { named: Named::new(coordinator, Kind::RwLock, name) }
    }

    /// The name, as it was given.
    pub fn name(&self) -> &str {
        self.named.name()
    }

    /// Locks for reading, waiting as long as it takes.
    pub async fn read(&self) -> Result<RwLockReadGuard, Error> {
        let acquire = Acquire::new("read", &InOrder, Mode::Shared, Patience::Forever);
        Ok(RwLockReadGuard { inner: self.named.acquire_patiently(acquire).await? })
    }

    /// Locks for reading if that is granted at once.
    pub async fn try_read(&self) -> Result<Option<RwLockReadGuard>, Error> {
        let acquire = Acquire::new("try_read", &InOrder, Mode::Shared, Patience::Try);
        Ok(self.named.acquire(acquire).await?.map(|inner| RwLockReadGuard { inner }))
    }

    /// Locks for writing, waiting as long as it takes.
    pub async fn write(&self) -> Result<RwLockWriteGuard, Error> {
        let acquire = Acquire::new("write", &InOrder, Mode::Exclusive, Patience::Forever);
        Ok(RwLockWriteGuard { inner: self.named.acquire_patiently(acquire).await? })
    }

    /// Locks for writing if that is granted at once.
    pub async fn try_write(&self) -> Result<Option<RwLockWriteGuard>, Error> {
        let acquire = Acquire::new("try_write", &InOrder, Mode::Exclusive, Patience::Try);
        Ok(self.named.acquire(acquire).await?.map(|inner| RwLockWriteGuard { inner }))
    }

    /// Locks for writing, waiting at most `patience`.
    pub async fn try_write_for(&self, patience: Duration) -> Result<Option<RwLockWriteGuard>, Error> {
        let acquire = Acquire::new("try_write_for", &InOrder, Mode::Exclusive, patience.into());
        Ok(self.named.acquire(acquire).await?.map(|inner| RwLockWriteGuard { inner }))
    }
}

impl fmt::Debug for RwLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RwLock").field("name", &self.named).finish_non_exhaustive()
    }
}

/// A [`RwLock`] held for reading.
#[must_use = "a guard that is dropped at once gives the lock up at once"]
pub struct RwLockReadGuard {
    inner: HeldGuard,
}

guard_methods!(RwLockReadGuard);

/// A [`RwLock`] held for writing.
#[must_use = "a guard that is dropped at once gives the lock up at once"]
pub struct RwLockWriteGuard {
    inner: HeldGuard,
}

guard_methods!(RwLockWriteGuard);

struct InOrder;

impl Rule for InOrder {
    fn verdict(&self, queue: &Contenders, me: AttemptId) -> Verdict {
        let Some(own) = queue.get(me) else { return Verdict::NotQueued };
        let blocks = |mode: Mode| own.mode != Mode::Shared || mode != Mode::Shared;
        match queue.ahead_of(me).find(|ahead| blocks(ahead.mode)) {
            None => Verdict::GRANTED,
            Some(ahead) => {
                Verdict::WaitFor(Interest::Entry { attempt: ahead.attempt, mode: ahead.mode, version: None })
            }
        }
    }
}

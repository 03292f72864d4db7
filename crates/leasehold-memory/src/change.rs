//! What becomes of the entries of a service, for a test that follows them.

use std::sync::{Arc, Mutex, PoisonError};

use leasehold_core::{AttemptId, KeyPath, Mode};

/// One change of a queue, as the hook of [`MemoryService::on_change`](crate::MemoryService::on_change) is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The queue.
    pub path: KeyPath,
    /// Whose entry.
    pub attempt: AttemptId,
    /// What became of it.
    pub what: Changed,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Changed {
    /// It was created, at the queue's end.
    Created {
        /// Its order.
        order: u64,
        /// What it asks for.
        mode: Mode,
        /// The id of its session.
        session: u64,
    },
    /// It asks for something else.
    Mode(Mode),
    /// It is gone.
    Removed(Removal),
}

/// Why an entry is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Removal {
    /// Its session withdrew it.
    Withdrawn,
    /// Its session expired or was closed.
    SessionEnded,
    /// Another session, an administrator or the loss of all data removed it, or ended its session.
    Forced,
}

type Hook = Arc<dyn Fn(&Change) + Send + Sync>;

/// The hook of one service.
#[derive(Default)]
pub(crate) struct Tap(Mutex<Option<Hook>>);

impl Tap {
    pub(crate) fn set(&self, hook: Hook) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(hook);
    }

    /// Tells the hook, outside of every lock.
    pub(crate) fn tell(&self, changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        let hook = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(hook) = hook {
            changes.iter().for_each(|change| hook(change));
        }
    }
}

//! What became of the acquisitions through one handle, and how long they took.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::histogram::{Histogram, TimeRecorder};
use crate::liveness::LossReason;

/// What became of the acquisitions through one handle and its clones, and how long they waited and held.
///
/// It counts what this process did through this handle since the handle was made, and knows nothing of others. A handle that is made
/// anew from the coordinator counts anew. Every acquisition counts once it has ended: as acquired (then its wait
/// is among [`waits`](Stats::waits)), contended, timed out, cancelled or failed. A hold is counted the moment it ends.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Tries that ended at once since others were there.
    pub contended: u64,
    /// Acquisitions whose patience ended while they waited for others.
    pub timed_out: u64,
    /// Acquisitions that were dropped before they were granted. (One that is dropped at the moment of its grant may count as
    /// acquired and released.)
    pub cancelled: u64,
    /// Acquisitions that ended with an error.
    pub failed: u64,
    /// Holds that ended otherwise than by their guard.
    pub losses: u64,
    /// From the call to the grant, of those that were granted.
    pub waits: Histogram,
    /// From the grant to the release, the drop of the guard or the loss. The rest of a minimum hold is not in it.
    pub holds: Histogram,
}

impl Stats {
    /// How many acquisitions were granted.
    pub fn acquisitions(&self) -> u64 {
        self.waits.count()
    }

    /// Adds what was counted elsewhere: through another handle, in another process.
    pub fn merge(&mut self, other: &Stats) {
        self.contended += other.contended;
        self.timed_out += other.timed_out;
        self.cancelled += other.cancelled;
        self.failed += other.failed;
        self.losses += other.losses;
        self.waits.merge(&other.waits);
        self.holds.merge(&other.holds);
    }
}

/// What became of one acquisition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Granted after that time.
    Acquired(Duration),
    /// A try that met others.
    Contended,
    /// Others held it for longer than the caller's patience.
    TimedOut,
    /// The caller is gone.
    Cancelled,
    /// An error.
    Failed,
}

/// Counts for one handle and its clones.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    contended: AtomicU64,
    timed_out: AtomicU64,
    cancelled: AtomicU64,
    failed: AtomicU64,
    losses: AtomicU64,
    waits: TimeRecorder,
    holds: TimeRecorder,
}

impl Recorder {
    /// To be called by [`Subject`](crate::observe::Subject) alone, so that whatever is counted here is recorded everywhere else.
    pub(crate) fn acquisition(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Acquired(waited) => return self.waits.record(waited),
            Outcome::Contended => &self.contended,
            Outcome::TimedOut => &self.timed_out,
            Outcome::Cancelled => &self.cancelled,
            Outcome::Failed => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// As [`Recorder::acquisition`].
    pub(crate) fn hold(&self, held: Duration, reason: LossReason) {
        if reason != LossReason::Released {
            self.losses.fetch_add(1, Ordering::Relaxed);
        }
        self.holds.record(held);
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            contended: count(&self.contended),
            timed_out: count(&self.timed_out),
            cancelled: count(&self.cancelled),
            failed: count(&self.failed),
            losses: count(&self.losses),
            waits: self.waits.snapshot(),
            holds: self.holds.snapshot(),
        }
    }
}

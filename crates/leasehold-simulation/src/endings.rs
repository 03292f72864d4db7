//! The ends of holds, written down when they could be known.
//!
//! # Implementation
//!
//! A holder is told of the end before its entry is withdrawn. A task that waits for the end is woken then, and polled some time later in the same
//! instant: perhaps after one whom the withdrawal has let in, if that one was awake for another reason (seed 5709). So at each change of a queue
//! the holds are looked at first. A look does not disturb the hold, and what a task of its own sees besides is an end without a change.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use leasehold_core::{Held, LossReason};
use leasehold_testkit::history::{OpId, Recorder, What};

use crate::log::Log;

/// Of the holds of all processes.
pub(crate) struct Endings {
    log: Arc<Log>,
    awaited: Mutex<Vec<Awaited>>,
}

struct Awaited {
    op: OpId,
    recorder: Recorder,
    lost: Pin<Box<dyn Future<Output = LossReason> + Send>>,
}

impl Endings {
    pub(crate) fn new(log: Arc<Log>) -> Arc<Self> {
        Arc::new(Self { log, awaited: Mutex::default() })
    }

    /// A hold has begun.
    pub(crate) fn begun(self: &Arc<Self>, op: OpId, recorder: &Recorder, held: &Held) {
        let awaited = Awaited { op, recorder: recorder.clone(), lost: Box::pin(held.lost()) };
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner).push(awaited);
        // Not behind the gate of its process, which would put it off.
        let (endings, lost) = (Arc::clone(self), held.lost());
        tokio::spawn(async move {
            lost.await;
            endings.write_down();
        });
    }

    /// Writes down all that have come.
    pub(crate) fn write_down(&self) {
        let mut context = Context::from_waker(Waker::noop());
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        awaited.retain_mut(|Awaited { op, recorder, lost }| {
            let Poll::Ready(reason) = lost.as_mut().poll(&mut context) else { return true };
            if reason != LossReason::Released {
                self.log.count(lost_by(reason));
                recorder.record(What::Lost { hold: *op, reason: format!("{reason:?}") });
            }
            false
        });
    }
}

/// What a loss is counted as.
fn lost_by(reason: LossReason) -> &'static str {
    match reason {
        LossReason::DeadlinePassed => "lost_deadline",
        LossReason::SessionEnded => "lost_session",
        LossReason::EntryRemoved => "lost_entry",
        LossReason::ForceReleased => "lost_by_force",
        LossReason::MaxHoldPassed => "lost_max_hold",
        LossReason::ShutDown => "lost_shutdown",
        LossReason::Superseded => "lost_superseded",
        _ => "lost_otherwise",
    }
}

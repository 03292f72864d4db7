//! Faults of single calls.

use std::fmt;
use std::time::Duration;

use leasehold_memory::{Fault, Operation};

use crate::dice::Dice;
use crate::plan::{CallFaults, Settings};

/// What happens to a call; each keeps what the contract promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CallFault {
    /// Certainly not applied.
    Error,
    /// Late, within the request time-out or beyond it.
    Delay,
    /// Never arrives.
    RequestLost,
    /// Applied, and nobody hears of it.
    ReplyLost,
    /// Applied at once, and answered late.
    ReplyLate,
    /// Unanswered, and applied long after.
    Ghost,
    /// A change is reported late.
    EventLate,
    /// A change is not reported; later the connection breaks.
    EventLost,
    /// A change is reported that there was not, as one that is reported twice.
    EventDuplicated,
    /// A watch ends without a change.
    WatchCancelled,
    /// The same, and the look that follows is refused once: what was missed is gone, and must be listed anew.
    Compacted,
    /// A look at a queue shows what was long ago.
    StaleRead,
}

impl CallFault {
    /// All of them.
    pub(crate) const ALL: [Self; 12] = [
        Self::Error,
        Self::Delay,
        Self::RequestLost,
        Self::ReplyLost,
        Self::ReplyLate,
        Self::Ghost,
        Self::EventLate,
        Self::EventLost,
        Self::EventDuplicated,
        Self::WatchCancelled,
        Self::Compacted,
        Self::StaleRead,
    ];

    fn concerns(self, operation: Operation) -> bool {
        let is_wait = matches!(operation, Operation::Changed | Operation::RegisterChanged);
        match self {
            Self::EventLate
            | Self::EventLost
            | Self::EventDuplicated
            | Self::WatchCancelled
            | Self::Compacted => is_wait,
            Self::StaleRead => operation == Operation::Contenders,
            // A ghost of a call that changes nothing is a lost request.
            Self::Ghost => matches!(
                operation,
                Operation::Enqueue | Operation::Withdraw | Operation::Publish | Operation::Write
            ),
            Self::Error | Self::Delay | Self::RequestLost | Self::ReplyLost | Self::ReplyLate => !is_wait,
        }
    }

    fn fault(self, dice: &Dice, settings: &Settings) -> Fault {
        let millis = |first, last| Duration::from_millis(dice.between(first, last));
        match self {
            Self::Error => Fault::Refuse,
            Self::Delay if dice.chance(700) => Fault::Delay(millis(1, settings.request_timeout / 2)),
            Self::Delay => Fault::Delay(millis(settings.request_timeout, settings.ttl * 2)),
            Self::RequestLost => Fault::LoseRequest,
            Self::ReplyLost => Fault::LoseReply,
            Self::ReplyLate => Fault::DelayReply(millis(1, settings.request_timeout * 2)),
            Self::Ghost => Fault::DeliverLate(millis(1, settings.ttl * 2)),
            Self::EventLate => Fault::Delay(millis(1, settings.ttl)),
            Self::EventLost => Fault::LoseEvent(millis(1, settings.ttl)),
            Self::EventDuplicated => Fault::Refuse,
            Self::WatchCancelled | Self::Compacted => Fault::Wake(millis(1, settings.ttl)),
            Self::StaleRead => Fault::Stale,
        }
    }
}

impl fmt::Display for CallFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl CallFault {
    /// A word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Delay => "delay",
            Self::RequestLost => "request_lost",
            Self::ReplyLost => "reply_lost",
            Self::ReplyLate => "reply_late",
            Self::Ghost => "ghost",
            Self::EventLate => "event_late",
            Self::EventLost => "event_lost",
            Self::EventDuplicated => "event_duplicated",
            Self::WatchCancelled => "watch_cancelled",
            Self::Compacted => "compacted",
            Self::StaleRead => "stale_read",
        }
    }
}

/// What happens to the `nth` call of a seed, which asks for `operation`: a matter of these alone, so that a run with fewer faults has the same ones
/// where it has any.
pub(crate) fn draw(
    faults: &CallFaults,
    settings: &Settings,
    seed: u64,
    nth: u64,
    operation: Operation,
) -> Option<(CallFault, Fault)> {
    if faults.only.as_ref().is_some_and(|only| !only.contains(&nth)) {
        return None;
    }
    let dice = Dice::new(seed, nth << 8 | 7);
    let (kind, _) = faults
        .kinds
        .iter()
        .find(|(kind, frequency)| kind.concerns(operation) && dice.below(10_000) < *frequency)?;
    Some((*kind, kind.fault(&dice, settings)))
}

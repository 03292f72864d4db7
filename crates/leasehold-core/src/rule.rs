//! What a recipe is to the engine.

use crate::attempt::AttemptId;
use crate::backend::Interest;
use crate::contenders::Contenders;
use crate::mode::Mode;

/// Says from a queue and a place in it whether that place is granted, or what it waits for.
///
/// A rule is a pure function; the engine asks it again after every change.
pub(crate) trait Rule: Send + Sync + 'static {
    fn verdict(&self, queue: &Contenders, me: AttemptId) -> Verdict;

    /// Whether of those ahead it minds only the one next ahead, and of that one only whether it is there.
    fn minds_the_next_only(&self) -> bool {
        false
    }

    /// Why a contender of this mode must not stand in this queue at all. Asked where an enqueue that is made only if the
    /// queue is free found it busy; in its verdicts a rule objects by [`Verdict::Refused`].
    fn objection(&self, _queue: &Contenders, _mode: Mode) -> Option<String> {
        None
    }
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The attempt has no entry in the queue.
    NotQueued,
    /// It holds.
    Granted {
        /// The mode that the entry shall have from now on, where those behind wait to see it.
        announce: Option<Mode>,
    },
    /// It waits until this changes.
    WaitFor(Interest),
    /// It waits until this changes, which somebody is expected to say but may fail to: so it also looks again now and
    /// then by itself.
    WaitForHint(Interest),
    /// The others in the queue and this one cannot agree, for this reason.
    Refused(String),
}

impl Verdict {
    /// Granted, and nobody waits to see it.
    pub(crate) const GRANTED: Verdict = Verdict::Granted { announce: None };
}

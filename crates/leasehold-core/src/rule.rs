//! What a recipe is to the engine.

use crate::attempt::AttemptId;
use crate::backend::Interest;
use crate::contenders::Contenders;

/// Says from a queue and a place in it whether that place is granted, or what it waits for.
///
/// A rule is a pure function; the engine asks it again after every change.
pub(crate) trait Rule: Send + Sync + 'static {
    fn verdict(&self, queue: &Contenders, me: AttemptId) -> Verdict;
}

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The attempt has no entry in the queue.
    NotQueued,
    /// It holds.
    Granted,
    /// It waits until this changes.
    WaitFor(Interest),
}

//! Wrong clients and services: what each gets wrong, a mistake that was made somewhere, must be found out.

/// What is wrong in a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// The resource looks at no token.
    NoFence,
    /// The resource looks at the token of a write, and lets everybody read.
    FenceOnWritesOnly,
    /// The token is a count of the queue's entries that begins anew when the queue has been empty.
    SequenceAsToken,
    /// Who sees nobody ahead takes the lock, whether its own entry is there or not.
    NoOwnEntryCheck,
    /// Two enqueues are carried out in one transaction, and get one order.
    TwoEnqueuesInOneTransaction,
    /// A withdrawal leaves nothing behind that keeps a late enqueue of the same attempt out.
    NoTombstone,
    /// A wait for an entry that is gone already is not told.
    CheckBeforeRegistering,
    /// A wake-up is taken for a grant.
    NoSecondLook,
    /// A waiter waits for the first in line, and takes its end for its own turn.
    WaitForTheFirst,
    /// A withdrawal that is not confirmed is not repeated.
    WithdrawalNotRepeated,
    /// The session is believed in beyond what the service promised: by pings that a follower answers by itself, by a clock
    /// that has stopped, or by no deadline at all.
    DeadlineNotKept,
    /// The deadline is looked at before the wait and not when the grant is given.
    StaleGrant,
    /// A release removes the first entry of the queue, not the one of its attempt.
    ReleaseByPosition,
}

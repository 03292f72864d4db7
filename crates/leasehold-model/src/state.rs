//! The state: service, clients, resource.

/// The most clients, and the most attempts of all clients together.
pub(crate) const CLIENTS: usize = 4;
pub(crate) const ATTEMPTS: usize = 12;

/// Everything. Attempts are numbered over all clients: a client has [`Protocol::attempts`](crate::Protocol::attempts) of them in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct State {
    /// The order of each attempt's entry; 0 where there is none.
    pub order: [u8; ATTEMPTS],
    /// The highest order that was given.
    pub last_order: u8,
    /// How many entries there were since the queue was last empty.
    pub sequence: u8,
    /// Attempts that have had an entry: a bit each.
    pub was_there: u16,
    /// Attempts of whose enqueues one may have gone unanswered.
    pub ambiguous: u16,
    /// Attempts whose enqueue is refused for ever.
    pub tombstones: u16,
    /// How many enqueues of each attempt are on their way.
    pub enqueues: [u8; ATTEMPTS],
    /// Attempts with a withdrawal on its way.
    pub withdrawals: u16,
    /// Attempts enqueued in the second session of their client.
    pub in_second_session: u16,
    /// The sessions that the service has ended: two bits a client.
    pub ended: u8,
    /// The clients.
    pub clients: [Client; CLIENTS],
    /// The highest token that the resource keeps.
    pub fence: u8,
    /// The highest token of an operation that it has accepted.
    pub touched: u8,
    /// The resource's value: how often it was written.
    pub value: u8,
    /// The token of the latest grant whose entry was there when it was given.
    pub last_grant: u8,
    /// How many faults of each kind are left.
    pub left: crate::Budget,
    /// What has happened that never may: see the properties.
    pub wrong: Wrong,
    /// What has happened that must be possible: see the properties.
    pub seen: Seen,
}

/// What must not happen, as far as it is an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Wrong {
    /// An operation was accepted after one with a higher token.
    pub stale_accepted: bool,
    /// A write that was based on an older value was accepted.
    pub update_lost: bool,
    /// A grant had no higher token than one before it.
    pub token_fell: bool,
    /// A grant was given while somebody was ahead.
    pub overtaken: bool,
    /// A grant was given after the deadline.
    pub born_stale: bool,
}

/// What must be possible, as far as it is an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Seen {
    /// The resource has refused an operation.
    pub refused: bool,
    /// A tombstone has kept an enqueue out.
    pub kept_out: bool,
    /// An entry came back after it had been removed.
    pub came_back: bool,
    /// A grant was given in a second session.
    pub resumed: bool,
}

/// A client: one process with one task that takes the lock again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Client {
    /// What it is about to do.
    pub phase: Phase,
    /// The number of its attempts that are used, the present one included.
    pub attempts: u8,
    /// How often it has got what it wanted, or has given up.
    pub tenures: u8,
    /// In its second session.
    pub second_session: bool,
    /// The local deadline of its session has passed.
    pub deadline_passed: bool,
    /// The order of its entry as its enqueue was answered.
    pub order: u8,
    /// The token of its entry, likewise.
    pub token: u8,
}

/// What a client is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Phase {
    /// To enqueue.
    #[default]
    Idle,
    /// To hear of its enqueue, wanted or given up meanwhile.
    Asking {
        /// The caller has gone.
        cancelled: bool,
    },
    /// To take the lock: nobody was ahead when it looked.
    First {
        /// Its entry was there when it looked.
        present: bool,
    },
    /// To watch the entry ahead.
    Behind {
        /// Whose entry.
        ahead: u8,
        /// The entry's order.
        order: u8,
    },
    /// To be woken.
    Waiting {
        /// Whose entry.
        ahead: u8,
        /// The entry's order.
        order: u8,
    },
    /// To look again.
    Woken,
    /// To read the resource.
    Reading,
    /// To write it.
    Writing {
        /// The value that it has read.
        base: u8,
    },
    /// To release.
    Releasing,
    /// To hear of its withdrawal.
    Withdrawing {
        /// And then to try once more.
        again: bool,
    },
    /// Nothing any more.
    Finished,
    /// Nothing any more: the process is dead.
    Crashed,
}

impl Phase {
    /// Whether the application is in its critical section.
    pub(crate) fn holds(self) -> bool {
        matches!(self, Phase::Reading | Phase::Writing { .. } | Phase::Releasing)
    }

    /// Whether the acquisition goes on.
    pub(crate) fn acquires(self) -> bool {
        matches!(
            self,
            Phase::Asking { .. }
                | Phase::First { .. }
                | Phase::Behind { .. }
                | Phase::Waiting { .. }
                | Phase::Woken
        )
    }

    /// Whether nothing more comes of the client.
    pub(crate) fn is_over(self) -> bool {
        matches!(self, Phase::Finished | Phase::Crashed)
    }
}

impl Client {
    /// Whether it believes to hold, by what it knows and its clock.
    pub(crate) fn believes(&self) -> bool {
        self.phase.holds() && !self.deadline_passed
    }
}

//! The client's side: what the contention engine does.

use crate::Flaw;
use crate::protocol::Protocol;
use crate::service::{Answer, bit};
use crate::state::{Phase, State};

impl Protocol {
    /// The client goes on with its next tenure, or this one once more; or it has nothing to do any more.
    pub(crate) fn next(&self, state: &mut State, client: usize, again: bool) {
        let own = &mut state.clients[client];
        own.tenures += u8::from(!again);
        own.order = 0;
        own.token = 0;
        let no_session = own.deadline_passed && own.second_session;
        let is_over = own.tenures == self.tenures || own.attempts == self.attempts || no_session;
        own.phase = if is_over { Phase::Finished } else { Phase::Idle };
    }

    /// A new attempt, in a session whose deadline has not passed.
    pub(crate) fn begin(&self, state: &mut State, client: usize) {
        let own = &mut state.clients[client];
        if own.deadline_passed {
            own.second_session = true;
            own.deadline_passed = false;
        }
        own.attempts += 1;
        own.phase = Phase::Asking { cancelled: false };
        let second = own.second_session;
        let attempt = self.attempt(state, client);
        state.enqueues[attempt] = 1;
        if second {
            state.in_second_session |= bit(attempt);
        }
    }

    /// The answer to an enqueue, and with it what a look at the queue shows.
    pub(crate) fn answered(&self, state: &mut State, client: usize, answer: Answer) {
        match answer {
            Answer::Placed { order, token } => {
                let own = &mut state.clients[client];
                let cancelled = own.phase == Phase::Asking { cancelled: true };
                own.order = order;
                own.token = token;
                if cancelled {
                    self.leave(state, client, false);
                } else {
                    self.look(state, client);
                }
            }
            Answer::Withdrawn => self.leave(state, client, true),
            Answer::SessionLost => self.session_lost(state, client),
        }
    }

    /// An enqueue of the client's was lost, or its answer.
    pub(crate) fn unanswered(&self, state: &mut State, client: usize) {
        state.ambiguous |= bit(self.attempt(state, client));
        if state.clients[client].phase == (Phase::Asking { cancelled: true }) {
            self.leave(state, client, false);
        }
    }

    /// Looks at the queue, and sees whose turn it is.
    pub(crate) fn look(&self, state: &mut State, client: usize) {
        let present = self.is_present(state, client);
        if !present && self.flaw != Some(Flaw::NoOwnEntryCheck) {
            return self.leave(state, client, true);
        }
        let order = state.clients[client].order;
        let ahead = state.entries().filter(|(_, other)| *other < order);
        let watched = match self.flaw {
            Some(Flaw::WaitForTheFirst) => ahead.min_by_key(|(_, order)| *order),
            _ => ahead.max_by_key(|(_, order)| *order),
        };
        state.clients[client].phase = match watched {
            Some((attempt, order)) => Phase::Behind { ahead: attempt as u8, order },
            None => Phase::First { present },
        };
    }

    /// Registers the interest in the entry ahead, and then sees whether it is still there.
    pub(crate) fn watch(&self, state: &mut State, client: usize) {
        let Phase::Behind { ahead, order } = state.clients[client].phase else { return };
        state.clients[client].phase = Phase::Waiting { ahead, order };
        let is_gone = state.order[usize::from(ahead)] != order;
        if is_gone && self.flaw != Some(Flaw::CheckBeforeRegistering) {
            self.wake(state, client);
        }
    }

    pub(crate) fn wake(&self, state: &mut State, client: usize) {
        let trusts = matches!(self.flaw, Some(Flaw::NoSecondLook | Flaw::WaitForTheFirst));
        state.clients[client].phase = if trusts { Phase::First { present: true } } else { Phase::Woken };
    }

    /// Takes the lock: a grant, unless the deadline has passed.
    pub(crate) fn grant(&self, state: &mut State, client: usize, saw_its_entry: bool) {
        let own = state.clients[client];
        if own.deadline_passed && self.flaw != Some(Flaw::StaleGrant) {
            return self.session_lost(state, client);
        }
        let present = self.is_present(state, client);
        state.clients[client].phase = Phase::Reading;
        state.wrong.born_stale |= own.deadline_passed;
        state.wrong.overtaken |= present && state.entries().any(|(_, order)| order < own.order);
        // Between the look and this, the entry can be removed by hand, and the next in line be granted: then the order of the
        // grants is not that of these steps.
        if present || !saw_its_entry {
            state.wrong.token_fell |= own.token <= state.last_grant;
            state.last_grant = own.token;
        }
        state.seen.resumed |= own.second_session;
    }

    /// Sees to it that there is no entry and none can come to be.
    pub(crate) fn leave(&self, state: &mut State, client: usize, again: bool) {
        state.clients[client].phase = Phase::Withdrawing { again };
        state.withdrawals |= bit(self.attempt(state, client));
    }

    /// A withdrawal of the client's was lost, or its answer.
    pub(crate) fn unconfirmed(&self, state: &mut State, client: usize) {
        if self.flaw == Some(Flaw::WithdrawalNotRepeated) {
            self.next(state, client, false);
        }
    }

    /// The session is lost, and with it whatever the client was about; a wait goes on in the next.
    pub(crate) fn session_lost(&self, state: &mut State, client: usize) {
        let own = &mut state.clients[client];
        own.deadline_passed = true;
        let again = match own.phase {
            Phase::Withdrawing { again } => again,
            Phase::Asking { cancelled } => !cancelled,
            phase => phase.acquires(),
        };
        self.next(state, client, again);
    }
}

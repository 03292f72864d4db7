//! The service's side: what the contract asks of it, and no more.

use crate::Flaw;
use crate::protocol::Protocol;
use crate::state::{Phase, State};

/// What an enqueue is answered.
pub(crate) enum Answer {
    Placed { order: u8, token: u8 },
    Withdrawn,
    SessionLost,
}

pub(crate) const fn bit(attempt: usize) -> u16 {
    1 << attempt
}

impl State {
    /// Whether the service has ended the session.
    pub(crate) fn has_ended(&self, client: usize, second: bool) -> bool {
        self.ended & session_bit(client, second) != 0
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (usize, u8)> {
        self.order.iter().copied().enumerate().filter(|(_, order)| *order > 0)
    }
}

fn session_bit(client: usize, second: bool) -> u8 {
    1 << (2 * client + usize::from(second))
}

impl Protocol {
    /// Carries an enqueue out. It is idempotent by attempt.
    pub(crate) fn enqueue(&self, state: &mut State, attempt: usize) -> Answer {
        let is_empty = state.last_order > 0 && state.entries().next().is_none();
        if self.refusal(state, attempt).is_none() && state.order[attempt] == 0 {
            state.last_order += 1;
            state.sequence = if is_empty { 1 } else { state.sequence + 1 };
        }
        self.place(state, attempt)
    }

    /// Carries two enqueues out as one transaction that gives both the same order.
    pub(crate) fn enqueue_together(&self, state: &mut State, attempts: [usize; 2]) -> [Answer; 2] {
        state.last_order += 1;
        attempts.map(|attempt| self.place(state, attempt))
    }

    fn refusal(&self, state: &State, attempt: usize) -> Option<Answer> {
        let second = state.in_second_session & bit(attempt) != 0;
        if state.has_ended(self.client_of(attempt), second) {
            return Some(Answer::SessionLost);
        }
        (state.tombstones & bit(attempt) != 0).then_some(Answer::Withdrawn)
    }

    /// Makes the entry of the attempt with the newest order, unless it is there.
    fn place(&self, state: &mut State, attempt: usize) -> Answer {
        if let Some(refusal) = self.refusal(state, attempt) {
            state.seen.kept_out |= matches!(refusal, Answer::Withdrawn);
            return refusal;
        }
        if state.order[attempt] == 0 {
            state.order[attempt] = state.last_order;
            state.seen.came_back |= state.was_there & bit(attempt) != 0;
            state.was_there |= bit(attempt);
        }
        let order = state.order[attempt];
        let token = if self.flaw == Some(Flaw::SequenceAsToken) { state.sequence } else { order };
        Answer::Placed { order, token }
    }

    /// Carries a withdrawal out. Of an attempt that is ambiguous it leaves a tombstone.
    pub(crate) fn withdraw(&self, state: &mut State, attempt: usize) {
        if state.ambiguous & bit(attempt) != 0 && self.flaw != Some(Flaw::NoTombstone) {
            state.tombstones |= bit(attempt);
        }
        let removed = match self.flaw {
            Some(Flaw::ReleaseByPosition) => {
                state.entries().min_by_key(|(_, order)| *order).map(|(attempt, _)| attempt)
            }
            _ => Some(attempt),
        };
        if let Some(attempt) = removed {
            self.remove(state, attempt);
        }
    }

    /// Removes an entry and tells who waits for that.
    pub(crate) fn remove(&self, state: &mut State, attempt: usize) {
        if state.order[attempt] == 0 {
            return;
        }
        state.order[attempt] = 0;
        for client in 0..self.clients {
            if let Phase::Waiting { ahead, .. } = state.clients[client].phase
                && usize::from(ahead) == attempt
            {
                self.wake(state, client);
            }
        }
    }

    /// Ends a session, with all its entries.
    pub(crate) fn end_session(&self, state: &mut State, client: usize, second: bool) {
        state.ended |= session_bit(client, second);
        for attempt in self.attempts_of(client) {
            if (state.in_second_session & bit(attempt) != 0) == second {
                self.remove(state, attempt);
            }
        }
    }
}

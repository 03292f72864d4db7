//! What is checked: the number of clients and of what they do, the faults, and the flaw; and which step leads where.

use stateright::{Model, Property};

use crate::properties;
use crate::service::bit;
use crate::state::{ATTEMPTS, CLIENTS, Client, Phase, State};
use crate::{Flaw, Step};

/// How many faults of each kind may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Budget {
    /// Requests and answers that are lost.
    pub lost: u8,
    /// Answers that are late, so that the request is sent again while it is under way.
    pub late: u8,
    /// Sessions whose renewals stop getting through.
    pub expiries: u8,
    /// Processes that die.
    pub crashes: u8,
    /// Callers that go away.
    pub cancels: u8,
    /// Entries that are removed by hand.
    pub removals: u8,
    /// Waits that end for no reason.
    pub wake_ups: u8,
}

/// The model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocol {
    /// How many clients there are.
    pub clients: usize,
    /// How often each wants the lock.
    pub tenures: u8,
    /// How often each may try: more than `tenures`, where attempts can fail.
    pub attempts: u8,
    /// The faults.
    pub faults: Budget,
    /// What is wrong.
    pub flaw: Option<Flaw>,
    /// The names of the [properties that must be reached](crate::SOMETIMES).
    pub reaches: &'static [&'static str],
}

impl Protocol {
    pub(crate) fn attempts_of(&self, client: usize) -> std::ops::Range<usize> {
        let attempts = usize::from(self.attempts);
        client * attempts..(client + 1) * attempts
    }

    fn all_attempts(&self) -> std::ops::Range<usize> {
        0..self.clients * usize::from(self.attempts)
    }

    pub(crate) fn client_of(&self, attempt: usize) -> usize {
        attempt / usize::from(self.attempts)
    }

    /// The present attempt of a client that has made one.
    pub(crate) fn attempt(&self, state: &State, client: usize) -> usize {
        self.attempts_of(client).start + usize::from(state.clients[client].attempts) - 1
    }

    /// Whether the entry is there that the client was answered.
    pub(crate) fn is_present(&self, state: &State, client: usize) -> bool {
        let own = &state.clients[client];
        own.order > 0 && state.order[self.attempt(state, client)] == own.order
    }

    /// Whether nothing happens any more unless something goes wrong.
    pub(crate) fn is_quiet(&self, state: &State) -> bool {
        // Most states are told by this, without the list.
        let is_busy = |own: &Client| {
            use Phase::{Behind, First, Idle, Reading, Woken, Writing};
            matches!(own.phase, Idle | First { .. } | Behind { .. } | Woken | Reading | Writing { .. })
        };
        if state.withdrawals != 0 || state.clients[..self.clients].iter().any(is_busy) {
            return false;
        }
        let mut steps = Vec::new();
        self.steps(state, &mut steps);
        steps.is_empty()
    }

    /// What can happen without a fault.
    fn steps(&self, state: &State, steps: &mut Vec<Step>) {
        for client in 0..self.clients {
            let own = &state.clients[client];
            let may_be_gone = own.order > 0 && !self.is_present(state, client);
            match own.phase {
                Phase::Idle => steps.push(Step::Begin(client)),
                Phase::Asking { .. } if state.enqueues[self.attempt(state, client)] == 0 => {
                    steps.push(Step::AskAgain(client));
                }
                Phase::First { .. } => steps.push(Step::Grant(client)),
                Phase::Behind { .. } => steps.push(Step::Watch(client)),
                Phase::Waiting { .. } if may_be_gone => steps.push(Step::OwnEntryGone(client)),
                Phase::Woken => steps.push(Step::Look(client)),
                Phase::Reading => steps.push(Step::Read(client)),
                Phase::Writing { .. } => steps.push(Step::Write(client)),
                Phase::Releasing if !own.deadline_passed => steps.push(Step::Release(client)),
                Phase::Withdrawing { .. } if state.withdrawals & bit(self.attempt(state, client)) == 0 => {
                    steps.push(Step::WithdrawAgain(client));
                }
                Phase::Crashed if !own.deadline_passed => steps.push(Step::DeadlinePasses(client)),
                _ => {}
            }
            if own.phase.holds() && may_be_gone {
                steps.push(Step::OwnEntryGone(client));
            }
            let is_at_it = !own.phase.is_over() && own.phase != Phase::Idle;
            if is_at_it && (own.deadline_passed || state.has_ended(client, own.second_session)) {
                steps.push(Step::SessionLost(client));
            }
            for second in [false, true] {
                let is_present = own.second_session == second;
                let has_been = (!second && own.second_session) || is_present && own.deadline_passed;
                if has_been && !state.has_ended(client, second) {
                    steps.push(Step::SessionEnds(client, second));
                }
            }
            for attempt in self.attempts_of(client) {
                if state.enqueues[attempt] > 0 {
                    let asks = self.asks(state, attempt);
                    steps.push(if asks { Step::Enqueue(attempt) } else { Step::EnqueueLate(attempt) });
                }
                if state.withdrawals & bit(attempt) != 0 {
                    steps.push(Step::Withdraw(attempt));
                }
            }
        }
    }

    /// Whether the client of the attempt waits for the answer to its enqueue.
    fn asks(&self, state: &State, attempt: usize) -> bool {
        let client = self.client_of(attempt);
        let asks = matches!(state.clients[client].phase, Phase::Asking { .. });
        asks && self.attempt(state, client) == attempt
    }

    /// Whether it waits for the answer to its withdrawal.
    fn withdraws(&self, state: &State, attempt: usize) -> bool {
        let client = self.client_of(attempt);
        let withdraws = matches!(state.clients[client].phase, Phase::Withdrawing { .. });
        withdraws && self.attempt(state, client) == attempt
    }

    /// What can go wrong.
    fn mishaps(&self, state: &State, steps: &mut Vec<Step>) {
        let left = &state.left;
        for client in 0..self.clients {
            let own = &state.clients[client];
            if own.phase.is_over() {
                continue;
            }
            if left.late > 0 && matches!(own.phase, Phase::Asking { .. }) {
                let attempt = self.attempt(state, client);
                if state.enqueues[attempt] == 1 {
                    steps.push(Step::TimeOut(client));
                }
            }
            if left.wake_ups > 0 && matches!(own.phase, Phase::Waiting { .. }) {
                steps.push(Step::WakeUp(client));
            }
            if left.cancels > 0 && own.phase.acquires() && own.phase != (Phase::Asking { cancelled: true }) {
                steps.push(Step::Cancel(client));
            }
            if left.crashes > 0 {
                steps.push(Step::Crash(client));
            }
            if left.expiries > 0 && own.attempts > 0 {
                if !own.deadline_passed {
                    steps.push(Step::DeadlinePasses(client));
                }
                let ends = !own.deadline_passed && !state.has_ended(client, own.second_session);
                if ends && self.flaw == Some(Flaw::DeadlineNotKept) {
                    steps.push(Step::SessionEnds(client, own.second_session));
                }
            }
        }
        for attempt in self.all_attempts() {
            if left.lost > 0 && state.enqueues[attempt] > 0 && self.asks(state, attempt) {
                steps.extend([Step::EnqueueUnanswered(attempt), Step::EnqueueLost(attempt)]);
            }
            if left.lost > 0 && state.withdrawals & bit(attempt) != 0 && self.withdraws(state, attempt) {
                steps.extend([Step::WithdrawUnanswered(attempt), Step::WithdrawLost(attempt)]);
            }
            if left.removals > 0 && state.order[attempt] > 0 {
                steps.push(Step::RemoveByHand(attempt));
            }
        }
        if self.flaw == Some(Flaw::TwoEnqueuesInOneTransaction) {
            let under_way = |attempt: &usize| self.asks(state, *attempt) && state.enqueues[*attempt] > 0;
            let asking: Vec<_> = self.all_attempts().filter(under_way).collect();
            for (at, first) in asking.iter().enumerate() {
                let pairs = asking[at + 1..].iter().map(|second| Step::EnqueueTogether(*first, *second));
                steps.extend(pairs);
            }
        }
    }

    fn carry_out(&self, state: &mut State, step: Step) {
        match step {
            Step::Begin(client) => self.begin(state, client),
            Step::AskAgain(client) => state.enqueues[self.attempt(state, client)] = 1,
            Step::TimeOut(client) => {
                state.left.late -= 1;
                let cancelled = state.clients[client].phase == Phase::Asking { cancelled: true };
                self.unanswered(state, client);
                if !cancelled {
                    state.enqueues[self.attempt(state, client)] = 2;
                }
            }
            Step::Enqueue(attempt) => {
                state.enqueues[attempt] -= 1;
                let answer = self.enqueue(state, attempt);
                self.answered(state, self.client_of(attempt), answer);
            }
            Step::EnqueueLate(attempt) => {
                state.enqueues[attempt] -= 1;
                self.enqueue(state, attempt);
            }
            Step::EnqueueUnanswered(attempt) => {
                state.left.lost -= 1;
                state.enqueues[attempt] -= 1;
                self.enqueue(state, attempt);
                self.unanswered(state, self.client_of(attempt));
            }
            Step::EnqueueLost(attempt) => {
                state.left.lost -= 1;
                state.enqueues[attempt] -= 1;
                self.unanswered(state, self.client_of(attempt));
            }
            Step::EnqueueTogether(first, second) => {
                let attempts = [first, second];
                let answers = self.enqueue_together(state, attempts);
                for (attempt, answer) in attempts.into_iter().zip(answers) {
                    state.enqueues[attempt] -= 1;
                    self.answered(state, self.client_of(attempt), answer);
                }
            }
            Step::Grant(client) => {
                let Phase::First { present } = state.clients[client].phase else { return };
                self.grant(state, client, present);
            }
            Step::Watch(client) => self.watch(state, client),
            Step::Look(client) => self.look(state, client),
            Step::WakeUp(client) => {
                state.left.wake_ups -= 1;
                self.wake(state, client);
            }
            Step::OwnEntryGone(client) if state.clients[client].phase.holds() => {
                self.leave(state, client, false);
            }
            Step::OwnEntryGone(client) => state.clients[client].phase = Phase::Woken,
            Step::SessionLost(client) => self.session_lost(state, client),
            Step::Read(client) => state.read(client, self.flaw),
            Step::Write(client) => {
                let Phase::Writing { base } = state.clients[client].phase else { return };
                state.write(client, base, self.flaw);
            }
            Step::Release(client) => self.leave(state, client, false),
            Step::WithdrawAgain(client) => state.withdrawals |= bit(self.attempt(state, client)),
            Step::Withdraw(attempt) => {
                state.withdrawals &= !bit(attempt);
                self.withdraw(state, attempt);
                let client = self.client_of(attempt);
                if self.withdraws(state, attempt)
                    && let Phase::Withdrawing { again } = state.clients[client].phase
                {
                    self.next(state, client, again);
                }
            }
            Step::WithdrawUnanswered(attempt) => {
                state.left.lost -= 1;
                state.withdrawals &= !bit(attempt);
                self.withdraw(state, attempt);
                self.unconfirmed(state, self.client_of(attempt));
            }
            Step::WithdrawLost(attempt) => {
                state.left.lost -= 1;
                state.withdrawals &= !bit(attempt);
                self.unconfirmed(state, self.client_of(attempt));
            }
            Step::Cancel(client) => {
                state.left.cancels -= 1;
                match state.clients[client].phase {
                    Phase::Asking { .. } => state.clients[client].phase = Phase::Asking { cancelled: true },
                    _ => self.leave(state, client, false),
                }
            }
            Step::Crash(client) => {
                state.left.crashes -= 1;
                state.clients[client].phase = Phase::Crashed;
            }
            Step::DeadlinePasses(client) => {
                if state.clients[client].phase != Phase::Crashed {
                    state.left.expiries -= 1;
                }
                state.clients[client].deadline_passed = true;
            }
            Step::SessionEnds(client, second) => {
                let own = &state.clients[client];
                if own.second_session == second && !own.deadline_passed {
                    state.left.expiries -= 1;
                }
                self.end_session(state, client, second);
            }
            Step::RemoveByHand(attempt) => {
                state.left.removals -= 1;
                self.remove(state, attempt);
            }
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        assert!(self.clients <= CLIENTS && self.all_attempts().end <= ATTEMPTS);
        vec![State { left: self.faults, ..State::default() }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        self.steps(state, steps);
        self.mishaps(state, steps);
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = *state;
        self.carry_out(&mut next, step);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::of(self)
    }
}

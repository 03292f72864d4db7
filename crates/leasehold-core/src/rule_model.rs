//! All histories of small queues under a rule: who holds, who waits for what, who is woken.
//!
//! A model of the engine and a service that is in order. Contenders come one by one, look, wait, are woken, are
//! granted, announce, change their mode and leave, in every order that is possible; a look shows the queue as it is. In
//! each state that is reached the holders must be compatible, and in each state in which nobody has anything to do,
//! whoever is entitled must hold.

use std::collections::HashSet;

use crate::attempt::{AttemptId, AttemptIds};
use crate::backend::Interest;
use crate::contenders::{Contender, Contenders};
use crate::mode::Mode;
use crate::rule::{Rule, Verdict};

/// A rule, and what is demanded of it.
pub(crate) struct Model {
    pub(crate) rule: &'static dyn Rule,
    /// Whether an entry of this mode is one of the recipe's. Others stand in the queue, silent, until they leave.
    pub(crate) is_own: fn(Mode) -> bool,
    /// Whether the entry at the index may hold, by the modes of all entries in order. Once it may, it may until it
    /// leaves.
    pub(crate) entitled: fn(&[Mode], usize) -> bool,
    /// Whether these may hold at once.
    pub(crate) compatible: fn(&[Mode]) -> bool,
    /// Whether an exclusive holder may turn shared.
    pub(crate) downgrades: bool,
    /// Whether a granted contender may forget its announcement, as one does that is frozen.
    pub(crate) announcements_get_lost: bool,
    /// How many waiters a leave may wake, by the modes of all entries in order and the index of the one that leaves.
    pub(crate) woken_by_a_leave: fn(&[Mode], usize) -> usize,
}

/// All sequences of one to `longest` of these modes.
pub(crate) fn queues_of(modes: &[Mode], longest: usize) -> Vec<Vec<Mode>> {
    let mut all: Vec<Vec<Mode>> = Vec::new();
    let mut last = vec![Vec::new()];
    for _ in 0..longest {
        let longer = last.iter().flat_map(|queue: &Vec<Mode>| {
            modes.iter().map(move |mode| queue.iter().copied().chain([*mode]).collect::<Vec<_>>())
        });
        last = longer.collect();
        all.extend(last.iter().cloned());
    }
    all
}

/// Where a contender stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    NotYet,
    /// It has to look: it has just come, or was woken.
    Looking,
    Waiting(On),
    Granted {
        announce: Option<Mode>,
    },
    /// It is none of the recipe's.
    Foreign,
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum On {
    Queue,
    /// By index. The second says whether it looks again by itself.
    Entry(usize, bool),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    stages: Vec<Stage>,
    modes: Vec<Mode>,
}

impl Model {
    /// Goes through all histories in which contenders with these modes come in this order.
    pub(crate) fn explore(&self, modes: &[Mode]) {
        let ids = AttemptIds::new().expect("randomness");
        let attempts: Vec<_> = modes.iter().map(|_| ids.next()).collect();
        let start = State { stages: vec![Stage::NotYet; modes.len()], modes: modes.to_vec() };
        let (mut seen, mut open) = (HashSet::from([start.clone()]), vec![start]);
        while let Some(state) = open.pop() {
            self.check(&state);
            for next in self.steps(&state, &attempts) {
                if seen.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
    }

    fn check(&self, state: &State) {
        let holders: Vec<_> = (0..state.modes.len())
            .filter(|index| matches!(state.stages[*index], Stage::Granted { .. }))
            .map(|index| state.modes[index])
            .collect();
        assert!((self.compatible)(&holders), "{state:?}");
        let busy = |stage: &Stage| matches!(stage, Stage::Looking | Stage::Granted { announce: Some(_) });
        if state.stages.iter().any(busy) {
            return;
        }
        let queue = state.queue();
        let modes: Vec<_> = queue.iter().map(|index| state.modes[*index]).collect();
        for (place, index) in queue.iter().enumerate() {
            let looks_again = matches!(state.stages[*index], Stage::Waiting(On::Entry(_, true)));
            let excused = self.announcements_get_lost && looks_again;
            if matches!(state.stages[*index], Stage::Waiting(_)) && !excused {
                assert!(!(self.entitled)(&modes, place), "{index} waits in vain: {state:?}");
            }
        }
    }

    fn steps(&self, state: &State, attempts: &[AttemptId]) -> Vec<State> {
        let mut next = Vec::new();
        let comes = state.stages.iter().position(|stage| *stage == Stage::NotYet);
        if let Some(index) = comes {
            let mut state = state.clone();
            state.wake(|on| on == On::Queue);
            let own = (self.is_own)(state.modes[index]);
            state.stages[index] = if own { Stage::Looking } else { Stage::Foreign };
            next.push(state);
        }
        for index in state.queue() {
            next.push(self.leave(state, index));
            match state.stages[index] {
                Stage::Looking => next.push(self.look(state, index, attempts)),
                Stage::Granted { announce } => {
                    if let Some(mode) = announce {
                        next.push(state.with_mode(index, mode));
                        if self.announcements_get_lost {
                            let mut frozen = state.clone();
                            frozen.stages[index] = Stage::Granted { announce: None };
                            next.push(frozen);
                        }
                    }
                    if self.downgrades && state.modes[index] == Mode::Exclusive {
                        next.push(state.with_mode(index, Mode::Shared));
                    }
                }
                Stage::NotYet | Stage::Waiting(_) | Stage::Foreign | Stage::Gone => {}
            }
        }
        next
    }

    fn leave(&self, state: &State, index: usize) -> State {
        let queue = state.queue();
        let modes: Vec<_> = queue.iter().map(|index| state.modes[*index]).collect();
        let place = queue.iter().position(|other| *other == index).expect("it is in the queue");
        let mut state = state.clone();
        state.stages[index] = Stage::Gone;
        let woken = state.wake(|on| on == On::Queue || matches!(on, On::Entry(other, _) if other == index));
        assert!(woken <= (self.woken_by_a_leave)(&modes, place), "{index} woke {woken}: {state:?}");
        state
    }

    fn look(&self, state: &State, index: usize, attempts: &[AttemptId]) -> State {
        const REVISION: u64 = 7;
        let queue = state.queue();
        let mut contenders: Contenders = queue
            .iter()
            .map(|other| Contender {
                attempt: attempts[*other],
                position: *other as u64,
                mode: state.modes[*other],
            })
            .collect();
        contenders.set_revision(REVISION);
        let modes: Vec<_> = queue.iter().map(|index| state.modes[*index]).collect();
        let place = queue.iter().position(|other| *other == index).expect("it is in the queue");
        let verdict = self.rule.verdict(&contenders, attempts[index]);
        let granted = matches!(verdict, Verdict::Granted { .. });
        assert_eq!(granted, (self.entitled)(&modes, place), "{verdict:?} for {index} in {state:?}");
        let of = |interest: Interest, hint: bool| match interest {
            Interest::Queue { revision } => {
                assert_eq!(revision, REVISION);
                On::Queue
            }
            Interest::Entry { attempt, mode, version } => {
                let other = attempts.iter().position(|other| *other == attempt).expect("one of these");
                assert!(other < index && mode == state.modes[other] && version.is_none(), "{state:?}");
                On::Entry(other, hint)
            }
        };
        let mut state = state.clone();
        state.stages[index] = match verdict {
            Verdict::Granted { announce } => Stage::Granted { announce },
            Verdict::WaitFor(interest) => Stage::Waiting(of(interest, false)),
            Verdict::WaitForHint(interest) => Stage::Waiting(of(interest, true)),
            Verdict::NotQueued | Verdict::Refused(_) => panic!("{verdict:?} for {index} in {state:?}"),
        };
        state
    }
}

impl State {
    /// Who is in the queue, in order.
    fn queue(&self) -> Vec<usize> {
        let present = |index: &usize| !matches!(self.stages[*index], Stage::NotYet | Stage::Gone);
        (0..self.stages.len()).filter(present).collect()
    }

    /// Wakes those who wait for such a change; how many they were.
    fn wake(&mut self, concerns: impl Fn(On) -> bool) -> usize {
        let mut woken = 0;
        for stage in &mut self.stages {
            if matches!(stage, Stage::Waiting(on) if concerns(*on)) {
                *stage = Stage::Looking;
                woken += 1;
            }
        }
        woken
    }

    /// The holder's entry has another mode now.
    fn with_mode(&self, index: usize, mode: Mode) -> Self {
        let mut state = self.clone();
        state.modes[index] = mode;
        state.stages[index] = Stage::Granted { announce: None };
        state.wake(|on| on == On::Queue || matches!(on, On::Entry(other, _) if other == index));
        state
    }
}

//! The gate of a simulated process.
//!
//! # Implementation
//!
//! Every task of a process passes one gate at each of its polls: its workers, its coordinator's and its sessions'. Shut, it keeps the wakers
//! of those who came, and wakes them when it opens. Open, it sends some away all the same, to be polled after the others that are ready: so
//! the order in which tasks run is a matter of the seed, and not of who was woken first.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use leasehold_core::Gate;

use crate::dice::Dice;

/// Shuts and opens the gate of one process.
#[derive(Clone)]
pub(crate) struct Gates(Arc<Shared>);

struct Shared {
    dice: Dice,
    shuffle: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many shut it at the moment.
    shut: usize,
    waiting: Vec<Waker>,
}

impl Gates {
    /// An open one.
    pub(crate) fn new(dice: Dice, shuffle: u64) -> Self {
        Self(Arc::new(Shared { dice, shuffle, state: Mutex::default() }))
    }

    /// What tasks pass.
    pub(crate) fn gate(&self) -> Gate {
        let shared = Arc::clone(&self.0);
        Gate::new(move |context| shared.poll_open(context))
    }

    /// Lets nobody pass until it was opened as often.
    pub(crate) fn shut(&self) {
        self.lock().shut += 1;
    }

    /// Takes one [`Gates::shut`] back.
    pub(crate) fn open(&self) {
        let waiting = {
            let mut state = self.lock();
            state.shut = state.shut.saturating_sub(1);
            if state.shut > 0 { Vec::new() } else { std::mem::take(&mut state.waiting) }
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.lock().shut == 0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn poll_open(&self, context: &mut Context<'_>) -> Poll<()> {
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.shut > 0 {
                if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                    state.waiting.push(context.waker().clone());
                }
                return Poll::Pending;
            }
        }
        if self.shuffle > 0 && self.dice.chance(self.shuffle) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

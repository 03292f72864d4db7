//! Makes the plan of a failing seed smaller.
//!
//! # Implementation
//!
//! Delta debugging: leaves out halves, quarters, … down to single things, and keeps what still breaks the same promise. First disturbances, workers, steps
//! and kinds of faults, with the dice deciding which calls are hit: every step that is left out shifts the numbers of the calls. Then the calls that were
//! hit in the run that is left, one by one; and at last the rest once more.

use crate::plan::Plan;
use crate::run::{Outcome, run};

/// A smaller plan that breaks the same promise.
#[derive(Debug)]
pub struct Minimised {
    /// The plan.
    pub plan: Plan,
    /// What comes of it, with its log.
    pub outcome: Outcome,
    /// How many runs that took.
    pub runs: usize,
}

/// Makes a plan smaller that breaks a promise, by at most `budget` runs.
///
/// # Panics
/// If the plan breaks none.
pub fn minimise(plan: &Plan, budget: usize) -> Minimised {
    let outcome = run(plan, false);
    let promise = outcome.violations.first().expect("a promise is broken").promise.clone();
    let mut search = Search { plan: plan.clone(), outcome, promise, runs: 1, budget };
    search.leave_out_most();
    search.list_calls();
    search.leave_out_most();
    let outcome = run(&search.plan, true);
    Minimised { plan: search.plan, outcome, runs: search.runs + 1 }
}

struct Search {
    plan: Plan,
    outcome: Outcome,
    promise: String,
    runs: usize,
    budget: usize,
}

impl Search {
    /// Takes another plan if it breaks the promise too.
    fn takes(&mut self, plan: Plan) -> bool {
        if self.runs >= self.budget {
            return false;
        }
        self.runs += 1;
        let outcome = run(&plan, false);
        let breaks = outcome.violations.iter().any(|violation| violation.promise == self.promise);
        if breaks {
            (self.plan, self.outcome) = (plan, outcome);
        }
        breaks
    }

    fn leave_out_most(&mut self) {
        self.leave_out(|plan| &mut plan.drama);
        self.leave_out(|plan| &mut plan.workers);
        for worker in 0..self.plan.workers.len() {
            self.leave_out(|plan| &mut plan.workers[worker].steps);
        }
        self.leave_out(|plan| &mut plan.calls.kinds);
        let mut calm = self.plan.clone();
        calm.settings.shuffle = 0;
        self.takes(calm);
    }

    fn list_calls(&mut self) {
        let mut listed = self.plan.clone();
        listed.calls.only = Some(self.outcome.faulty_calls.clone());
        if !self.takes(listed) {
            return;
        }
        let mut calls: Vec<u64> = self.plan.calls.only.iter().flatten().copied().collect();
        self.shrink(&mut calls, |plan, calls| plan.calls.only = Some(calls.iter().copied().collect()));
    }

    fn leave_out<T: Clone>(&mut self, of: impl Fn(&mut Plan) -> &mut Vec<T>) {
        let mut list = of(&mut self.plan).clone();
        self.shrink(&mut list, |plan, list| *of(plan) = list.to_vec());
    }

    /// Leaves out of a list what is not needed.
    fn shrink<T: Clone>(&mut self, list: &mut Vec<T>, put: impl Fn(&mut Plan, &[T])) {
        let mut chunk = list.len();
        while chunk > 0 {
            let mut at = 0;
            while at < list.len() {
                let end = (at + chunk).min(list.len());
                let rest = [&list[..at], &list[end..]].concat();
                let mut plan = self.plan.clone();
                put(&mut plan, &rest);
                if self.takes(plan) {
                    *list = rest;
                } else {
                    at = end;
                }
            }
            chunk /= 2;
        }
    }
}

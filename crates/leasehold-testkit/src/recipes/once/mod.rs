//! The conformance suite of what is done once.
//!
//! | case | what it proves |
//! |---|---|
//! | `one_of_many_runs_it` | many nodes and tasks: one runs, all get its result |
//! | `who_comes_late_finds_it_done` | a fast job does not run twice because a peer's clock is late |
//! | `occurrences_do_not_block_each_other`, `occurrences_completed_together_are_all_recorded` | occurrences of one name |
//! | `old_occurrences_are_forgotten` | retention; what is forgotten runs again; the newest stay |
//! | `a_try_does_not_wait` | `try_run` |
//! | `a_failure_passes_it_on`, `a_crash_passes_it_on`, `a_dropped_run_passes_it_on` | execution is at least once |
//! | `a_runner_that_lost_its_place_cannot_complete`, `a_paused_runner_cannot_complete` | completion is recorded at most once, and only by the runner |
//! | `waits_outlast_a_restart` | a restart of the service while one runs and others wait |
//! | `dropped_at_every_poll` | nothing is left in the way, and what was recorded stays so |
//! | `a_shutdown_waits_for_the_run` | the completion is recorded during a shutdown |
//! | `a_completion_over_lost_replies` | the record is found, or in doubt, but never made twice |
//! | `bad_names_and_results_are_refused` | typed errors, nothing left |

mod disturbed;
mod failing;
mod occurrences;
mod running;

use disturbed::{a_completion_over_lost_replies, a_shutdown_waits_for_the_run, waits_outlast_a_restart};
use failing::{
    a_crash_passes_it_on, a_dropped_run_passes_it_on, a_failure_passes_it_on,
    a_paused_runner_cannot_complete, a_runner_that_lost_its_place_cannot_complete, dropped_at_every_poll,
};
use occurrences::{
    occurrences_completed_together_are_all_recorded, occurrences_do_not_block_each_other,
    old_occurrences_are_forgotten,
};
use running::{
    a_try_does_not_wait, bad_names_and_results_are_refused, one_of_many_runs_it, who_comes_late_finds_it_done,
};

use std::convert::Infallible;

use bytes::Bytes;
use leasehold_core::{Completion, Coordinator, Once};
use tokio::sync::oneshot;

use super::table;
use crate::scene::soon;

table! {
    one_of_many_runs_it {if conditional_writes}
    who_comes_late_finds_it_done {if conditional_writes}
    occurrences_do_not_block_each_other {if conditional_writes}
    occurrences_completed_together_are_all_recorded {if conditional_writes}
    old_occurrences_are_forgotten {if conditional_writes}
    a_try_does_not_wait {if conditional_writes}
    a_failure_passes_it_on {if conditional_writes}
    a_crash_passes_it_on {if conditional_writes}
    a_dropped_run_passes_it_on {if conditional_writes}
    a_runner_that_lost_its_place_cannot_complete {if conditional_writes}
    a_paused_runner_cannot_complete {if conditional_writes}
    waits_outlast_a_restart {if conditional_writes}
    dropped_at_every_poll {if conditional_writes}
    a_shutdown_waits_for_the_run {if conditional_writes}
    a_completion_over_lost_replies {if conditional_writes}
    bad_names_and_results_are_refused {if conditional_writes}
}

type Ran = Result<Completion, leasehold_core::Error>;

/// Runs work that cannot fail.
async fn run<R: Into<Bytes>>(once: &Once, work: impl Future<Output = R>) -> Ran {
    match once.run(|_held| async { Ok::<_, Infallible>(work.await) }).await? {
        Ok(completion) => Ok(completion),
        Err(never) => match never {},
    }
}

/// Runs something that must be done already.
async fn is_done(once: &Once) -> Completion {
    let done = run::<Bytes>(once, async { panic!("it is done already") });
    let done = soon("the result is handed over", done).await.expect("done");
    assert!(!done.ran_here());
    assert_eq!(once.completion().await.expect("read").as_ref(), Some(&done));
    done
}

/// Begins to run `billing`, and goes on when it is told to, with what it is told.
struct Runner {
    begun: oneshot::Receiver<leasehold_core::Held>,
    go_on: oneshot::Sender<&'static str>,
    running: tokio::task::JoinHandle<Ran>,
}

impl Runner {
    fn start(node: &Coordinator) -> Self {
        let once = node.once("billing");
        let (begun, beginning) = oneshot::channel();
        let (go_on, going_on) = oneshot::channel::<&str>();
        let running = tokio::spawn(async move {
            let ran = once.run(|held| async move {
                let _ = begun.send(held);
                Ok::<_, Infallible>(going_on.await.expect("the case goes on"))
            });
            ran.await.map(|ran| match ran {
                Ok(done) => done,
                Err(never) => match never {},
            })
        });
        Self { begun: beginning, go_on, running }
    }

    /// Waits until the work has begun.
    async fn begins(&mut self) -> leasehold_core::Held {
        soon("the work begins", &mut self.begun).await.expect("begun")
    }

    /// Lets the work end with this.
    async fn ends(self, with: &'static str) -> Ran {
        let _ = self.go_on.send(with);
        soon("the run ends", self.running).await.expect("no panic")
    }
}

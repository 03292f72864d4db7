//! All suites from one test file, with a verdict.
//!
//! ```no_run
//! // tests/conformance.rs, with `harness = false` in its [[test]] section
//! use std::sync::Arc;
//! use leasehold_testkit::contract::{MemoryWorld, World};
//!
//! async fn memory() -> Arc<dyn World> {
//!     Arc::new(MemoryWorld::new())
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     leasehold_testkit::conformance::main(&MemoryWorld::new().backend(), memory)
//! }
//! ```
//!
//! It takes the arguments of a test binary of cargo: a filter, `--exact`, `--skip`, `--list`, `--test-threads`. A case is called
//! `<suite>::<group>::<case>`, and runs in a world of its own. The last line is the verdict: how many passed, failed and were not run.
//!
//! # What is not run, and why
//!
//! A case that is not run is listed as ignored, with the reason; it never passes unrun. The reasons:
//!
//! * the backend does not [declare](leasehold_core::Capabilities) what the case is about; then a case that says how that is refused runs instead;
//! * the case makes no sense over a recipe that [stands for the mutex](crate::mutex::exclusive);
//! * over a real service the mutex's cases run over the mutex and *one* of the other recipes each, in turn; over all of them with
//!   `LEASEHOLD_NIGHTLY=1`, and always over the memory backend.
//!
//! `--include-ignored` runs them all the same.
//!
//! # Other clients' layouts
//!
//! A backend that [speaks](leasehold_core::Capabilities::wire) the layouts of other clients has a second test file, with
//! [`main_in_layouts`]: the mutex's cases over queues that lie as those clients have them. Each case runs in one of the layouts, in turn, and
//! in all of them with `LEASEHOLD_NIGHTLY=1`.
//!
//! # Chance
//!
//! A randomised case prints its seed; `LEASEHOLD_SEED` has it run with that one again.
//!
//! # The record
//!
//! Every run of a case adds a line to a file in the directory `LEASEHOLD_RECORD`, or `target/conformance`: what it cites, over which backend, how it
//! went. Tests outside the suites [cite](cites) too. `leasehold-conformance-table` makes of them a table of the behaviours below and the backends, and fails
//! if a behaviour ran nowhere without a reason.
//!
//! # Behaviours
//!
//! What an application may rely on, by numbers that the cases cite. The suites prove the first 65, and other tests the rest.
//!
#![doc = include_str!("behaviours.md")]

mod case;
pub(crate) mod lines;
mod plan;
mod record;
mod seed;
mod table;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use leasehold_core::LockBackend;
use libtest_mimic::{Arguments, Failed, Trial};

use crate::contract::World;
pub(crate) use case::requirement;
pub use case::{Case, Requirement};
pub use plan::NIGHTLY;
use plan::{Extent, Planned, plan, plan_in_layouts};
pub use record::{Cited, Outcome, RECORD, Run, cites, directory, read};
pub use seed::{Dice, SEED};
pub use table::{Table, TableError};

/// The longest that a case may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs the cases that the arguments ask for, over the backend of the worlds that `world` makes, and answers for the process. The
/// backend that is given is only asked what it is and what it declares; it need not reach anything.
pub fn main<F>(backend: &dyn LockBackend, world: fn() -> F) -> ExitCode
where
    F: Future<Output = Arc<dyn World>> + 'static,
{
    let service = backend.name();
    run_all(service, plan(service, backend.capabilities(), Extent::of(service)), world)
}

/// The same for the cases of the mutex over the [layouts](leasehold_core::WireLayout) of other clients that the backend speaks. A column of the
/// table is called `zookeeper in curator` then; it need not have all behaviours.
pub fn main_in_layouts<F>(backend: &dyn LockBackend, world: fn() -> F) -> ExitCode
where
    F: Future<Output = Arc<dyn World>> + 'static,
{
    let service = backend.name();
    let planned = plan_in_layouts(service, backend.capabilities(), Extent::of(service));
    run_all(&format!("{service} in other clients' layouts"), planned, world)
}

fn run_all<F>(what: &str, planned: Vec<Planned>, world: fn() -> F) -> ExitCode
where
    F: Future<Output = Arc<dyn World>> + 'static,
{
    let arguments = Arguments::from_args();
    let count = planned.len() as u64;
    let not_run: Vec<Run> =
        planned.iter().filter(|p| p.objection().is_some()).map(|p| p.run.clone()).collect();
    let trials = planned.into_iter().map(|planned| trial(planned, world)).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if arguments.list {
        return ExitCode::SUCCESS;
    }
    let libtest_mimic::Conclusion { num_filtered_out, num_passed, num_failed, num_ignored, .. } = conclusion;
    let everything = arguments.filter.is_none() && arguments.skip.is_empty();
    if everything && !arguments.ignored && !arguments.include_ignored {
        not_run.iter().for_each(Run::write);
    }
    println!("conformance of {what}: {num_passed} passed, {num_failed} failed, {num_ignored} not run");
    if num_filtered_out + num_passed + num_failed + num_ignored != count {
        println!("{count} cases were planned: some have no verdict");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

fn trial<F>(planned: Planned, world: fn() -> F) -> Trial
where
    F: Future<Output = Arc<dyn World>> + 'static,
{
    let name = planned.run.case.clone();
    let objection = planned.objection().map(|reason| format!("not run: {reason}"));
    let trial = Trial::test(name, move || run(planned, world));
    match objection {
        Some(reason) => trial.with_kind(reason).with_ignored_flag(true),
        None => trial,
    }
}

/// A failure is a panic, which the caller catches.
fn run<F: Future<Output = Arc<dyn World>>>(planned: Planned, world: fn() -> F) -> Result<(), Failed> {
    let Planned { run, body } = planned;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let timed = async { tokio::time::timeout(LIMIT, body(world().await)).await };
    let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(timed)));
    let outcome = if matches!(ended, Ok(Ok(()))) { Outcome::Passed } else { Outcome::Failed };
    Run { outcome, ..run.clone() }.write();
    match ended {
        Ok(ended) => ended.map_err(|_| Failed::from(format!("{} has not ended within {LIMIT:?}", run.case))),
        Err(panic) => resume_unwind(panic),
    }
}

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
//! `<suite>::<group>::<case>`, and runs in a world of its own.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use leasehold_core::LockBackend;
use libtest_mimic::{Arguments, Failed, Trial};

use crate::contract::World;
use crate::{contract, mutex, recipes};

/// The longest that a case may take.
const LIMIT: Duration = Duration::from_secs(300);

/// One case of any suite.
struct Case {
    name: String,
    run: Box<dyn FnOnce(Arc<dyn World>) -> LocalBoxFuture<'static, ()> + Send>,
}

/// Runs the cases that the arguments ask for, over the backend of the worlds that `world` makes, and answers for the process. The
/// backend that is given is only asked what it is and what it declares; it need not reach anything.
pub fn main<F>(backend: &dyn LockBackend, world: fn() -> F) -> ExitCode
where
    F: Future<Output = Arc<dyn World>> + 'static,
{
    let service = backend.name();
    let arguments = Arguments::from_args();
    let trials = cases().map(|case| Trial::test(case.name.clone(), move || run(case, world))).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list {
        println!(
            "conformance of {service}: {} passed, {} failed",
            conclusion.num_passed, conclusion.num_failed
        );
    }
    conclusion.exit_code()
}

fn cases() -> impl Iterator<Item = Case> {
    let contract = contract::CASES
        .iter()
        .map(|case| Case { name: format!("contract::{}", case.name), run: Box::new(case.run) });
    let mutex = mutex::CASES.iter().map(|case| Case {
        name: format!("mutex::{}", case.name),
        run: Box::new(|world| (case.run)(world) as LocalBoxFuture<'static, ()>),
    });
    let recipes =
        recipes::SUITES.iter().flat_map(|(suite, cases)| cases.iter().map(move |case| (suite, case)));
    let recipes = recipes.map(|(suite, case)| Case {
        name: format!("recipes::{suite}::{}", case.name),
        run: Box::new(|world| (case.run)(world) as LocalBoxFuture<'static, ()>),
    });
    contract.chain(mutex).chain(recipes)
}

/// A failure is a panic, which the caller catches.
fn run<F: Future<Output = Arc<dyn World>>>(case: Case, world: fn() -> F) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let ended = runtime.block_on(async { tokio::time::timeout(LIMIT, (case.run)(world().await)).await });
    ended.map_err(|_| Failed::from(format!("{} has not ended within {LIMIT:?}", case.name)))
}

//! The conformance suites of the contract, the mutex and the other recipes, on the memory backend.

use std::process::ExitCode;
use std::sync::Arc;

use leasehold_testkit::contract::{MemoryWorld, World};

async fn memory() -> Arc<dyn World> {
    Arc::new(MemoryWorld::new())
}

fn main() -> ExitCode {
    leasehold_testkit::conformance::main(&MemoryWorld::new().backend(), memory)
}

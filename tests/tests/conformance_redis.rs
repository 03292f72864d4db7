//! The conformance suites of the contract, the mutex and the other recipes, on a real Redis.

use std::process::ExitCode;
use std::sync::Arc;

use leasehold_core::LockBackend;
use leasehold_redis::{RedisBackend, RedisConfig};
use leasehold_testkit::contract::World;
use leasehold_testkit::worlds::RedisWorld;

fn connect(endpoint: &str) -> Arc<dyn LockBackend> {
    Arc::new(RedisBackend::new(RedisConfig::new(endpoint)).expect("an endpoint"))
}

async fn redis() -> Arc<dyn World> {
    Arc::new(RedisWorld::start(connect).await)
}

fn main() -> ExitCode {
    leasehold_testkit::conformance::main(&connect("127.0.0.1:1"), redis)
}

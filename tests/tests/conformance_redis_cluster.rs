//! The conformance suites of the contract, the mutex and the other recipes, on a Redis cluster.

use std::process::ExitCode;
use std::sync::Arc;

use leasehold_core::LockBackend;
use leasehold_redis::{RedisBackend, RedisConfig};
use leasehold_testkit::contract::World;
use leasehold_testkit::worlds::RedisWorld;

/// A client that knows one of the nodes.
fn connect(nodes: &[(String, String)]) -> Arc<dyn LockBackend> {
    let config =
        nodes.iter().fold(RedisConfig::cluster([&nodes[0].0]), |config, (told, at)| config.reach(told, at));
    Arc::new(RedisBackend::new(config).expect("endpoints"))
}

async fn cluster() -> Arc<dyn World> {
    Arc::new(RedisWorld::start_cluster(connect).await)
}

fn main() -> ExitCode {
    let nowhere = "127.0.0.1:1".to_owned();
    leasehold_testkit::conformance::main(&connect(&[(nowhere.clone(), nowhere)]), cluster)
}

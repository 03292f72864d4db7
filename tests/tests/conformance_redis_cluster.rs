//! The conformance suites of the contract, the mutex and the other recipes, on a Redis cluster.

use std::process::ExitCode;
use std::sync::Arc;

use leasehold_core::LockBackend;
use leasehold_redis::{RedisBackend, RedisConfig};
use leasehold_testkit::contract::World;
use leasehold_testkit::worlds::{RedisAddress, RedisWorld};

/// A client that knows one of the nodes.
fn connect(nodes: &[RedisAddress]) -> Arc<dyn LockBackend> {
    let known = RedisConfig::cluster([&nodes[0].told]);
    let config = nodes.iter().fold(known, |config, node| config.reach(&node.told, &node.at));
    Arc::new(RedisBackend::new(config).expect("endpoints"))
}

async fn cluster() -> Arc<dyn World> {
    Arc::new(RedisWorld::start_cluster(connect).await)
}

fn main() -> ExitCode {
    let nowhere = RedisAddress { told: "127.0.0.1:1".into(), at: "127.0.0.1:1".into() };
    leasehold_testkit::conformance::main(&connect(&[nowhere]), cluster)
}

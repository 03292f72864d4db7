//! The conformance suites of the contract and the mutex, on a Redis cluster.
//!
//! Those of the other recipes know nothing of topologies: they run on a single server.

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

mod contract {
    use super::cluster;

    leasehold_testkit::contract_suite!(cluster);
}

mod mutex {
    use super::cluster;

    leasehold_testkit::mutex_suite!(cluster);
}

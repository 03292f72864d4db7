//! The conformance suites of the contract, the mutex and the other recipes, on the ZooKeeper backend and real servers.

#![cfg(target_os = "linux")]

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::LockBackend;
use leasehold_testkit::contract::World;
use leasehold_testkit::worlds::ZooKeeperWorld;
use leasehold_zookeeper::{ZooKeeperBackend, ZooKeeperConfig};

async fn zookeeper() -> Arc<dyn World> {
    Arc::new(ZooKeeperWorld::start(connect).await)
}

fn connect(endpoint: &str) -> Arc<dyn LockBackend> {
    let config = ZooKeeperConfig::new([endpoint]).tick(Duration::from_millis(500));
    Arc::new(ZooKeeperBackend::new(config).expect("a sound configuration"))
}

mod contract {
    use super::zookeeper;

    leasehold_testkit::contract_suite!(zookeeper);
}

mod mutex {
    use super::zookeeper;

    leasehold_testkit::mutex_suite!(zookeeper);
}

mod recipes {
    use super::zookeeper;

    leasehold_testkit::recipe_suites!(zookeeper);
}

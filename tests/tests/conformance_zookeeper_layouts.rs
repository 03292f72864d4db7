//! The mutex's cases over the layouts of Curator and kazoo, on real servers.

use std::process::ExitCode;
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

fn main() -> ExitCode {
    leasehold_testkit::conformance::main_in_layouts(&connect("127.0.0.1:1"), zookeeper)
}

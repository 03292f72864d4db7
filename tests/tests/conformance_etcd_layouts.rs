//! The mutex's cases over the layout of etcd's own clients, on real servers.

use std::process::ExitCode;
use std::sync::Arc;

use leasehold_core::LockBackend;
use leasehold_etcd::{EtcdBackend, EtcdConfig};
use leasehold_testkit::contract::World;
use leasehold_testkit::worlds::EtcdWorld;

async fn etcd() -> Arc<dyn World> {
    Arc::new(EtcdWorld::start(connect).await)
}

fn connect(endpoint: &str) -> Arc<dyn LockBackend> {
    Arc::new(EtcdBackend::new(EtcdConfig::new([endpoint])).expect("a sound configuration"))
}

fn main() -> ExitCode {
    leasehold_testkit::conformance::main_in_layouts(&connect("127.0.0.1:1"), etcd)
}

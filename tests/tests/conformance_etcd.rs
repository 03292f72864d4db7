//! The conformance suites of the contract, the mutex and the other recipes, on a real etcd.

use std::process::ExitCode;
use std::sync::Arc;

use leasehold_core::LockBackend;
use leasehold_etcd::{EtcdBackend, EtcdConfig};
use leasehold_testkit::contract::World;
use leasehold_testkit::worlds::EtcdWorld;

fn connect(endpoint: &str) -> Arc<dyn LockBackend> {
    Arc::new(EtcdBackend::new(EtcdConfig::new([endpoint])).expect("an endpoint"))
}

async fn etcd() -> Arc<dyn World> {
    Arc::new(EtcdWorld::start(connect).await)
}

fn main() -> ExitCode {
    leasehold_testkit::conformance::main(&connect("127.0.0.1:1"), etcd)
}

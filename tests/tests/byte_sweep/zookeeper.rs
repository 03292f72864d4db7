use leasehold_core::Coordinator;
use leasehold_testkit::servers::{ServerOptions, ZooKeeperServer};
use leasehold_zookeeper::{ZooKeeperBackend, ZooKeeperConfig};

use crate::sweep::{Sweep, nothing_is_left};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zookeeper() {
    let server = ZooKeeperServer::start(ServerOptions::default()).await;
    let builder = |endpoint: &str| {
        Coordinator::builder(ZooKeeperBackend::new(ZooKeeperConfig::new([endpoint])).expect("a good address"))
    };
    Sweep { service: "zookeeper", endpoint: server.endpoint(), builder, stride: 5 }.run().await;
    nothing_is_left(async || {
        // Sessions with what they have, one path a line.
        let dump = server.four_letter("dump").await;
        dump.lines().filter(|line| line.starts_with("\t/")).map(str::to_owned).collect()
    })
    .await;
}

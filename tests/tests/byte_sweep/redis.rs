use leasehold_core::Coordinator;
use leasehold_redis::{RedisBackend, RedisConfig};
use leasehold_testkit::servers::{RedisServer, ServerOptions};

use crate::sweep::{Sweep, nothing_is_left};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis() {
    let server = RedisServer::start(ServerOptions::default()).await;
    let builder = |endpoint: &str| {
        Coordinator::builder(RedisBackend::new(RedisConfig::new(endpoint)).expect("a good address"))
    };
    Sweep { service: "redis", endpoint: server.endpoint(), builder, stride: 20 }.run().await;
    nothing_is_left(async || {
        let mut keys = server.keys("*").await;
        // The counters of the tokens stay for ever.
        keys.retain(|key| !key.ends_with(":seq"));
        keys
    })
    .await;
}

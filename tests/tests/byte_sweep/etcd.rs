use etcd_client::{Client, GetOptions};
use leasehold_core::Coordinator;
use leasehold_etcd::{EtcdBackend, EtcdConfig};
use leasehold_testkit::servers::{EtcdServer, ServerOptions};

use crate::sweep::{Sweep, nothing_is_left};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd() {
    let server = EtcdServer::start(ServerOptions::default()).await;
    let builder = |endpoint: &str| {
        Coordinator::builder(EtcdBackend::new(EtcdConfig::new([endpoint])).expect("a good address"))
    };
    Sweep { service: "etcd", endpoint: server.endpoint(), builder, stride: 7 }.run().await;
    let mut admin = Client::connect([server.endpoint()], None).await.unwrap();
    nothing_is_left(async || {
        let keys = admin.get("", Some(GetOptions::new().with_all_keys().with_keys_only())).await.unwrap();
        let leases = admin.leases().await.unwrap();
        let keys = keys.kvs().iter().map(|pair| String::from_utf8_lossy(pair.key()).into_owned());
        keys.chain(leases.leases().iter().map(|lease| format!("lease {:x}", lease.id()))).collect()
    })
    .await;
}

//! What is measured on etcd.

use async_trait::async_trait;
use leasehold_testkit::servers::{EtcdServer, ServerOptions, Storage};

use crate::Failure;
use crate::floors::EtcdFloor;
use crate::machine::{self, Facts};
use crate::peers::{EtcdLock, Leasehold, Peer, Program};
use crate::run::{Counts, Field, Site};

pub(crate) async fn field(storage: Storage) -> Result<Field, Failure> {
    let server = EtcdServer::try_start(ServerOptions::default().storage(storage)).await?;
    let endpoint = server.endpoint();
    let url = format!("etcd://{endpoint}");
    let peers: Vec<Box<dyn Peer>> = vec![
        Box::new(EtcdFloor::connect(&endpoint).await?),
        Box::new(Leasehold::connect(&url).await?),
        Box::new(Leasehold::in_one(&url).await?),
        Box::new(EtcdLock::connect(&endpoint).await?),
    ];
    let mut field = Field { site: Box::new(OnEtcd(server)), peers, missing: Vec::new() };
    field.add("Go's concurrency.Mutex", Program::go(&endpoint).await);
    Ok(field)
}

struct OnEtcd(EtcdServer);

#[async_trait]
impl Site for OnEtcd {
    fn facts(&self) -> Facts {
        vec![("server", machine::said_by("etcd", "--version"))]
    }

    fn storage(&self) -> Storage {
        self.0.storage()
    }

    fn pid(&self) -> Option<u32> {
        self.0.pid()
    }

    async fn counts(&self, _client: &dyn Peer) -> Result<Counts, Failure> {
        let metrics = self.0.metrics().await;
        let received = |method| metrics.with("grpc_server_msg_received_total", &[("grpc_method", method)]);
        // Renewals come by the clock, whatever the locks do.
        let requests = metrics.sum("grpc_server_msg_received_total") - received("LeaseKeepAlive");
        Ok(vec![
            ("requests", requests),
            ("watches opened", received("Watch")),
            ("commits", metrics.sum("etcd_server_proposals_applied_total")),
            ("ranges read", metrics.sum("etcd_debugging_mvcc_range_total")),
            ("events", metrics.sum("etcd_debugging_mvcc_events_total")),
            ("bytes sent", metrics.sum("etcd_network_client_grpc_sent_bytes_total")),
        ])
    }
}

//! What is measured on ZooKeeper.

use async_trait::async_trait;
use leasehold_testkit::servers::{ServerOptions, Storage, ZooKeeperServer};

use crate::Failure;
use crate::floors::ZooKeeperFloor;
use crate::machine::Facts;
use crate::peers::{Leasehold, Peer, Program, ZooKeeperClient};
use crate::run::{Counts, Field, Site};

/// So often a lock is taken and given up before anything is measured, so that the server is compiled well.
const WARM: usize = 15_000;

pub(crate) async fn field(storage: Storage) -> Result<Field, Failure> {
    // As it is run in production, not as by tests, which it serves for seconds.
    let options = ServerOptions::default().storage(storage).arg("-XX:TieredStopAtLevel=4").arg("-Xmx512m");
    let server = ZooKeeperServer::try_start(options).await?;
    let endpoint = server.endpoint();
    let url = format!("zookeeper://{endpoint}");
    let mut floor = ZooKeeperFloor::connect(&endpoint).await?;
    floor.uncontended(WARM).await?;
    let peers: Vec<Box<dyn Peer>> = vec![
        Box::new(floor),
        Box::new(Leasehold::connect(&url).await?),
        Box::new(Leasehold::in_one(&url).await?),
        Box::new(ZooKeeperClient::connect(&endpoint).await?),
    ];
    let mut field = Field { site: Box::new(OnZooKeeper(server)), peers, missing: Vec::new() };
    field.add("Curator", Program::curator(&endpoint).await);
    field.add("kazoo", Program::kazoo(&endpoint).await);
    Ok(field)
}

struct OnZooKeeper(ZooKeeperServer);

#[async_trait]
impl Site for OnZooKeeper {
    fn facts(&self) -> Facts {
        vec![("server", "ZooKeeper".into())]
    }

    fn storage(&self) -> Storage {
        self.0.storage()
    }

    fn pid(&self) -> Option<u32> {
        self.0.pid()
    }

    async fn counts(&self, _client: &dyn Peer) -> Result<Counts, Failure> {
        let monitor = self.0.four_letter("mntr").await;
        let counted = |name: &str| {
            let line = monitor.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('\t'));
            line.and_then(|value| value.trim().parse::<f64>().ok()).unwrap_or(0.0)
        };
        Ok(vec![
            ("packets received", counted("zk_packets_received")),
            ("packets sent", counted("zk_packets_sent")),
        ])
    }
}

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
    let told = server.four_letter("srvr").await;
    let version = told.lines().find_map(|line| line.strip_prefix("Zookeeper version:"));
    let version = version.and_then(|version| version.split(',').next()).unwrap_or_default().trim().to_owned();
    let site = Box::new(OnZooKeeper { server, version });
    let mut field = Field { site, peers, missing: Vec::new() };
    field.add("Curator", Program::curator(&endpoint).await);
    field.add("kazoo", Program::kazoo(&endpoint).await);
    Ok(field)
}

struct OnZooKeeper {
    server: ZooKeeperServer,
    version: String,
}

#[async_trait]
impl Site for OnZooKeeper {
    fn facts(&self) -> Facts {
        vec![("server", format!("ZooKeeper {}", self.version))]
    }

    fn storage(&self) -> Storage {
        self.server.storage()
    }

    fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    async fn counts(&self, _client: &dyn Peer) -> Result<Counts, Failure> {
        let told = self.server.four_letter("srvr").await;
        let value = |name| told.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        let (received, sent): (f64, f64) = (value("Received:").parse()?, value("Sent:").parse()?);
        let commits = i64::from_str_radix(value("Zxid:").trim_start_matches("0x"), 16)?;
        // What is sent and is no reply is a watch's event.
        Ok(vec![("requests", received), ("events", sent - received), ("commits", commits as f64)])
    }
}

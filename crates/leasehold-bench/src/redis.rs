//! What is measured on Redis.

use async_trait::async_trait;
use leasehold_testkit::servers::{RedisServer, ServerOptions, Storage};

use crate::Failure;
use crate::floors::RedisFloor;
use crate::machine::{self, Facts};
use crate::peers::{Leasehold, Peer, Program, Rslock};
use crate::run::{Counts, Field, Site};

pub(crate) async fn field(storage: Storage) -> Result<Field, Failure> {
    let server = RedisServer::try_start(ServerOptions::default().storage(storage)).await?;
    let endpoint = server.endpoint();
    let url = format!("redis://{endpoint}");
    let peers: Vec<Box<dyn Peer>> = vec![
        Box::new(RedisFloor::open(&endpoint).await?),
        Box::new(RedisFloor::open_aside(&endpoint).await?),
        Box::new(Leasehold::connect(&url).await?),
        Box::new(Leasehold::on_this_runtime(&url).await?),
        Box::new(Leasehold::in_one(&url).await?),
        Box::new(Rslock::new(endpoint.clone())),
    ];
    let mut field = Field { site: Box::new(OnRedis(server)), peers, missing: Vec::new() };
    field.add("redis-py", Program::redis_py(&endpoint).await);
    Ok(field)
}

struct OnRedis(RedisServer);

#[async_trait]
impl Site for OnRedis {
    fn facts(&self) -> Facts {
        vec![
            ("server", machine::said_by("redis-server", "--version")),
            ("its data", "appended and synced at every write".into()),
        ]
    }

    fn storage(&self) -> Storage {
        self.0.storage()
    }

    fn pid(&self) -> Option<u32> {
        self.0.pid()
    }

    /// Requests, and for how long the server was busy with them.
    async fn counts(&self, client: &dyn Peer) -> Result<Counts, Failure> {
        let (mut requests, mut busy) = (0, 0.0);
        for command in client.commands() {
            requests += self.0.calls(command).await;
            busy += self.0.busy(command).await.as_secs_f64() * 1e6;
        }
        Ok(vec![("requests", requests as f64), ("µs busy", busy)])
    }
}

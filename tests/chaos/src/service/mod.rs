//! The services under test, as the nemesis and the judge need them: servers to be killed, sessions to be ended, and what is left.

mod etcd;
mod redis;
mod servers;
mod zookeeper;

use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_testkit::servers::ServerOptions;
use serde::{Deserialize, Serialize};

use crate::tap::{Tap, TappedEntry};

pub use etcd::EtcdService;
pub(crate) use etcd::connect as etcd_connect;
pub use redis::RedisService;
pub use servers::Servers;
pub use zookeeper::ZooKeeperService;

/// The tick of the ZooKeeper servers.
pub const ZOOKEEPER_TICK: Duration = Duration::from_millis(500);

/// Which service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceKind {
    /// Three etcd servers.
    Etcd,
    /// Three ZooKeeper servers.
    ZooKeeper,
    /// One Redis server with an append-only file.
    Redis,
}

impl ServiceKind {
    /// All of them.
    pub const ALL: [ServiceKind; 3] = [ServiceKind::Etcd, ServiceKind::ZooKeeper, ServiceKind::Redis];

    /// As it is called on a command line.
    pub fn name(self) -> &'static str {
        match self {
            ServiceKind::Etcd => "etcd",
            ServiceKind::ZooKeeper => "zookeeper",
            ServiceKind::Redis => "redis",
        }
    }

    /// The TTL of the sessions of a run.
    pub fn ttl(self) -> Duration {
        match self {
            ServiceKind::Etcd | ServiceKind::Redis => Duration::from_secs(3),
            // What renews takes two requests a tick apart.
            ServiceKind::ZooKeeper => Duration::from_secs(4),
        }
    }
}

impl FromStr for ServiceKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = ServiceKind::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| format!("{text:?} is no service; there are etcd, zookeeper and redis"))
    }
}

/// One service, on running servers.
///
/// What an administrator does may fail while the servers are disturbed; then nothing was done, or nobody can tell.
#[async_trait]
pub trait Service: Send + Sync {
    /// Which service.
    fn kind(&self) -> ServiceKind;

    /// Its servers.
    fn servers(&self) -> &dyn Servers;

    /// Ends a session of somebody else's.
    async fn end_session(&self, session: &str) -> Result<(), String>;

    /// Deletes an entry of somebody else's.
    async fn delete_entry(&self, entry: &TappedEntry) -> Result<(), String>;

    /// Deletes the directory of a queue, if it is empty, where the service has such.
    async fn delete_directory(&self, _lock: &str) -> Result<(), String> {
        Ok(())
    }

    /// Has the service forget what it need not know, where it keeps such.
    async fn tidy(&self) -> Result<(), String> {
        Ok(())
    }

    /// Whether a server cannot be started any more over its data, after its disk has failed: by a bug of its own.
    fn is_spoilt(&self, _server: usize) -> bool {
        false
    }

    /// A server that has other data than the others, by what they have noticed since they were asked last.
    async fn astray(&self) -> Option<usize> {
        None
    }

    /// Takes the data of a server away, which does not run. It learns everything from the others.
    fn wipe(&self, _server: usize) {}

    /// Starts to write down what the service does to its queues; until the tap is closed.
    fn tap(&self, tap: Tap);

    /// What is there of entries, tombstones, sessions and leases.
    async fn leftovers(&self, namespace: &str) -> Result<Vec<String>, String>;

    /// The watches that there are, the tap's among them.
    async fn watches(&self) -> Vec<String>;

    /// What may not grow for ever, counted: keys, watches. A server that is disturbed tells nothing.
    async fn census(&self, namespace: &str) -> Vec<(String, f64)>;
}

/// Starts the servers of a service.
pub async fn start(kind: ServiceKind, options: ServerOptions) -> Box<dyn Service> {
    match kind {
        ServiceKind::Etcd => Box::new(EtcdService::start(options).await),
        ServiceKind::ZooKeeper => Box::new(ZooKeeperService::start(options).await),
        ServiceKind::Redis => Box::new(RedisService::start(options).await),
    }
}

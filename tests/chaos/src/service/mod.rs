//! The services under test, as the nemesis and the judge need them: servers to be killed, sessions to be ended, and what is left.

mod etcd;
mod redis;
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

/// Running servers of one service.
///
/// What an administrator does may fail while the servers are disturbed; then nothing was done, or nobody can tell.
#[async_trait]
pub trait Service: Send + Sync {
    /// Which service.
    fn kind(&self) -> ServiceKind;

    /// Where each server is, without a proxy.
    fn endpoints(&self) -> Vec<String>;

    /// The directory of a server, with its data and its log.
    fn dir(&self, server: usize) -> std::path::PathBuf;

    /// The process id of a server, unless it was killed.
    fn pid(&self, server: usize) -> Option<u32>;

    /// Kills a server with SIGKILL.
    async fn kill(&self, server: usize);

    /// Starts a server again over its data, and waits for nothing.
    async fn respawn(&self, server: usize);

    /// Returns when all servers serve and one of them leads.
    async fn ready(&self);

    /// Stops a server with SIGSTOP.
    fn pause(&self, server: usize);

    /// Lets it run again.
    fn resume(&self, server: usize);

    /// The server that leads, if that can be told within two seconds.
    async fn leader(&self) -> Option<usize>;

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

//! Who is measured.

mod etcd_lock;
mod leasehold;
mod program;
mod rslock;
mod zookeeper_client;

use std::time::Duration;

use async_trait::async_trait;

pub(crate) use self::etcd_lock::EtcdLock;
pub(crate) use self::leasehold::Leasehold;
pub(crate) use self::program::Program;
pub(crate) use self::rslock::Rslock;
pub(crate) use self::zookeeper_client::ZooKeeperClient;
use crate::Failure;
use crate::measure::{Contended, Took};

/// Whoever locks and unlocks, against one server.
#[async_trait]
pub(crate) trait Peer: Send + Sync {
    fn name(&self) -> String;

    /// What its clients send to Redis while they lock and unlock, by the server's name for it; what scripts call inside does not
    /// count.
    fn commands(&self) -> &'static [&'static str] {
        &[]
    }

    /// The process that it runs in, if that is another one.
    fn pid(&self) -> Option<u32> {
        None
    }

    /// Whether so many of it contend.
    fn contends(&self, _contenders: usize) -> bool {
        true
    }

    /// What so many locks and unlocks of one client take.
    async fn uncontended(&mut self, rounds: usize) -> Result<Took, Failure>;

    /// Connects what contenders need that is not there yet; they stay connected from then on.
    async fn prepare(&mut self, contenders: usize) -> Result<(), Failure>;

    /// Lets that many clients contend for one lock, each with a connection of its own.
    async fn contend(&mut self, contenders: usize, time: Duration) -> Result<Contended, Failure>;
}

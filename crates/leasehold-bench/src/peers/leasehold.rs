//! This library: as it comes, with its sessions on a thread of their own, and with them on the application's runtime.

use std::time::Duration;

use async_trait::async_trait;
use leasehold::{Coordinator, CoordinatorBuilder, Mutex};
use tokio::runtime::Handle;

use super::Peer;
use crate::Failure;
use crate::measure::{self, Contended, Contender, Started, Took};

pub(crate) struct Leasehold {
    name: &'static str,
    builder: CoordinatorBuilder,
    /// One, where all contenders share it; else one for each, as far as they were needed.
    coordinators: Vec<Coordinator>,
    shared: bool,
}

impl Leasehold {
    pub(crate) async fn connect(url: &str) -> Result<Self, Failure> {
        Self::of("leasehold", leasehold::builder(url)?, false).await
    }

    /// All contenders are tasks of one process.
    pub(crate) async fn in_one(url: &str) -> Result<Self, Failure> {
        Self::of("leasehold, one coordinator", leasehold::builder(url)?, true).await
    }

    /// Here the application must not block its runtime, and saves the way to another thread and back.
    pub(crate) async fn on_this_runtime(url: &str) -> Result<Self, Failure> {
        let builder = leasehold::builder(url)?.runtime(Handle::current());
        Self::of("leasehold, on this runtime", builder, false).await
    }

    async fn of(name: &'static str, builder: CoordinatorBuilder, shared: bool) -> Result<Self, Failure> {
        let alone = builder.clone().connect().await?;
        Ok(Self { name, builder, coordinators: vec![alone], shared })
    }
}

#[async_trait]
impl Peer for Leasehold {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn commands(&self) -> &'static [&'static str] {
        &["evalsha", "eval", "subscribe", "unsubscribe", "hmget"]
    }

    async fn uncontended(&mut self, rounds: usize) -> Result<Took, Failure> {
        let mutex = self.coordinators[0].mutex("alone");
        let started = Started::now()?;
        for _ in 0..rounds {
            mutex.lock().await?.release().await?;
        }
        started.took()
    }

    async fn prepare(&mut self, contenders: usize) -> Result<(), Failure> {
        while !self.shared && self.coordinators.len() < contenders {
            self.coordinators.push(self.builder.clone().connect().await?);
        }
        Ok(())
    }

    async fn contend(&mut self, contenders: usize, time: Duration) -> Result<Contended, Failure> {
        let coordinators = self.coordinators.iter().cycle().take(contenders);
        // Each way has locks of its own: a session follows a queue for some seconds after it was used.
        let lock = format!("{}: of {contenders}", self.name);
        let nodes = coordinators.map(|coordinator| Node(coordinator.mutex(&lock)));
        measure::contend(nodes.collect(), time).await
    }
}

/// One of several clients.
struct Node(Mutex);

impl Contender for Node {
    async fn once(&self, inside: impl FnOnce() + Send) -> Result<(), Failure> {
        let guard = self.0.lock().await?;
        inside();
        Ok(guard.release().await?)
    }
}

//! This library: as it comes, with its sessions on a thread of their own, and with them on the application's runtime.

use std::time::Duration;

use async_trait::async_trait;
use leasehold::{Coordinator, CoordinatorBuilder, Mutex};
use tokio::runtime::Handle;

use super::{Client, Peer};
use crate::Failure;
use crate::measure::{self, Contended, Contender, Started, Took};

pub(crate) struct Leasehold {
    name: &'static str,
    builder: CoordinatorBuilder,
    alone: Coordinator,
}

impl Leasehold {
    pub(crate) async fn connect(url: &str) -> Result<Self, Failure> {
        Self::of("leasehold", leasehold::builder(url)?).await
    }

    /// Here the application must not block its runtime, and saves the way to another thread and back.
    pub(crate) async fn on_this_runtime(url: &str) -> Result<Self, Failure> {
        Self::of("leasehold, on this runtime", leasehold::builder(url)?.runtime(Handle::current())).await
    }

    async fn of(name: &'static str, builder: CoordinatorBuilder) -> Result<Self, Failure> {
        let alone = builder.clone().connect().await?;
        Ok(Self { name, builder, alone })
    }
}

#[async_trait]
impl Client for Leasehold {
    fn name(&self) -> &'static str {
        self.name
    }

    fn commands(&self) -> &'static [&'static str] {
        &["evalsha", "eval", "subscribe", "unsubscribe", "hmget"]
    }

    async fn uncontended(&mut self, rounds: usize) -> Result<Took, Failure> {
        let mutex = self.alone.mutex("alone");
        let started = Started::now()?;
        for _ in 0..rounds {
            mutex.lock().await?.release().await?;
        }
        started.took()
    }
}

#[async_trait]
impl Peer for Leasehold {
    async fn contend(&mut self, contenders: usize, time: Duration) -> Result<Contended, Failure> {
        let mut nodes = Vec::new();
        for _ in 0..contenders {
            let coordinator = self.builder.clone().connect().await?;
            nodes.push(Node(coordinator.mutex(format!("of {contenders}"))));
        }
        measure::contend(nodes, time).await
    }
}

/// One of several clients: a mutex with a session of its own.
struct Node(Mutex);

impl Contender for Node {
    async fn once(&self, inside: impl FnOnce() + Send) -> Result<(), Failure> {
        let guard = self.0.lock().await?;
        inside();
        Ok(guard.release().await?)
    }
}

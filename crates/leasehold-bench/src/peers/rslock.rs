//! The crate rslock: RedLock, here over one server.

use std::time::Duration;

use async_trait::async_trait;
use rslock::LockManager;

use super::Peer;
use crate::Failure;
use crate::measure::{self, Contended, Contender, Started, Took};

const TTL: Duration = Duration::from_secs(15);

pub(crate) struct Rslock {
    endpoint: String,
    alone: Node,
}

impl Rslock {
    pub(crate) fn new(endpoint: String) -> Self {
        let alone = Node::new(&endpoint, "rslock: alone".to_owned());
        Self { endpoint, alone }
    }
}

#[async_trait]
impl Peer for Rslock {
    fn name(&self) -> String {
        "rslock".to_owned()
    }

    fn commands(&self) -> &'static [&'static str] {
        &["set", "evalsha", "eval"]
    }

    async fn uncontended(&mut self, rounds: usize) -> Result<Took, Failure> {
        let started = Started::now()?;
        for _ in 0..rounds {
            self.alone.once(|| {}).await?;
        }
        started.took()
    }

    /// It connects when it is first asked for a lock.
    async fn prepare(&mut self, _contenders: usize) -> Result<(), Failure> {
        Ok(())
    }

    async fn contend(&mut self, contenders: usize, time: Duration) -> Result<Contended, Failure> {
        let key = format!("rslock: of {contenders}");
        let nodes = (0..contenders).map(|_| Node::new(&self.endpoint, key.clone())).collect();
        measure::contend(nodes, time).await
    }
}

struct Node {
    manager: LockManager,
    key: String,
}

impl Node {
    /// As its documentation says, with what it waits by default.
    fn new(endpoint: &str, key: String) -> Self {
        Self { manager: LockManager::new(vec![format!("redis://{endpoint}")]), key }
    }
}

impl Contender for Node {
    async fn once(&self, inside: impl FnOnce() + Send) -> Result<(), Failure> {
        let guard = self.manager.acquire(self.key.as_bytes(), TTL).await?;
        inside();
        guard.release().await;
        Ok(())
    }
}

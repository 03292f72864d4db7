//! The lock that etcd itself offers, by the call of the crate etcd-client.

use std::time::Duration;

use async_trait::async_trait;
use etcd_client::{Client, LockOptions};

use super::Peer;
use crate::Failure;
use crate::measure::{self, Contended, Contender, Started, Took};

/// Longer than any run, so that nobody has to renew it.
const TTL: i64 = 3_600;

pub(crate) struct EtcdLock {
    endpoint: String,
    nodes: Vec<Node>,
}

impl EtcdLock {
    pub(crate) async fn connect(endpoint: &str) -> Result<Self, Failure> {
        Ok(Self { endpoint: endpoint.to_owned(), nodes: vec![Node::connect(endpoint).await?] })
    }
}

#[async_trait]
impl Peer for EtcdLock {
    fn name(&self) -> String {
        "etcd's lock call".to_owned()
    }

    async fn uncontended(&mut self, rounds: usize) -> Result<Took, Failure> {
        let alone = self.nodes[0].on("lock call: alone".to_owned());
        let started = Started::now()?;
        for _ in 0..rounds {
            alone.once(|| {}).await?;
        }
        started.took()
    }

    async fn prepare(&mut self, contenders: usize) -> Result<(), Failure> {
        while self.nodes.len() < contenders {
            self.nodes.push(Node::connect(&self.endpoint).await?);
        }
        Ok(())
    }

    async fn contend(&mut self, contenders: usize, time: Duration) -> Result<Contended, Failure> {
        let nodes = self.nodes.iter().take(contenders);
        let nodes = nodes.map(|node| node.on(format!("lock call: of {contenders}"))).collect();
        measure::contend(nodes, time).await
    }
}

struct Node {
    client: Client,
    lease: i64,
    name: String,
}

impl Node {
    async fn connect(endpoint: &str) -> Result<Self, Failure> {
        let mut client = Client::connect([endpoint], None).await?;
        let lease = client.lease_grant(TTL, None).await?.id();
        Ok(Self { client, lease, name: String::new() })
    }

    fn on(&self, name: String) -> Self {
        Self { client: self.client.clone(), lease: self.lease, name }
    }
}

impl Contender for Node {
    async fn once(&self, inside: impl FnOnce() + Send) -> Result<(), Failure> {
        let mut client = self.client.clone();
        let options = LockOptions::new().with_lease(self.lease);
        let held = client.lock(self.name.as_str(), Some(options)).await?;
        inside();
        client.unlock(held.key()).await?;
        Ok(())
    }
}

//! The lock of the crate zookeeper-client, which is also what leasehold reaches ZooKeeper by.

use std::time::Duration;

use async_trait::async_trait;
use zookeeper_client::{Acls, Client, CreateMode, LockOptions, LockPrefix};

use super::Peer;
use crate::Failure;
use crate::measure::{self, Contended, Contender, Started, Took};

pub(crate) struct ZooKeeperClient {
    endpoint: String,
    nodes: Vec<Node>,
}

impl ZooKeeperClient {
    pub(crate) async fn connect(endpoint: &str) -> Result<Self, Failure> {
        Ok(Self { endpoint: endpoint.to_owned(), nodes: vec![Node::connect(endpoint).await?] })
    }
}

#[async_trait]
impl Peer for ZooKeeperClient {
    fn name(&self) -> String {
        "zookeeper-client".to_owned()
    }

    async fn uncontended(&mut self, rounds: usize) -> Result<Took, Failure> {
        let alone = self.nodes[0].on("/zookeeper-client/alone".to_owned());
        let started = Started::now()?;
        for _ in 0..rounds {
            alone.once(|| {}).await?;
        }
        // A release is sent when the lock is dropped, and nobody is told of its end.
        alone.client.check_stat("/").await?;
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
        let nodes = nodes.map(|node| node.on(format!("/zookeeper-client/of-{contenders}"))).collect();
        measure::contend(nodes, time).await
    }
}

struct Node {
    client: Client,
    directory: String,
}

impl Node {
    async fn connect(endpoint: &str) -> Result<Self, Failure> {
        Ok(Self { client: Client::connect(endpoint).await?, directory: String::new() })
    }

    fn on(&self, directory: String) -> Self {
        Self { client: self.client.clone(), directory }
    }
}

impl Contender for Node {
    async fn once(&self, inside: impl FnOnce() + Send) -> Result<(), Failure> {
        let prefix = LockPrefix::new_curator(&self.directory, "lock-")?;
        let parents = CreateMode::Container.with_acls(Acls::anyone_all());
        let options = LockOptions::new(Acls::anyone_all()).with_ancestor_options(parents)?;
        let held = self.client.lock(prefix, b"", options).await?;
        inside();
        drop(held);
        Ok(())
    }
}

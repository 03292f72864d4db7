use std::time::{Duration, Instant};

use super::error::StartError;
use super::options::ServerOptions;
use super::server::{PATIENCE, Server, Service, start_members};

/// How many servers a cluster has.
const MEMBERS: usize = 3;

/// Between two looks for a leader.
const PACE: Duration = Duration::from_millis(50);

/// Three servers that replicate each other.
#[derive(Debug)]
pub struct Cluster<S> {
    nodes: Vec<Server<S>>,
}

impl<S: Service> Cluster<S> {
    /// Starts three servers and waits until they serve and one of them leads.
    ///
    /// # Panics
    /// As [`Server::start`].
    pub async fn start(options: ServerOptions) -> Self {
        Self::try_start(options).await.unwrap_or_else(|error| error.panic())
    }

    /// As [`start`](Self::start), without panicking over what [`StartError`] tells.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn try_start(options: ServerOptions) -> Result<Self, StartError> {
        let cluster = Self { nodes: start_members(&options, MEMBERS).await? };
        cluster.leader().await;
        Ok(cluster)
    }

    /// Where clients connect, in the order of the nodes.
    pub fn endpoints(&self) -> Vec<String> {
        self.nodes.iter().map(Server::endpoint).collect()
    }

    /// One of the servers.
    pub fn node(&self, index: usize) -> &Server<S> {
        &self.nodes[index]
    }

    /// All of them.
    pub fn nodes(&self) -> &[Server<S>] {
        &self.nodes
    }

    /// Returns when every server serves and one of them leads.
    pub async fn ready(&self) {
        for node in &self.nodes {
            node.ready().await;
        }
        self.leader().await;
    }

    /// The index of the leader; waits while there is none, and while two take themselves for it.
    /// A server that is killed or stopped counts as none.
    pub async fn leader(&self) -> usize {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut leaders = Vec::new();
            for (index, node) in self.nodes.iter().enumerate() {
                if node.leads().await {
                    leaders.push(index);
                }
            }
            if let [leader] = leaders[..] {
                return leader;
            }
            assert!(Instant::now() < deadline, "{} has leaders {leaders:?} after {PATIENCE:?}", S::NAME);
            tokio::time::sleep(PACE).await;
        }
    }

    /// Kills every server and starts them all again over their data; returns when they serve and one leads.
    pub async fn restart(&self) {
        for node in &self.nodes {
            node.kill().await;
        }
        for node in &self.nodes {
            node.respawn().await;
        }
        self.ready().await;
    }
}

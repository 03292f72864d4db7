use std::time::Instant;

use super::error::StartError;
use super::options::ServerOptions;
use super::ports::Port;
use super::redis::{Redis, SpeaksRedis, ask, launch};
use super::resp::RedisReply;
use super::server::kind::Kind;
use super::server::{PACE, PATIENCE, Server, start_members};

const SLOTS: usize = 16_384;

/// How many primaries a cluster has; each has its share of the slots.
const PRIMARIES: usize = 3;

/// A node of a cluster of Redis, as a [`Service`](super::Service).
#[derive(Debug, Clone, Copy)]
pub enum RedisNode {}

impl SpeaksRedis for RedisNode {}

impl Kind for RedisNode {
    const NAME: &'static str = "redis-node";

    /// They know nothing of each other.
    async fn launch(options: &ServerOptions, members: usize) -> Result<Vec<Server<Self>>, StartError> {
        let mut nodes = Vec::with_capacity(members);
        for _ in 0..members {
            let bus = Port::reserve()?;
            let settings = [
                "--cluster-enabled".to_owned(),
                "yes".to_owned(),
                "--cluster-port".to_owned(),
                bus.number().to_string(),
                "--cluster-node-timeout".to_owned(),
                "1500".to_owned(),
            ];
            let settings = settings.into_iter().map(Into::into).collect();
            nodes.push(launch(options, Port::reserve()?, vec![bus], settings).await?);
        }
        Ok(nodes)
    }

    async fn serves(endpoint: &str) -> bool {
        Redis::serves(endpoint).await
    }

    async fn leads(endpoint: &str) -> bool {
        Redis::leads(endpoint).await
    }
}

/// A cluster of Redis: three primaries, each with a third of the slots, and some replicas.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Server<RedisNode>>,
}

impl RedisCluster {
    /// Starts three primaries, and as many replicas (1 to 3) for the first of them, one each. A node is taken for dead
    /// when it has been silent for 1.5 s. Returns when every node says that the cluster is whole.
    ///
    /// # Panics
    /// As [`Server::start`].
    pub async fn start(options: ServerOptions, replicas: usize) -> Self {
        let nodes = match start_members(&options, PRIMARIES + replicas).await {
            Ok(nodes) => nodes,
            Err(error) => error.panic(),
        };
        let cluster = Self { nodes };
        cluster.form().await;
        cluster
    }

    /// All nodes: the three that were primaries at first, then their replicas.
    pub fn nodes(&self) -> &[Server<RedisNode>] {
        &self.nodes
    }

    /// The nodes, each on its own.
    pub fn into_nodes(self) -> Vec<Server<RedisNode>> {
        self.nodes
    }

    /// Where they are.
    pub fn endpoints(&self) -> Vec<String> {
        self.nodes.iter().map(Server::endpoint).collect()
    }

    /// The node that serves the keys with this hash tag, by the word of all the others that run; waits while they
    /// disagree.
    ///
    /// # Panics
    /// After 30 s.
    pub async fn primary_of(&self, hash_tag: &str) -> &Server<RedisNode> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut told = Vec::new();
            for node in self.nodes.iter().filter(|node| node.is_running()) {
                told.push(serves_slot(node, hash_tag).await);
            }
            told.dedup();
            if let [Some(endpoint)] = told.as_slice()
                && let Some(node) = self.nodes.iter().find(|node| node.endpoint() == *endpoint)
                && node.leads().await
            {
                return node;
            }
            assert!(Instant::now() < deadline, "no primary after {PATIENCE:?}, but {told:?}");
            tokio::time::sleep(PACE).await;
        }
    }

    /// Moves the slot of these keys to another node, key by key, as `redis-cli --cluster reshard` does. `between` is
    /// awaited when `half` of the keys are there and half are not, and again when all are, before the slot is.
    pub async fn move_slot(&self, hash_tag: &str, to: &Server<RedisNode>, mut between: impl AsyncFnMut()) {
        let from = self.primary_of(hash_tag).await;
        let slot = from.command(&["CLUSTER", "KEYSLOT", &format!("{{{hash_tag}}}")]).await.text();
        let (from_id, to_id) = (id(from).await, id(to).await);
        to.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]).await;
        from.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]).await;
        let to_endpoint = to.endpoint();
        let (host, port) = to_endpoint.split_once(':').unwrap_or((&to_endpoint, ""));
        let mut halves = 2;
        loop {
            let count: usize =
                from.command(&["CLUSTER", "COUNTKEYSINSLOT", &slot]).await.text().parse().unwrap_or(0);
            if count == 0 {
                break;
            }
            let half = count.div_ceil(halves).to_string();
            halves = 1;
            let keys = from.command(&["CLUSTER", "GETKEYSINSLOT", &slot, &half]).await.texts();
            let start = ["MIGRATE", host, port, "", "0", "5000", "KEYS"].map(str::to_owned);
            from.command(&[&start[..], &keys].concat()).await;
            between().await;
        }
        for node in [to, from] {
            node.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]).await;
        }
    }

    async fn form(&self) {
        let (primaries, replicas) = self.nodes.split_at(PRIMARIES);
        for (number, node) in self.nodes.iter().enumerate() {
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]).await;
        }
        for (number, node) in primaries.iter().enumerate() {
            let share = |number: usize| (number * SLOTS / PRIMARIES).to_string();
            let to = (((number + 1) * SLOTS / PRIMARIES) - 1).to_string();
            node.command(&["CLUSTER", "ADDSLOTSRANGE", &share(number), &to]).await;
        }
        let first = &self.nodes[0];
        for node in &self.nodes[1..] {
            let (port, bus) = (node.client_port().number().to_string(), node.peer_port().to_string());
            first.command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await;
        }
        let deadline = Instant::now() + PATIENCE;
        let all = self.nodes.len();
        self.until(deadline, |info| info.contains(&format!("cluster_known_nodes:{all}\r"))).await;
        for (replica, primary) in replicas.iter().zip(primaries) {
            let id = id(primary).await;
            replica.command(&["CLUSTER", "REPLICATE", &id]).await;
        }
        self.until(deadline, |info| info.contains("cluster_state:ok")).await;
        for replica in replicas {
            while !replica.command(&["INFO", "replication"]).await.text().contains("master_link_status:up") {
                assert!(Instant::now() < deadline, "{} does not follow its primary", replica.what());
                tokio::time::sleep(PACE).await;
            }
        }
    }

    async fn until(&self, deadline: Instant, reached: impl Fn(&str) -> bool) {
        for node in &self.nodes {
            loop {
                let info = node.command(&["CLUSTER", "INFO"]).await.text();
                if reached(&info) {
                    break;
                }
                assert!(Instant::now() < deadline, "{} knows no whole cluster: {info}", node.what());
                tokio::time::sleep(PACE).await;
            }
        }
    }
}

async fn id(node: &Server<RedisNode>) -> String {
    node.command(&["CLUSTER", "MYID"]).await.text()
}

/// Who serves the slot, as this node knows it.
async fn serves_slot(node: &Server<RedisNode>, hash_tag: &str) -> Option<String> {
    let endpoint = node.endpoint();
    let slot = ask(&endpoint, &["CLUSTER", "KEYSLOT", &format!("{{{hash_tag}}}")]).await?;
    let RedisReply::Number(slot) = slot else { return None };
    let RedisReply::List(ranges) = ask(&endpoint, &["CLUSTER", "SLOTS"]).await? else { return None };
    ranges.iter().find_map(|range| match range {
        RedisReply::List(range) => match range.as_slice() {
            [RedisReply::Number(from), RedisReply::Number(to), RedisReply::List(primary), ..]
                if (*from..=*to).contains(&slot) =>
            {
                Some(format!("{}:{}", primary.first()?.text(), primary.get(1)?.text()))
            }
            _ => None,
        },
        _ => None,
    })
}

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use leasehold_testkit::servers::{ServerOptions, ZooKeeperCluster};
use leasehold_testkit::worlds::end_zookeeper_session;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use zookeeper_client::Client;

use super::{Servers, Service, ServiceKind, ZOOKEEPER_TICK};
use crate::tap::{Tap, TappedEntry};

/// How long an administrator's request may take.
const REQUEST: Duration = Duration::from_secs(3);

/// Three ZooKeeper servers.
#[derive(Debug)]
pub struct ZooKeeperService {
    cluster: ZooKeeperCluster,
    /// How often each server has found its data to differ, as far as it was asked.
    mismatches: Mutex<Vec<f64>>,
}

impl ZooKeeperService {
    /// Starts them.
    pub async fn start(options: ServerOptions) -> Self {
        let cluster = ZooKeeperCluster::start(options.tick_time(ZOOKEEPER_TICK)).await;
        Self { cluster, mismatches: Mutex::default() }
    }

    async fn delete(&self, path: &str) -> Result<(), String> {
        let endpoints = self.cluster.endpoints().join(",");
        let delete = async {
            let client = Client::connect(&endpoints).await.map_err(|error| error.to_string())?;
            client.delete(path, None).await.map_err(|error| error.to_string())
        };
        timeout(REQUEST, delete).await.unwrap_or_else(|_| Err(format!("no answer within {REQUEST:?}")))
    }

    /// Where a server keeps its data.
    fn data(&self, server: usize) -> PathBuf {
        self.cluster.node(server).dir().join("data/version-2")
    }

    /// The answer of each server that gives one to a question of four letters.
    async fn answers(&self, word: &str) -> Vec<Result<String, String>> {
        let mut answers = Vec::new();
        for endpoint in self.cluster.endpoints() {
            let asked = timeout(REQUEST, four_letters(&endpoint, word)).await;
            answers.push(match asked {
                Ok(answer) => answer.map_err(|error| format!("{endpoint}: {error}")),
                Err(_) => Err(format!("{endpoint}: no answer to {word}")),
            });
        }
        answers
    }
}

async fn four_letters(endpoint: &str, word: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(endpoint).await?;
    stream.write_all(word.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// A number of an answer to `mntr`.
fn monitored(answer: &str, name: &str) -> Option<f64> {
    let mut fields = answer.lines().filter_map(|line| line.split_once('\t'));
    fields.find(|(key, _)| *key == name)?.1.trim().parse().ok()
}

#[async_trait]
impl Service for ZooKeeperService {
    fn kind(&self) -> ServiceKind {
        ServiceKind::ZooKeeper
    }

    fn servers(&self) -> &dyn Servers {
        &self.cluster
    }

    async fn end_session(&self, session: &str) -> Result<(), String> {
        let mut why = String::new();
        for endpoint in self.cluster.endpoints() {
            match timeout(REQUEST, end_zookeeper_session(&endpoint, session)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => why = error.to_string(),
                Err(_) => why = format!("no answer of {endpoint}"),
            }
        }
        Err(why)
    }

    async fn delete_entry(&self, entry: &TappedEntry) -> Result<(), String> {
        self.delete(&entry.key).await
    }

    /// As a container is reaped; whoever comes next makes another one, in which the sequence begins anew.
    async fn delete_directory(&self, lock: &str) -> Result<(), String> {
        self.delete(&format!("/{lock}")).await
    }

    /// A server whose disk fails while it becomes the leader may go on with an epoch that it could not write down as accepted, write it down as the current one
    /// later, and refuse to start over that (3.8.0; compare ZOOKEEPER-2307).
    fn is_spoilt(&self, server: usize) -> bool {
        let data = self.data(server);
        let epoch = |name| std::fs::read_to_string(data.join(name)).ok()?.trim().parse::<i64>().ok();
        epoch("acceptedEpoch")
            .zip(epoch("currentEpoch"))
            .is_some_and(|(accepted, current)| accepted < current)
    }

    /// A follower that differs from its leader; the leader, if all followers do.
    async fn astray(&self) -> Option<usize> {
        let answers = self.answers("mntr").await;
        let count = |answer: &String| monitored(answer, "zk_digest_mismatches_count").unwrap_or_default();
        let counts: Vec<f64> = answers.iter().map(|answer| answer.as_ref().map_or(0.0, count)).collect();
        let before = std::mem::replace(
            &mut *self.mismatches.lock().unwrap_or_else(PoisonError::into_inner),
            counts.clone(),
        );
        // It counts from when it was started.
        let more = |server: &usize| counts[*server] > before.get(*server).copied().unwrap_or_default();
        let differing: Vec<usize> = (0..counts.len()).filter(more).collect();
        match differing[..] {
            [] => None,
            [follower] => Some(follower),
            _ => answers.iter().position(|answer| {
                answer.as_ref().is_ok_and(|text| text.contains("zk_server_state\tleader"))
            }),
        }
    }

    fn wipe(&self, server: usize) {
        let data = self.data(server);
        if let Err(error) = std::fs::remove_dir_all(&data) {
            panic!("cannot remove {}: {error}", data.display());
        }
    }

    fn tap(&self, tap: Tap) {
        let logs = (0..self.cluster.endpoints().len()).map(|server| self.data(server));
        crate::tap::zookeeper::start(logs.collect(), &tap);
    }

    /// The leader knows all sessions, and every server all ephemeral nodes.
    async fn leftovers(&self, namespace: &str) -> Result<Vec<String>, String> {
        let mut left = Vec::new();
        for dump in self.answers("dump").await {
            for line in dump?.lines().filter(|line| line.starts_with('\t')).map(str::trim) {
                let is_session = line.strip_prefix("0x").is_some_and(|id| !id.contains(' '));
                if line.starts_with(&format!("/{namespace}/")) || is_session {
                    left.push(line.to_owned());
                }
            }
        }
        left.sort_unstable();
        left.dedup();
        Ok(left)
    }

    async fn watches(&self) -> Vec<String> {
        let mut left = Vec::new();
        for (server, summary) in self.answers("wchs").await.into_iter().enumerate() {
            let count = summary
                .as_deref()
                .ok()
                .and_then(|text| text.lines().find_map(|l| l.strip_prefix("Total watches:")));
            match count {
                Some("0") => {}
                Some(count) => left.push(format!("{count} watches at server {server}")),
                None => left.push(format!("server {server} does not tell its watches: {summary:?}")),
            }
        }
        left
    }

    async fn census(&self, _namespace: &str) -> Vec<(String, f64)> {
        let answers: Result<Vec<String>, String> = self.answers("mntr").await.into_iter().collect();
        let Ok(answers) = answers else { return Vec::new() };
        let sum = |name: &str| answers.iter().filter_map(|answer| monitored(answer, name)).sum();
        vec![("nodes".to_owned(), sum("zk_znode_count")), ("watches".to_owned(), sum("zk_watch_count"))]
    }
}

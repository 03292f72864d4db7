use std::time::Duration;

use async_trait::async_trait;
use etcd_client::{Client, ConnectOptions, GetOptions};
use leasehold_testkit::servers::{EtcdCluster, Metrics, ServerOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Servers, Service, ServiceKind};
use crate::tap::{Tap, TappedEntry};

/// How long an administrator's request may take.
const REQUEST: Duration = Duration::from_secs(3);

/// Three etcd servers.
#[derive(Debug)]
pub struct EtcdService {
    cluster: EtcdCluster,
}

impl EtcdService {
    /// Starts them.
    pub async fn start(options: ServerOptions) -> Self {
        Self { cluster: EtcdCluster::start(options).await }
    }

    async fn client(&self) -> Result<Client, String> {
        connect(&self.cluster.endpoints()).await.map_err(|error| error.to_string())
    }

    async fn ask<T, E: ToString>(
        what: &str,
        request: impl Future<Output = Result<T, E>>,
    ) -> Result<T, String> {
        match timeout(REQUEST, request).await {
            Ok(answer) => answer.map_err(|error| format!("{what}: {}", error.to_string())),
            Err(_) => Err(format!("{what}: no answer within {REQUEST:?}")),
        }
    }
}

pub(crate) async fn connect(endpoints: &[String]) -> Result<Client, etcd_client::Error> {
    let options = ConnectOptions::new().with_connect_timeout(REQUEST).with_keep_alive(REQUEST, REQUEST);
    Client::connect(endpoints, Some(options)).await
}

#[async_trait]
impl Service for EtcdService {
    fn kind(&self) -> ServiceKind {
        ServiceKind::Etcd
    }

    fn servers(&self) -> &dyn Servers {
        &self.cluster
    }

    async fn end_session(&self, session: &str) -> Result<(), String> {
        let lease = i64::from_str_radix(session, 16).map_err(|error| format!("{session:?}: {error}"))?;
        let mut client = self.client().await?;
        Self::ask("revoking a lease", client.lease_revoke(lease)).await.map(drop)
    }

    async fn delete_entry(&self, entry: &TappedEntry) -> Result<(), String> {
        let mut client = self.client().await?;
        Self::ask("deleting a key", client.delete(entry.key.as_str(), None)).await.map(drop)
    }

    async fn tidy(&self) -> Result<(), String> {
        let mut client = self.client().await?;
        let now = Self::ask("reading the revision", client.get("revision", None)).await?;
        let revision = now.header().map_or(0, |header| header.revision());
        Self::ask("compacting", client.compact(revision, None)).await.map(drop)
    }

    fn tap(&self, tap: Tap) {
        crate::tap::etcd::start(self.cluster.endpoints(), &tap);
    }

    async fn leftovers(&self, namespace: &str) -> Result<Vec<String>, String> {
        let mut client = self.client().await?;
        let options = GetOptions::new().with_prefix().with_keys_only();
        let keys = Self::ask("listing keys", client.get(format!("{namespace}/"), Some(options))).await?;
        let mut left: Vec<String> =
            keys.kvs().iter().map(|kv| String::from_utf8_lossy(kv.key()).into_owned()).collect();
        let leases = Self::ask("listing leases", client.leases()).await?;
        left.extend(leases.leases().iter().map(|lease| format!("lease {:x}", lease.id())));
        Ok(left)
    }

    async fn watches(&self) -> Vec<String> {
        let mut left = Vec::new();
        for (server, watches) in self.watchers().await.into_iter().enumerate() {
            match watches {
                Some(0.0) => {}
                Some(watches) => left.push(format!("{watches} watches at server {server}")),
                None => left.push(format!("server {server} does not tell its watches")),
            }
        }
        left
    }

    async fn census(&self, namespace: &str) -> Vec<(String, f64)> {
        let mut counts = Vec::new();
        if let Ok(mut client) = self.client().await {
            let options = GetOptions::new().with_prefix().with_count_only();
            let keys = Self::ask("counting keys", client.get(format!("{namespace}/"), Some(options))).await;
            counts.extend(keys.ok().map(|keys| ("keys".to_owned(), keys.count() as f64)));
        }
        let watchers: Option<Vec<f64>> = self.watchers().await.into_iter().collect();
        counts.extend(watchers.map(|watchers| ("watches".to_owned(), watchers.iter().sum())));
        counts
    }
}

impl EtcdService {
    /// How many watches each server has; nothing of one that does not answer.
    async fn watchers(&self) -> Vec<Option<f64>> {
        let mut watchers = Vec::new();
        for endpoint in self.cluster.endpoints() {
            let metrics = timeout(REQUEST, metrics(&endpoint)).await.ok().and_then(Result::ok);
            watchers.push(metrics.map(|text| Metrics::parse(&text).sum("etcd_debugging_mvcc_watcher_total")));
        }
        watchers
    }
}

async fn metrics(endpoint: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(endpoint).await?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

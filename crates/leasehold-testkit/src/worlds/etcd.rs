//! The world of etcd.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_core::{KeyPath, LockBackend};

use crate::base64;
use crate::contract::World;
use crate::proxy::Proxy;
use crate::servers::{EtcdServer, ServerOptions};

/// An etcd server of its own, behind a proxy.
pub struct EtcdWorld {
    server: EtcdServer,
    proxy: Proxy,
    connect: fn(&str) -> Arc<dyn LockBackend>,
}

impl EtcdWorld {
    /// Starts the server. `connect` makes the backend for a server at `host:port`.
    pub async fn start(connect: fn(&str) -> Arc<dyn LockBackend>) -> Self {
        let server = EtcdServer::start(ServerOptions::default()).await;
        let proxy = Proxy::start(&server.endpoint()).await;
        Self { server, proxy, connect }
    }

    /// The server, for what a test wants beyond [`World`].
    pub fn server(&self) -> &EtcdServer {
        &self.server
    }

    /// The network, likewise.
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    async fn put(&self, key: &str, value: &[u8]) {
        let (key, value) = (base64::encode(key.as_bytes()), base64::encode(value));
        self.server.gateway("/v3/kv/put", &format!(r#"{{"key":"{key}","value":"{value}"}}"#)).await;
    }
}

/// The range of the keys that begin with `prefix`, as members of a JSON object. The prefix is no run of 0xff bytes.
fn range(prefix: &str) -> String {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    format!(r#""key":"{}","range_end":"{}""#, base64::encode(prefix.as_bytes()), base64::encode(&end))
}

#[async_trait]
impl World for EtcdWorld {
    fn service(&self) -> &'static str {
        "etcd"
    }

    fn backend(&self) -> Arc<dyn LockBackend> {
        (self.connect)(&self.proxy.endpoint())
    }

    fn direct(&self) -> Arc<dyn LockBackend> {
        (self.connect)(&self.server.endpoint())
    }

    /// What etcd grants at least.
    fn ttl(&self) -> Duration {
        Duration::from_secs(2)
    }

    async fn expire_session(&self, id: &str) {
        let id = i64::from_str_radix(id, 16).unwrap_or_else(|_| panic!("{id:?} is no lease's"));
        self.server.gateway("/v3/kv/lease/revoke", &format!(r#"{{"ID":"{id}"}}"#)).await;
    }

    async fn remove_queue(&self, path: &KeyPath) {
        self.server.gateway("/v3/kv/deleterange", &format!("{{{}}}", range(&format!("{path}/")))).await;
    }

    async fn plant_foreign(&self, path: &KeyPath) {
        let attempt = "0123456789abcdef0123456789abcdef";
        self.put(&format!("{path}/"), b"").await;
        self.put(&format!("{path}/694d7f0d8ac2a31e"), b"an entry of Go's").await;
        self.put(&format!("{path}/{attempt}"), b"\xff\0\n").await;
        self.put(&format!("{path}/{attempt}/x"), b"x\n").await;
        self.put(&format!("{path}/{}", attempt.to_uppercase()), b"x\n").await;
    }

    async fn listing(&self, prefix: &str) -> Vec<String> {
        let query = format!(r#"{{{},"keys_only":true}}"#, range(prefix));
        let answer = self.server.gateway("/v3/kv/range", &query).await;
        let keys = answer.split(r#""key":""#).skip(1).filter_map(|rest| rest.split_once('"'));
        keys.map(|(key, _)| {
            let bytes = base64::decode(key).unwrap_or_else(|| panic!("{key:?} is not in base64"));
            String::from_utf8_lossy(&bytes).into_owned()
        })
        .filter(|key| !key.contains("/!sessions/"))
        .collect()
    }

    async fn cut(&self) {
        self.proxy.cut();
    }

    async fn heal(&self) {
        self.proxy.heal();
    }

    /// Whoever connects anew hears as little.
    async fn cut_replies(&self) {
        self.proxy.cut_after_reply_bytes(0);
        self.proxy.drop_replies();
    }

    async fn restart(&self) {
        self.server.kill().await;
        self.server.restart().await;
    }

    /// Up to the newest revision.
    async fn compact(&self) {
        let query = format!(r#"{{{},"count_only":true}}"#, range("x"));
        let answer = self.server.gateway("/v3/kv/range", &query).await;
        let revision = answer.split_once(r#""revision":""#).and_then(|(_, rest)| rest.split_once('"'));
        let (revision, _) = revision.unwrap_or_else(|| panic!("{answer} has no revision"));
        let compaction = format!(r#"{{"revision":"{revision}","physical":true}}"#);
        self.server.gateway("/v3/kv/compaction", &compaction).await;
    }
}

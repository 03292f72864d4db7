//! The world of ZooKeeper.

mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_core::{KeyPath, LockBackend};

use crate::contract::World;
use crate::proxy::Proxy;
use crate::servers::{ServerOptions, ZooKeeperServer};
use wire::{NO_NODE, NODE_EXISTS, NOT_EMPTY, Wire};

/// Ends a session of somebody else's by a second connection, with everything that is tied to it: what an administrator can do who knows how
/// a server makes a session's password. `id` is `0x` and hexadecimal digits.
///
/// # Errors
/// As the connection fails, or if `id` is no session's.
pub async fn end_zookeeper_session(endpoint: &str, id: &str) -> std::io::Result<()> {
    let number = id.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let number = number.ok_or_else(|| std::io::Error::other(format!("{id:?} is no session's")))?;
    wire::end_session(endpoint, number.cast_signed()).await
}

/// A ZooKeeper server of its own, behind a proxy.
pub struct ZooKeeperWorld {
    server: ZooKeeperServer,
    proxy: Proxy,
    connect: fn(&str) -> Arc<dyn LockBackend>,
}

impl ZooKeeperWorld {
    /// Starts the server, with a tick of 500 ms. `connect` makes the backend for a server at `host:port`.
    pub async fn start(connect: fn(&str) -> Arc<dyn LockBackend>) -> Self {
        let server = ZooKeeperServer::start(ServerOptions::default()).await;
        let proxy = Proxy::start(&server.endpoint()).await;
        Self { server, proxy, connect }
    }

    /// The server, for what a test wants beyond [`World`].
    pub fn server(&self) -> &ZooKeeperServer {
        &self.server
    }

    /// The network, likewise.
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    async fn wire(&self) -> Wire {
        Wire::connect(&self.server.endpoint())
            .await
            .unwrap_or_else(|error| panic!("the server answers: {error}"))
    }

    /// Creates a node and what is missing above it.
    async fn plant(&self, wire: &mut Wire, path: &str, data: &[u8]) {
        let ends = path.match_indices('/').map(|(end, _)| end).skip(1);
        for parent in ends.map(|end| &path[..end]) {
            self.create(wire, parent, b"").await;
        }
        self.create(wire, path, data).await;
    }

    async fn create(&self, wire: &mut Wire, path: &str, data: &[u8]) {
        let created =
            wire.create(path, data).await.unwrap_or_else(|error| panic!("creating {path}: {error}"));
        assert!(matches!(created, Ok(_) | Err(NODE_EXISTS)), "creating {path}: {created:?}");
    }

    async fn delete(&self, wire: &mut Wire, path: &str) -> Result<(), i32> {
        let deleted = wire.delete(path).await.unwrap_or_else(|error| panic!("deleting {path}: {error}"));
        match deleted {
            Ok(_) | Err(NO_NODE) => Ok(()),
            Err(code) => Err(code),
        }
    }
}

async fn children(wire: &mut Wire, path: &str) -> Vec<String> {
    wire.children(path).await.unwrap_or_else(|error| panic!("listing {path}: {error}"))
}

#[async_trait]
impl World for ZooKeeperWorld {
    fn service(&self) -> &'static str {
        "zookeeper"
    }

    fn backend(&self) -> Arc<dyn LockBackend> {
        (self.connect)(&self.proxy.endpoint())
    }

    fn direct(&self) -> Arc<dyn LockBackend> {
        (self.connect)(&self.server.endpoint())
    }

    /// Long enough to outlive a restart of the server.
    fn ttl(&self) -> Duration {
        Duration::from_secs(6)
    }

    async fn expire_session(&self, id: &str) {
        let ended = end_zookeeper_session(&self.server.endpoint(), id).await;
        ended.unwrap_or_else(|error| panic!("ending session {id}: {error}"));
    }

    async fn remove_queue(&self, path: &KeyPath) {
        let (mut wire, directory) = (self.wire().await, format!("/{path}"));
        // Entries may come in while the queue is being removed.
        loop {
            for child in children(&mut wire, &directory).await {
                let path = format!("{directory}/{child}");
                self.delete(&mut wire, &path).await.unwrap_or_else(|code| panic!("deleting {path}: {code}"));
            }
            match self.delete(&mut wire, &directory).await {
                Err(NOT_EMPTY) => {}
                Ok(()) => return,
                Err(code) => panic!("deleting {directory}: {code}"),
            }
        }
    }

    async fn plant_foreign(&self, path: &KeyPath) {
        let attempt = "0123456789abcdef0123456789abcdef";
        let mut wire = self.wire().await;
        for (name, data) in [
            ("_c_0f8fad5b-d9cb-469f-a165-70867728950e-lock-0000000000", &b"an entry of Curator's"[..]),
            ("0123456789abcdef0123456789abcdef__lock__0000000000", b"an entry of kazoo's"),
            (attempt, b"\xff\0\n"),
            (&format!("{attempt}-x"), b"x"),
            (&format!("{attempt}-x-7"), b"x"),
            (&format!("{attempt}-y-0000000000"), b"x"),
            (&format!("{}-x-0000000000", attempt.to_uppercase()), b"x"),
        ] {
            self.plant(&mut wire, &format!("/{path}/{name}"), data).await;
        }
    }

    async fn listing(&self, prefix: &str) -> Vec<String> {
        let mut wire = self.wire().await;
        let top = prefix.rsplit_once('/').map_or("", |(top, _)| top);
        let mut unread = vec![top.to_owned()];
        let mut keys = Vec::new();
        while let Some(node) = unread.pop() {
            for child in children(&mut wire, &format!("/{node}")).await {
                if child == "!sessions" {
                    continue;
                }
                let key = if node.is_empty() { child } else { format!("{node}/{child}") };
                if key.starts_with(prefix) {
                    keys.push(key.clone());
                }
                if key.starts_with(prefix) || prefix.starts_with(&key) {
                    unread.push(key);
                }
            }
        }
        keys
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

    /// There is no history: a client that reconnects has its watches compared with the present state.
    async fn compact(&self) {}
}

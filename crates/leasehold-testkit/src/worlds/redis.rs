//! The worlds of Redis.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use leasehold_core::{KeyPath, LockBackend};

use crate::contract::World;
use crate::proxy::Proxy;
use crate::servers::{
    Redis, RedisClient, RedisCluster, RedisNode, RedisReply, RedisServer, Server, ServerOptions, SpeaksRedis,
};

/// Into how many shards a namespace is divided.
const SHARDS: usize = 16;

/// Removes what begins with a queue's name from a shard, as an administrator might: without telling anybody.
const REMOVE_QUEUE: &str = r"
local members = redis.call('ZRANGEBYLEX', KEYS[1], '[' .. ARGV[1] .. '/', '(' .. ARGV[1] .. '0')
for _, member in ipairs(members) do
    local attempt = string.match(member, '[^/]*$')
    local owner = string.match(redis.call('HGET', KEYS[2], attempt) or '', '^%d+ %d+ (%x+) ')
    if owner then
        redis.call('ZREM', KEYS[1], '!' .. owner .. '/e/' .. attempt)
    end
    redis.call('HDEL', KEYS[2], attempt)
    redis.call('HDEL', KEYS[3], attempt)
    redis.call('ZREM', KEYS[1], member)
end
";

/// How long servers may take to serve.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a server is, as `host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisAddress {
    /// As the servers tell it.
    pub told: String,
    /// Where it is reached.
    pub at: String,
}

/// Makes a backend for servers.
type Connect = Box<dyn Fn(&[RedisAddress]) -> Arc<dyn LockBackend> + Send + Sync>;

/// One Redis server of its own, or a cluster, behind proxies.
pub struct RedisWorld<S> {
    servers: Vec<Server<S>>,
    proxies: Vec<Proxy>,
    connect: Connect,
    /// Which server had the keys that were asked for last.
    served_last: AtomicUsize,
}

impl RedisWorld<Redis> {
    /// Starts a server. `connect` makes the backend for one at `host:port`.
    pub async fn start(connect: fn(&str) -> Arc<dyn LockBackend>) -> Self {
        let server = RedisServer::start(ServerOptions::default()).await;
        Self::around(vec![server], Box::new(move |servers| connect(&servers[0].at))).await
    }
}

impl RedisWorld<RedisNode> {
    /// Starts a cluster of three primaries. `connect` makes the backend for its nodes.
    pub async fn start_cluster(connect: fn(&[RedisAddress]) -> Arc<dyn LockBackend>) -> Self {
        let cluster = RedisCluster::start(ServerOptions::default(), 0).await;
        Self::around(cluster.into_nodes(), Box::new(connect)).await
    }
}

impl<S: SpeaksRedis> RedisWorld<S> {
    async fn around(servers: Vec<Server<S>>, connect: Connect) -> Self {
        let mut proxies = Vec::new();
        for server in &servers {
            proxies.push(Proxy::start(&server.endpoint()).await);
        }
        Self { servers, proxies, connect, served_last: AtomicUsize::new(0) }
    }

    /// Sends a command to the server that has its keys.
    async fn command(&self, words: &[impl AsRef<[u8]>]) -> RedisReply {
        let deadline = Instant::now() + PATIENCE;
        let mut refusal = String::new();
        while Instant::now() < deadline {
            match self.try_command(words).await {
                RedisReply::Error(told) => refusal = told,
                reply => return reply,
            }
            // Nodes that were restarted serve nobody until they have agreed.
            assert!(refusal.starts_with("CLUSTERDOWN"), "refused: {refusal}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("still refused after {PATIENCE:?}: {refusal}");
    }

    async fn try_command(&self, words: &[impl AsRef<[u8]>]) -> RedisReply {
        let known = self.served_last.load(Ordering::Relaxed);
        for (at, server) in self.servers.iter().enumerate().cycle().skip(known).take(self.servers.len()) {
            match RedisClient::connect(&server.endpoint()).await.expect("it runs").command(words).await {
                Ok(RedisReply::Error(refusal)) if refusal.starts_with("MOVED") => continue,
                reply => {
                    self.served_last.store(at, Ordering::Relaxed);
                    return reply.expect("an answer");
                }
            }
        }
        panic!("nobody has these keys");
    }

    /// The keys of all servers that match a pattern of Redis's.
    async fn keys(&self, pattern: &str) -> Vec<String> {
        let mut keys = Vec::new();
        for server in &self.servers {
            keys.extend(server.keys(pattern).await);
        }
        keys
    }

    /// What stands in a shard, as paths below the namespace: an entry, whatever there is of it, is one line;
    /// tombstones have a `!`. What belongs to the sessions themselves is left out, as it is for services that keep it
    /// elsewhere.
    async fn shard(&self, namespace: &str, shard: &str) -> Vec<String> {
        let key = |name: &str| key_of(namespace, shard, name);
        let mut members = self.command(&["ZRANGE", &key("index"), "0", "-1"]).await.texts();
        for hash in ["entries", "values"] {
            members.extend(self.command(&["HKEYS", &key(hash)]).await.texts());
        }
        members
            .retain(|member| !(member.starts_with('!') && member.ends_with('/') || member.starts_with('.')));
        let attempt = |member: &str| member.rsplit(['/', '!']).next().unwrap_or_default().to_owned();
        let queued: HashSet<String> =
            members.iter().filter(|m| !m.starts_with('!') && m.contains('/')).map(|m| attempt(m)).collect();
        let lines = members.iter().filter_map(|member| {
            let is_tombstone = member.starts_with('!') && !member.contains("/e/");
            let is_queued = !member.starts_with('!') && member.contains('/');
            match (is_tombstone, is_queued) {
                (true, _) => Some(format!("{namespace}/!{}", attempt(member))),
                (_, true) => Some(format!("{namespace}/{member}")),
                // A trace of an entry that is listed, or of one that is not whole.
                _ => (!queued.contains(&attempt(member)))
                    .then(|| format!("{namespace}/{shard}/traces/{member}")),
            }
        });
        lines.collect::<BTreeSet<String>>().into_iter().collect()
    }
}

/// A key of a shard.
fn key_of(namespace: &str, shard: &str, name: &str) -> String {
    format!("{{{namespace}}}:{shard}:{name}")
}

/// The namespace of a path, and what is below it.
fn split(path: &KeyPath) -> (&str, &str) {
    let (kind, _) = path.as_str().rsplit_once('/').expect("a path has a name");
    let (namespace, _) = kind.rsplit_once('/').expect("a path has a kind");
    (namespace, &path.as_str()[namespace.len() + 1..])
}

#[async_trait]
impl<S: SpeaksRedis> World for RedisWorld<S> {
    fn service(&self) -> &'static str {
        "redis"
    }

    fn backend(&self) -> Arc<dyn LockBackend> {
        let pairs = self.servers.iter().zip(&self.proxies);
        let reached: Vec<_> = pairs
            .map(|(server, proxy)| RedisAddress { told: server.endpoint(), at: proxy.endpoint() })
            .collect();
        (self.connect)(&reached)
    }

    fn direct(&self) -> Arc<dyn LockBackend> {
        let directly = self.servers.iter().map(Server::endpoint);
        let directly: Vec<_> =
            directly.map(|endpoint| RedisAddress { told: endpoint.clone(), at: endpoint }).collect();
        (self.connect)(&directly)
    }

    fn ttl(&self) -> Duration {
        Duration::from_secs(2)
    }

    /// All keys of a session expire at one moment.
    async fn expire_session(&self, id: &str) {
        let mut command = self.keys(&format!("{{*}}:?:session:{id}")).await;
        if !command.is_empty() {
            command.insert(0, "DEL".to_owned());
            self.command(&command).await;
        }
    }

    async fn remove_queue(&self, path: &KeyPath) {
        let (namespace, queue) = split(path);
        for shard in 0..SHARDS {
            let key = |name| key_of(namespace, &format!("{shard:x}"), name);
            let (index, entries, values) = (key("index"), key("entries"), key("values"));
            self.command(&["EVAL", REMOVE_QUEUE, "3", &index, &entries, &values, queue]).await;
        }
    }

    async fn plant_foreign(&self, path: &KeyPath) {
        let (namespace, queue) = split(path);
        let attempt = "0123456789abcdef0123456789abcdef";
        let order = "0000000000000001";
        for shard in 0..SHARDS {
            let key = |name: &str| key_of(namespace, &format!("{shard:x}"), name);
            for member in [
                format!("{queue}/").as_bytes(),
                format!("{queue}/694d7f0d8ac2a31e").as_bytes(),
                format!("{queue}/{order}/{attempt}").as_bytes(),
                format!("{queue}/{order}/{}", attempt.to_uppercase()).as_bytes(),
                format!("{queue}/{order}/{attempt}/x").as_bytes(),
                &[queue.as_bytes(), b"/\xff\0\n"].concat(),
                b"\xff",
            ] {
                self.command(&[b"ZADD", key("index").as_bytes(), b"0", member]).await;
            }
            for (field, value) in [
                (attempt, &b"\xff\0\n"[..]),
                (&attempt.to_uppercase(), b"x"),
                ("fedcba9876543210fedcba9876543210", b"1 1 00 x elsewhere"),
                ("", b""),
            ] {
                let (entries, values) = (key("entries"), key("values"));
                self.command(&[b"HSET", entries.as_bytes(), field.as_bytes(), value]).await;
                self.command(&[b"HSET", values.as_bytes(), field.as_bytes(), value]).await;
            }
            self.command(&["ZADD", &key("sessions"), "0", "no session", "+inf", "none either"]).await;
            self.command(&["SET", &key(queue), "a stranger's"]).await;
            for message in [&b"\xff"[..], b"hello", b"- 1 2", b""] {
                let channel = key(&format!("queue:{queue}"));
                self.command(&[b"PUBLISH", channel.as_bytes(), message]).await;
            }
        }
    }

    async fn listing(&self, prefix: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let mut shards = BTreeSet::new();
        for key in self.keys(&format!("{{{prefix}*")).await {
            let tagged = key.strip_prefix('{').and_then(|key| key.split_once("}:"));
            let Some((namespace, (shard, name))) =
                tagged.and_then(|(namespace, rest)| Some((namespace, rest.split_once(':')?)))
            else {
                lines.push(key);
                continue;
            };
            match name.split_once(':').unwrap_or((name, "")) {
                ("seq" | "sessions" | "session", _) => {}
                ("index" | "entries" | "values", _) => {
                    shards.insert((namespace.to_owned(), shard.to_owned()));
                }
                ("register", register) => lines.push(format!("{namespace}/{register}")),
                _ => lines.push(format!("{namespace}/{name}")),
            }
        }
        for (namespace, shard) in shards {
            lines.extend(self.shard(&namespace, &shard).await);
        }
        lines
    }

    async fn cut(&self) {
        self.proxies.iter().for_each(Proxy::cut);
    }

    async fn heal(&self) {
        self.proxies.iter().for_each(Proxy::heal);
    }

    /// Whoever connects anew hears as little.
    async fn cut_replies(&self) {
        for proxy in &self.proxies {
            proxy.cut_after_reply_bytes(0);
            proxy.drop_replies();
        }
    }

    async fn restart(&self) {
        for server in &self.servers {
            server.kill().await;
        }
        for server in &self.servers {
            server.respawn().await;
        }
        for server in &self.servers {
            server.ready().await;
        }
    }

    /// There is no history: after a gap in the messages the present state is read again.
    async fn compact(&self) {}
}

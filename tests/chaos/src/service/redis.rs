use async_trait::async_trait;
use leasehold_testkit::servers::{RedisClient, RedisReply, RedisServer, ServerOptions};

use super::{Servers, Service, ServiceKind};
use crate::tap::{Tap, TappedEntry};

/// Removes one entry from its shard, as an administrator might: without telling anybody.
const REMOVE: &str = r"
local header = redis.call('HGET', KEYS[2], ARGV[1])
local order, owner, queue = string.match(header or '', '^(%d+) %d+ (%x+) %w+ (%S+)$')
if not order then
    return 0
end
redis.call('ZREM', KEYS[1], queue .. '/' .. order .. '/' .. ARGV[1], '!' .. owner .. '/e/' .. ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
return 1
";

/// One Redis server with an append-only file, which is synced at every write.
#[derive(Debug)]
pub struct RedisService {
    server: RedisServer,
}

impl RedisService {
    /// Starts it. The file is never rewritten: the tap reads it.
    pub async fn start(options: ServerOptions) -> Self {
        let options = options.arg("--auto-aof-rewrite-percentage").arg("0");
        Self { server: RedisServer::start(options).await }
    }

    async fn command(&self, words: &[impl AsRef<[u8]>]) -> Result<RedisReply, String> {
        let asked = async { RedisClient::connect(&self.server.endpoint()).await?.command(words).await };
        match tokio::time::timeout(std::time::Duration::from_secs(3), asked).await {
            Ok(Ok(RedisReply::Error(error))) => Err(error),
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err("Redis does not answer".into()),
        }
    }

    async fn keys(&self, pattern: &str) -> Result<Vec<String>, String> {
        Ok(self.command(&["KEYS", pattern]).await?.texts())
    }
}

#[async_trait]
impl Service for RedisService {
    fn kind(&self) -> ServiceKind {
        ServiceKind::Redis
    }

    fn servers(&self) -> &dyn Servers {
        &self.server
    }

    async fn end_session(&self, session: &str) -> Result<(), String> {
        let mut command = self.keys(&format!("{{*}}:?:session:{session}")).await?;
        if command.is_empty() {
            return Ok(());
        }
        command.insert(0, "DEL".to_owned());
        self.command(&command).await.map(drop)
    }

    /// The key of an entry is that of its shard's hash.
    async fn delete_entry(&self, entry: &TappedEntry) -> Result<(), String> {
        let Some(start) = entry.key.strip_suffix(":entries") else { return Err(entry.key.clone()) };
        let (index, values) = (format!("{start}:index"), format!("{start}:values"));
        self.command(&["EVAL", REMOVE, "3", &index, &entry.key, &values, &entry.entry]).await.map(drop)
    }

    fn tap(&self, tap: Tap) {
        crate::tap::redis::start(self.server.dir().join("data"), &tap);
    }

    /// All keys but the counters, which stay.
    async fn leftovers(&self, namespace: &str) -> Result<Vec<String>, String> {
        let mut keys = self.keys(&format!("{{{namespace}}}:*")).await?;
        keys.retain(|key| !key.ends_with(":seq"));
        Ok(keys)
    }

    async fn watches(&self) -> Vec<String> {
        match self.command(&["PUBSUB", "CHANNELS"]).await {
            Ok(channels) => channels.texts(),
            Err(error) => vec![error],
        }
    }

    async fn census(&self, _namespace: &str) -> Vec<(String, f64)> {
        let keys = self.command(&["DBSIZE"]).await.ok().and_then(|keys| keys.text().parse().ok());
        let channels =
            self.command(&["PUBSUB", "CHANNELS"]).await.ok().map(|channels| channels.texts().len() as f64);
        let keys = keys.map(|keys: f64| ("keys".to_owned(), keys));
        keys.into_iter().chain(channels.map(|channels| ("channels".to_owned(), channels))).collect()
    }
}

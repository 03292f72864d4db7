use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::error::StartError;
use super::options::ServerOptions;
use super::ports::Port;
use super::resp::{RedisClient, RedisReply};
use super::server::kind::Kind;
use super::server::{Package, Server, Service};
use super::site;
use super::storage;
use super::watchdog::CommandLine;

pub(super) const PACKAGE: Package =
    Package { what: "Redis", package: "redis-server", variable: "LEASEHOLD_REDIS_BIN" };

/// Redis, as a [`Service`](super::Service).
#[derive(Debug, Clone, Copy)]
pub enum Redis {}

/// What a server speaks that is Redis in one of its forms.
pub trait SpeaksRedis: Service {}

impl SpeaksRedis for Redis {}

/// One Redis server. It keeps an append-only file and syncs it at every write, so that it loses nothing when it is
/// killed.
pub type RedisServer = Server<Redis>;

impl Kind for Redis {
    const NAME: &'static str = "redis";
    const ASKS_LIBC_FOR_THE_TIME: bool = true;

    /// The first member is the primary, the others are its replicas.
    async fn launch(options: &ServerOptions, members: usize) -> Result<Vec<Server<Self>>, StartError> {
        let mut nodes: Vec<Server<Self>> = Vec::with_capacity(members);
        for _ in 0..members {
            let mut more = Vec::new();
            if let Some(primary) = nodes.first() {
                let port = primary.client_port().number().to_string();
                more.extend(["--replicaof".into(), "127.0.0.1".into(), port.into()]);
            }
            nodes.push(launch(options, Port::reserve()?, Vec::new(), more).await?);
        }
        Ok(nodes)
    }

    /// It serves once it has loaded its data; whoever must say a password first is served too.
    async fn serves(endpoint: &str) -> bool {
        match ask(endpoint, &["PING"]).await {
            Some(RedisReply::Error(error)) => error.starts_with("NOAUTH"),
            answer => answer.is_some(),
        }
    }

    async fn leads(endpoint: &str) -> bool {
        let role = ask(endpoint, &["ROLE"]).await;
        matches!(role, Some(RedisReply::List(role)) if role.first() == Some(&RedisReply::Value(b"master".to_vec())))
    }
}

/// Starts a server on this port that keeps what it is told, with more arguments.
pub(super) async fn launch<S: Service>(
    options: &ServerOptions,
    port: Port,
    peer_ports: Vec<Port>,
    more: Vec<OsString>,
) -> Result<Server<S>, StartError> {
    let program = PACKAGE.program(options.program.as_deref(), "redis-server")?;
    let placed = storage::fresh_dir(options.storage, S::NAME)?;
    let data = placed.0.join("data");
    fs::create_dir_all(&data).map_err(StartError::io(format!("cannot create {}", data.display())))?;
    let settings: [(&str, OsString); 7] = [
        ("--port", port.number().to_string().into()),
        ("--bind", "127.0.0.1".into()),
        ("--dir", data.into_os_string()),
        ("--save", "".into()),
        ("--appendonly", "yes".into()),
        ("--appendfsync", "always".into()),
        ("--daemonize", "no".into()),
    ];
    let mut args: Vec<OsString> =
        settings.into_iter().flat_map(|(name, value)| [OsString::from(name), value]).collect();
    args.extend(more);
    let tls_port = options.tls.as_ref().map(|_| Port::reserve()).transpose()?;
    if let (Some(tls), Some(port)) = (&options.tls, &tls_port) {
        let files = tls.write(&placed.0).map_err(StartError::io("cannot write the certificates"))?;
        let [certificate, key, authorities, _] = files.map(PathBuf::into_os_string);
        let clients = if tls.clients_must_show_one { "yes" } else { "no" };
        let settings: [(&str, OsString); 5] = [
            ("--tls-port", port.number().to_string().into()),
            ("--tls-cert-file", certificate),
            ("--tls-key-file", key),
            ("--tls-ca-cert-file", authorities),
            ("--tls-auth-clients", clients.into()),
        ];
        args.extend(settings.into_iter().flat_map(|(name, value)| [OsString::from(name), value]));
    }
    args.extend(options.args.iter().cloned());
    let line = CommandLine {
        program,
        args,
        env: site::env(options),
        foreign_env_prefix: Some("REDIS_"),
        stop_signal: "KILL",
        network: None,
    };
    Ok(Server::launch(line, placed, port, peer_ports).await?.with_tls_port(tls_port))
}

pub(super) async fn ask(endpoint: &str, words: &[&str]) -> Option<RedisReply> {
    RedisClient::connect(endpoint).await.ok()?.command(words).await.ok()
}

impl<S: SpeaksRedis> Server<S> {
    /// Sends a command over a connection of its own: what an administrator does behind a client's back.
    ///
    /// # Panics
    /// If the server refuses.
    pub async fn command(&self, words: &[impl AsRef<[u8]>]) -> RedisReply {
        let answer = match RedisClient::connect(&self.endpoint()).await {
            Ok(mut client) => client.command(words).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(RedisReply::Error(error)) => panic!("{} refused: {error}", self.what()),
            Ok(reply) => reply,
            Err(error) => panic!("{} does not answer: {error}", self.what()),
        }
    }

    /// The keys that match a pattern of Redis's.
    pub async fn keys(&self, pattern: &str) -> Vec<String> {
        let mut keys = Vec::new();
        let mut cursor = "0".to_owned();
        loop {
            let RedisReply::List(page) =
                self.command(&["SCAN", &cursor, "MATCH", pattern, "COUNT", "1000"]).await
            else {
                panic!("no page of {}", self.what());
            };
            let [next, found] = page.as_slice() else { panic!("no page of {}", self.what()) };
            keys.extend(found.texts());
            cursor = next.text();
            if cursor == "0" {
                keys.sort_unstable();
                keys.dedup();
                return keys;
            }
        }
    }

    /// How often a command was called, those that scripts call included.
    pub async fn calls(&self, command: &str) -> u64 {
        self.stat(command, "calls").await
    }

    /// How long the server was busy with a command so far; with what a script calls, too.
    pub async fn busy(&self, command: &str) -> Duration {
        Duration::from_micros(self.stat(command, "usec").await)
    }

    /// A number that the server keeps of a command; 0 if it was never called.
    async fn stat(&self, command: &str, name: &str) -> u64 {
        let stats = self.command(&["INFO", "commandstats"]).await.text();
        let fields = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:")));
        let mut fields = fields.unwrap_or_default().split(',');
        let value = fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|value| value.parse().ok()).unwrap_or(0)
    }
}

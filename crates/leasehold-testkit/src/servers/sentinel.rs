use std::fs;
use std::time::Instant;

use super::cluster::Cluster;
use super::error::StartError;
use super::options::ServerOptions;
use super::ports::Port;
use super::redis::{PACKAGE, Redis, RedisServer, SpeaksRedis, ask};
use super::server::kind::Kind;
use super::server::{PACE, PATIENCE, Server, start_members};
use super::storage;
use super::watchdog::CommandLine;

/// How many sentinels there are, of which the greater part agrees on a failover.
const SENTINELS: usize = 3;

/// A sentinel of Redis, as a [`Service`](super::Service).
#[derive(Debug, Clone, Copy)]
pub enum Sentinel {}

impl SpeaksRedis for Sentinel {}

impl Kind for Sentinel {
    const NAME: &'static str = "redis-sentinel";

    /// What they watch, the lines of the options say.
    async fn launch(options: &ServerOptions, members: usize) -> Result<Vec<Server<Self>>, StartError> {
        let program = PACKAGE.program(options.program.as_deref(), "redis-server")?;
        let mut sentinels = Vec::with_capacity(members);
        for _ in 0..members {
            let port = Port::reserve()?;
            let placed = storage::fresh_dir(options.storage, Sentinel::NAME)?;
            let mut lines = vec![
                format!("port {}", port.number()),
                "bind 127.0.0.1".to_owned(),
                format!("dir {}", placed.0.display()),
            ];
            lines.extend(options.config_lines.iter().cloned());
            // It writes what it learns into its configuration.
            let config = placed.0.join("sentinel.conf");
            fs::write(&config, lines.join("\n") + "\n")
                .map_err(StartError::io(format!("cannot write {}", config.display())))?;
            let mut args = vec![config.into_os_string(), "--sentinel".into()];
            args.extend(options.args.iter().cloned());
            let env = options.env.clone();
            let line = CommandLine {
                program: program.clone(),
                args,
                env,
                foreign_env_prefix: Some("REDIS_"),
                stop_signal: "KILL",
                network: None,
            };
            sentinels.push(Server::launch(line, placed, port, Vec::new()).await?);
        }
        Ok(sentinels)
    }

    async fn serves(endpoint: &str) -> bool {
        Redis::serves(endpoint).await
    }

    /// None leads by itself: for each failover they choose one.
    async fn leads(_endpoint: &str) -> bool {
        false
    }
}

/// A primary, two replicas, and three sentinels that watch them by the name [`NAME`](Self::NAME).
#[derive(Debug)]
pub struct RedisSentinels {
    servers: Cluster<Redis>,
    sentinels: Vec<Server<Sentinel>>,
}

impl RedisSentinels {
    /// The name by which the primary is watched.
    pub const NAME: &'static str = "mymaster";

    /// Starts the servers with these options, and sentinels that take a primary for dead when it has been silent for
    /// 700 ms. Returns when all know each other, so that a failover can begin at any time.
    ///
    /// # Panics
    /// As [`Server::start`].
    pub async fn start(options: ServerOptions) -> Self {
        let servers = Cluster::start(options.clone()).await;
        let (primary, name) = (servers.node(servers.leader().await).endpoint(), Self::NAME);
        let (host, port) = primary.split_once(':').unwrap_or((&primary, ""));
        let lines = [
            format!("sentinel monitor {name} {host} {port} {}", SENTINELS / 2 + 1),
            format!("sentinel down-after-milliseconds {name} 700"),
            format!("sentinel failover-timeout {name} 4000"),
        ];
        let mut watch = ServerOptions::default().storage(options.storage);
        watch.program = options.program;
        watch.config_lines.extend(lines);
        let sentinels = match start_members(&watch, SENTINELS).await {
            Ok(sentinels) => sentinels,
            Err(error) => error.panic(),
        };
        let started = Self { servers, sentinels };
        started.know_each_other().await;
        started
    }

    /// The servers; whichever is the primary.
    pub fn servers(&self) -> &[RedisServer] {
        self.servers.nodes()
    }

    /// The sentinels.
    pub fn sentinels(&self) -> &[Server<Sentinel>] {
        &self.sentinels
    }

    /// Where the sentinels are.
    pub fn endpoints(&self) -> Vec<String> {
        self.sentinels.iter().map(Server::endpoint).collect()
    }

    /// The server that most sentinels take for the primary, which is one; waits while there is none.
    ///
    /// # Panics
    /// After 30 s.
    pub async fn primary(&self) -> &RedisServer {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut told = Vec::new();
            for sentinel in self.sentinels.iter().filter(|sentinel| sentinel.is_running()) {
                let question = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Self::NAME];
                told.extend(
                    ask(&sentinel.endpoint(), &question).await.map(|address| address.texts().join(":")),
                );
            }
            for server in self.servers() {
                let votes = told.iter().filter(|endpoint| **endpoint == server.endpoint()).count();
                if votes * 2 > SENTINELS && server.leads().await {
                    return server;
                }
            }
            assert!(Instant::now() < deadline, "no primary after {PATIENCE:?}, but {told:?}");
            tokio::time::sleep(PACE).await;
        }
    }

    async fn know_each_other(&self) {
        let deadline = Instant::now() + PATIENCE;
        for sentinel in &self.sentinels {
            loop {
                let told = sentinel.command(&["SENTINEL", "MASTER", Self::NAME]).await.texts();
                let field = |name: &str| {
                    let value = told
                        .iter()
                        .position(|field| field == name)
                        .map(|at| told[at + 1].parse().unwrap_or(0));
                    value.unwrap_or(0)
                };
                if field("num-slaves") == self.servers().len() - 1
                    && field("num-other-sentinels") == self.sentinels.len() - 1
                {
                    break;
                }
                assert!(Instant::now() < deadline, "the sentinels do not know each other: {told:?}");
                tokio::time::sleep(PACE).await;
            }
        }
    }
}

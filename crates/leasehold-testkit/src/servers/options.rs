use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::wall_clock::WallClock;
use crate::network::Network;

/// Where a server keeps its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Storage {
    /// In memory: syncing costs nothing, tests are fast. Where `/dev/shm` is missing or too small for a server, as in
    /// containers with its default of 64 MB, this is [`Storage::Disk`].
    #[default]
    Tmpfs,
    /// On a disk, as in production: what benchmarks are about.
    Disk,
    /// In memory, on a disk of its own of so many megabytes that can be [filled](super::Server::fill_disk). It is mounted, which takes root.
    /// etcd preallocates 64 MB twice: it does not start on less than some 130 MB.
    Small(u32),
}

/// How to start a server. What a service does not know is ignored by its fixture.
#[derive(Debug, Clone, Default)]
pub struct ServerOptions {
    pub(crate) storage: Storage,
    pub(crate) program: Option<PathBuf>,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) config_lines: Vec<String>,
    pub(crate) tick_time: Option<Duration>,
    pub(crate) container_check_interval: Option<Duration>,
    pub(crate) network: Option<Network>,
    pub(crate) wall_clock: Option<WallClock>,
    pub(crate) tls: Option<ServerTls>,
}

/// With what a server secures connections by TLS; everything is PEM.
#[derive(Debug, Clone)]
pub struct ServerTls {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) authorities: String,
    pub(crate) clients_must_show_one: bool,
}

impl ServerTls {
    /// The server's certificate and its key, and the authorities by which it knows the certificates of clients.
    pub fn new(
        certificate: impl Into<String>,
        key: impl Into<String>,
        authorities: impl Into<String>,
    ) -> Self {
        let (certificate, key, authorities) = (certificate.into(), key.into(), authorities.into());
        Self { certificate, key, authorities, clients_must_show_one: false }
    }

    /// Clients without a certificate are refused.
    #[must_use]
    pub fn clients_must_show_one(mut self) -> Self {
        self.clients_must_show_one = true;
        self
    }

    /// Writes the files, readable to their owner alone: certificate, key, authorities, and a file with the first two.
    pub(super) fn write(&self, dir: &Path) -> io::Result<[PathBuf; 4]> {
        let file = |name: &str, text: &str| {
            let path = dir.join(name);
            let mut options = fs::OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&path)?;
            file.write_all(text.as_bytes()).map(|()| path)
        };
        Ok([
            file("tls-cert.pem", &self.certificate)?,
            file("tls-key.pem", &self.key)?,
            file("tls-ca.pem", &self.authorities)?,
            file("tls-both.pem", &format!("{}{}", self.key, self.certificate))?,
        ])
    }
}

impl ServerOptions {
    /// One server with its data in memory, the same as `default()`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the data goes.
    #[must_use]
    pub fn storage(mut self, storage: Storage) -> Self {
        self.storage = storage;
        self
    }

    /// The program to run, instead of the one of the environment: `etcd`, `redis-server` or `java`.
    #[must_use]
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// One more argument: of etcd, of Redis, or of the Java machine that ZooKeeper runs in. It wins over the fixture's own.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// A variable in the server's environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// One more line of the configuration of ZooKeeper or a sentinel. It wins over the fixture's own.
    #[must_use]
    pub fn config_line(mut self, line: impl Into<String>) -> Self {
        self.config_lines.push(line.into());
        self
    }

    /// Runs each member of a cluster in the namespace of the same number: etcd and ZooKeeper. Others are refused with
    /// [`StartError::Unsupported`](super::StartError::Unsupported).
    #[must_use]
    pub fn network(mut self, network: &Network) -> Self {
        self.network = Some(network.clone());
        self
    }

    /// Lets the server go by this clock: Redis and ZooKeeper. etcd is refused with [`StartError::Unsupported`](super::StartError::Unsupported).
    #[must_use]
    pub fn wall_clock(mut self, clock: &WallClock) -> Self {
        self.wall_clock = Some(clock.clone());
        self
    }

    /// What [`network`](Self::network) has set.
    pub fn in_network(&self) -> Option<&Network> {
        self.network.as_ref()
    }

    /// What [`wall_clock`](Self::wall_clock) has set.
    pub fn by_clock(&self) -> Option<&WallClock> {
        self.wall_clock.as_ref()
    }

    /// Beside the port that the fixture itself uses, one at which etcd, Redis or ZooKeeper speaks TLS and nothing else; see
    /// [`Server::tls_endpoint`](super::Server::tls_endpoint).
    #[must_use]
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// ZooKeeper's tick; 500 ms unless said otherwise. Sessions expire on multiples of it.
    #[must_use]
    pub fn tick_time(mut self, tick: Duration) -> Self {
        self.tick_time = Some(tick);
        self
    }

    /// How often ZooKeeper looks for empty containers to delete; 60 s unless said otherwise.
    #[must_use]
    pub fn container_check_interval(mut self, interval: Duration) -> Self {
        self.container_check_interval = Some(interval);
        self
    }
}

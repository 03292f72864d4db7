use std::ffi::OsString;
use std::fs;
use std::future::Future;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::net::TcpStream;

use super::error::StartError;
use super::options::{ServerOptions, Storage};
use super::ports::Port;
use super::storage;
use super::watchdog::{CommandLine, Watchdog};
use crate::signals;

/// How long a server may take until it serves.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Between two questions whether it serves.
pub(super) const PACE: Duration = Duration::from_millis(20);

/// A stopped server accepts connections and never answers.
const LONGEST_ANSWER: Duration = Duration::from_secs(2);

/// How many sets of ports are tried before giving up.
const PORT_ATTEMPTS: usize = 5;

/// How many of the last log lines an error shows.
const LOG_LINES: usize = 20;

/// A kind of server: [`Etcd`](super::Etcd), [`Redis`](super::Redis), [`ZooKeeper`](super::ZooKeeper), or a
/// [`Program`](super::Program).
pub trait Service: kind::Kind {}

impl<S: kind::Kind> Service for S {}

pub(super) mod kind {
    use std::future::Future;

    use super::{Server, ServerOptions, StartError};

    /// What tells one kind of server from another.
    pub trait Kind: Sized + Send + Sync + 'static {
        /// What the server is called in errors and file names.
        const NAME: &'static str;

        /// Whether its members can run in a [`Network`](crate::network::Network).
        const IN_NETWORKS: bool = false;

        /// Whether it asks libc for the time, where a [`WallClock`](crate::servers::WallClock) stands.
        const ASKS_LIBC_FOR_THE_TIME: bool = false;

        /// Starts the processes of so many members of one cluster on fresh ports; waits for nothing.
        fn launch(
            options: &ServerOptions,
            members: usize,
        ) -> impl Future<Output = Result<Vec<Server<Self>>, StartError>> + Send;

        /// Whether the server at this address serves clients now.
        fn serves(endpoint: &str) -> impl Future<Output = bool> + Send;

        /// Whether it takes itself for the leader of its cluster.
        fn leads(endpoint: &str) -> impl Future<Output = bool> + Send;
    }
}

/// One server process with its data directory; both are gone when this is dropped, or when the test process dies.
///
/// Its methods panic when the machine fails them: they are steps of a test.
#[derive(Debug)]
pub struct Server<S> {
    watchdog: Arc<Watchdog>,
    dir: PathBuf,
    storage: Storage,
    client_port: Port,
    /// Between servers; held so that they stay reserved.
    peer_ports: Vec<Port>,
    tls_port: Option<Port>,
    /// Where the log of the current run begins.
    log_start: AtomicU64,
    service: PhantomData<S>,
}

impl<S: Service> Server<S> {
    /// Starts a server and waits until it serves.
    ///
    /// # Panics
    /// If the service is not installed, naming the package, or does not serve within 30 s, with its last log lines.
    pub async fn start(options: ServerOptions) -> Self {
        Self::try_start(options).await.unwrap_or_else(|error| error.panic())
    }

    /// As [`start`](Self::start), without panicking.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn try_start(options: ServerOptions) -> Result<Self, StartError> {
        let mut servers = start_members(&options, 1).await?;
        Ok(servers.remove(0))
    }

    /// Starts a process and does not wait for it to serve.
    pub(super) async fn launch(
        line: CommandLine,
        (dir, storage): (PathBuf, Storage),
        client_port: Port,
        peer_ports: Vec<Port>,
    ) -> Result<Self, StartError> {
        let watchdog = Watchdog::new(&dir, line).map_err(|error| {
            storage::remove(&dir);
            StartError::io("cannot run `setsid sh` (Debian package `util-linux`)")(error)
        })?;
        let server = Self {
            watchdog: Arc::new(watchdog),
            dir,
            storage,
            client_port,
            peer_ports,
            tls_port: None,
            log_start: AtomicU64::new(0),
            service: PhantomData,
        };
        server.try_respawn().await?;
        Ok(server)
    }

    /// Where clients connect: `127.0.0.1:<port>`, in a [`Network`](crate::network::Network) the member's address. It stays the same over restarts.
    pub fn endpoint(&self) -> String {
        self.client_port.endpoint()
    }

    /// Where clients connect by TLS, if the server was started with that.
    ///
    /// # Panics
    /// If it was not.
    pub fn tls_endpoint(&self) -> String {
        self.tls_port.as_ref().unwrap_or_else(|| panic!("{} has no port for TLS", self.what())).endpoint()
    }

    pub(super) fn with_tls_port(self, tls_port: Option<Port>) -> Self {
        Self { tls_port, ..self }
    }

    /// The first of the ports between servers; 0 if there is none.
    pub(super) fn peer_port(&self) -> u16 {
        self.peer_ports.first().map_or(0, Port::number)
    }

    pub(super) fn client_port(&self) -> &Port {
        &self.client_port
    }

    /// Where the data really is: see [`Storage::Tmpfs`].
    pub fn storage(&self) -> Storage {
        self.storage
    }

    /// The server's directory: `data`, `log` and, for ZooKeeper, the configuration.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The process id, unless the server was killed.
    pub fn pid(&self) -> Option<u32> {
        self.watchdog.server()
    }

    /// Whether the process exists; a stopped one does.
    pub fn is_running(&self) -> bool {
        self.pid().is_some_and(signals::runs)
    }

    /// Kills the process with SIGKILL, or what comes nearest to it ([`Program::STOP`](super::Program::STOP)); returns when it is gone and its
    /// port refuses connections. The data stays.
    pub async fn kill(&self) {
        if let Err(error) = self.watchdog.kill().await {
            panic!("cannot kill {}: {error}", self.what());
        }
    }

    /// Starts the server again over its data and on its port, after killing it if it runs; returns when it serves.
    ///
    /// A member of a cluster serves only with a quorum: without one, [`respawn`](Self::respawn) the others first.
    pub async fn restart(&self) {
        self.respawn().await;
        self.ready().await;
    }

    /// As [`restart`](Self::restart), but returns at once when the process runs.
    pub async fn respawn(&self) {
        if let Err(error) = self.try_respawn().await {
            error.panic();
        }
    }

    /// Returns when the server serves.
    pub async fn ready(&self) {
        if let Err(error) = self.try_ready().await {
            error.panic();
        }
    }

    /// Stops the process with SIGSTOP; returns when it has stopped. Its connections stay open and silent.
    pub fn pause(&self) {
        let pid = self.pid().unwrap_or_else(|| panic!("{} was killed: nothing to pause", self.what()));
        if let Err(error) = signals::stop(pid) {
            panic!("cannot stop {}: {error}", self.what());
        }
    }

    /// Lets a stopped process run again.
    pub fn resume(&self) {
        let pid = self.pid().unwrap_or_else(|| panic!("{} was killed: nothing to resume", self.what()));
        if let Err(error) = signals::send(pid, Signal::CONT) {
            panic!("cannot resume {}: {error}", self.what());
        }
    }

    /// What the server has logged since it was started last.
    pub fn log(&self) -> String {
        let log = fs::read(self.dir.join("log")).unwrap_or_default();
        let start = usize::try_from(self.log_start.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        String::from_utf8_lossy(log.get(start..).unwrap_or_default()).into_owned()
    }

    pub(super) async fn leads(&self) -> bool {
        self.asked(S::leads(&self.endpoint())).await
    }

    pub(super) fn what(&self) -> String {
        format!("{} at {}", S::NAME, self.endpoint())
    }

    async fn try_respawn(&self) -> Result<(), StartError> {
        let cannot = || StartError::io(format!("cannot start {}", self.what()));
        self.watchdog.kill().await.map_err(cannot())?;
        let log_size = fs::metadata(self.dir.join("log")).map_or(0, |log| log.len());
        self.log_start.store(log_size, Ordering::Relaxed);
        self.watchdog.start().await.map_err(cannot())
    }

    async fn try_ready(&self) -> Result<(), StartError> {
        let deadline = Instant::now() + PATIENCE;
        while !self.serves().await {
            // In this order: a process that is found gone has written all of its log.
            let running = self.is_running();
            let log = self.log();
            if log.to_lowercase().contains("address already in use") {
                return Err(StartError::AddressInUse { what: self.what(), attempts: 1, log: tail(&log) });
            }
            if !running {
                return Err(StartError::Exited { what: self.what(), log: tail(&log) });
            }
            if Instant::now() > deadline {
                return Err(StartError::NotReady { what: self.what(), within: PATIENCE, log: tail(&log) });
            }
            tokio::time::sleep(PACE).await;
        }
        Ok(())
    }

    /// At all its ports: ZooKeeper opens that for TLS after the other.
    async fn serves(&self) -> bool {
        let secured = async || match &self.tls_port {
            Some(port) => TcpStream::connect(port.endpoint()).await.is_ok(),
            None => true,
        };
        self.asked(S::serves(&self.endpoint())).await && self.asked(secured()).await
    }

    async fn asked(&self, question: impl Future<Output = bool>) -> bool {
        tokio::time::timeout(LONGEST_ANSWER, question).await.unwrap_or(false)
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

/// Starts servers and waits until they serve; again, on other ports, if a stranger took one before they did.
pub(super) async fn start_members<S: Service>(
    options: &ServerOptions,
    members: usize,
) -> Result<Vec<Server<S>>, StartError> {
    refuse_what_it_would_ignore::<S>(options)?;
    let mut attempts = 0;
    loop {
        attempts += 1;
        match start_members_once(options, members).await {
            Err(StartError::AddressInUse { what, log, .. }) if attempts == PORT_ATTEMPTS => {
                return Err(StartError::AddressInUse { what, attempts, log });
            }
            Err(StartError::AddressInUse { .. }) => continue,
            result => return result,
        }
    }
}

/// A fault that never comes would make a test say what it has not seen.
fn refuse_what_it_would_ignore<S: Service>(options: &ServerOptions) -> Result<(), StartError> {
    if options.network.is_some() && !S::IN_NETWORKS {
        return Err(StartError::Unsupported {
            what: S::NAME,
            why: "its fixture starts it on 127.0.0.1 only",
        });
    }
    if options.wall_clock.is_some() && !S::ASKS_LIBC_FOR_THE_TIME {
        let why = "it asks the kernel for the time by itself, so nothing can stand between";
        return Err(StartError::Unsupported { what: S::NAME, why });
    }
    Ok(())
}

async fn start_members_once<S: Service>(
    options: &ServerOptions,
    members: usize,
) -> Result<Vec<Server<S>>, StartError> {
    let servers = S::launch(options, members).await?;
    for server in &servers {
        server.try_ready().await?;
    }
    Ok(servers)
}

/// What can be missing on a machine, and what to do about it.
pub(super) struct Package {
    pub(super) what: &'static str,
    pub(super) package: &'static str,
    pub(super) variable: &'static str,
}

impl Package {
    /// The program: `chosen`, or as the environment says, or by its usual name; a name without a slash is looked up in `PATH`.
    pub(super) fn program(&self, chosen: Option<&Path>, usual: &str) -> Result<PathBuf, StartError> {
        let wanted = match chosen {
            Some(path) => path.to_owned(),
            None => std::env::var_os(self.variable).unwrap_or_else(|| OsString::from(usual)).into(),
        };
        let found = if wanted.components().count() > 1 {
            Some(wanted.clone()).filter(|path| path.is_file())
        } else {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).map(|dir| dir.join(&wanted)).find(|path| path.is_file())
        };
        found.ok_or_else(|| self.missing(wanted.display().to_string()))
    }

    pub(super) fn missing(&self, looked_for: String) -> StartError {
        StartError::Missing { what: self.what, looked_for, package: self.package, variable: self.variable }
    }
}

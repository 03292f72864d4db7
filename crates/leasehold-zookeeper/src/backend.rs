//! The backend: opening sessions.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_core::{
    BackendError, BackendErrorKind, Capabilities, Clock, LivenessCell, LockBackend, Namespace, OpenSession,
    Session, Timestamp,
};
use zookeeper_client::{Acls, Client, CreateMode, Error};

use crate::config::{self, ZooKeeperConfig};
use crate::failure::{self, Effect};
use crate::link::{self, Link, Ownership};
use crate::renewal;
use crate::session::ZooKeeperSession;

/// The largest value that is taken: the servers' default limit of a request (`jute.maxbuffer`, one byte less than a
/// MiB), less room for paths and access rights. A server closes the connection on a larger one without a word.
pub(crate) const MAX_VALUE_BYTES: usize = 0xf_ffff - 8 * 1024;

const OPENING: &str = "opening a session";

/// Locks in a ZooKeeper ensemble.
///
/// Each session that it opens is a ZooKeeper session over one connection; the [crate's documentation](crate) says what is
/// promised and what it looks like at the service.
#[derive(Clone)]
pub struct ZooKeeperBackend {
    source: Source,
    tick: Option<Duration>,
}

#[derive(Clone)]
enum Source {
    Config(ZooKeeperConfig),
    Client(Client),
}

impl ZooKeeperBackend {
    /// A backend that connects by itself. Nothing is sent yet.
    ///
    /// # Errors
    /// `InvalidConfig` if a host, the chroot, the user or the tick cannot be right.
    pub fn new(config: ZooKeeperConfig) -> Result<Self, BackendError> {
        config.check()?;
        Ok(Self { tick: config.tick, source: Source::Config(config) })
    }

    /// A backend over a client that the application has connected.
    ///
    /// Its sessions share the client's ZooKeeper session, with its time-out and credentials, and never end it: closing one
    /// removes what it created. Opening one takes about a [tick](ZooKeeperConfig::tick), to prove that the session
    /// is alive. Once the client's session is over, none can be opened.
    pub fn from_client(client: Client) -> Self {
        Self { source: Source::Client(client), tick: None }
    }

    /// The same with another belief in the servers' `tickTime`; see [`ZooKeeperConfig::tick`].
    #[must_use]
    pub fn with_tick(self, tick: Duration) -> Self {
        Self { tick: Some(tick), ..self }
    }

    /// Connects, or takes the application's client; and proves since when its session is alive.
    async fn connect(&self, options: &OpenSession) -> Result<Connected, BackendError> {
        match &self.source {
            Source::Config(config) => {
                let sent_at = options.clock.now();
                let mut connector = Client::connector().with_session_timeout(options.ttl).with_fail_eagerly();
                if let Some(digest) = &config.digest {
                    connector = connector.with_auth("digest", &digest.auth());
                }
                let acls = if config.digest.is_some() { Acls::creator_all() } else { Acls::anyone_all() };
                let client = connector
                    .connect(&config.connect_string())
                    .await
                    .map_err(|error| self.not_connected(error))?;
                Ok(Connected { client, ownership: Ownership::Ours, acls, renewed_at: sent_at })
            }
            Source::Client(client) => {
                let not_usable = |error| failure::failed(OPENING, Effect::Reads, error);
                link::connected(client).await.map_err(not_usable)?;
                let tick = config::tick(self.tick, client.session_timeout());
                let renewed_at = renewal::prove(client, &options.clock, tick).await.map_err(not_usable)?;
                let acls = acls_of(client).await.map_err(not_usable)?;
                Ok(Connected { client: client.clone(), ownership: Ownership::Shared, acls, renewed_at })
            }
        }
    }

    fn not_connected(&self, error: Error) -> BackendError {
        match error {
            // What the client gives up with after it has tried every host.
            Error::NoHosts | Error::Timeout | Error::ConnectionLoss => self.unavailable().with_source(error),
            error => failure::failed(OPENING, Effect::Reads, error),
        }
    }

    fn unavailable(&self) -> BackendError {
        BackendError::new(
            BackendErrorKind::Unavailable,
            format!("no ZooKeeper server in touch with a quorum answers at {}", self.endpoint()),
        )
    }
}

struct Connected {
    client: Client,
    ownership: Ownership,
    acls: Acls<'static>,
    renewed_at: Timestamp,
}

/// What access to give to nodes: to the client's user alone, where it is one.
async fn acls_of(client: &Client) -> Result<Acls<'static>, Error> {
    let users = match client.list_auth_users().await {
        // Servers before 3.7 do not tell.
        Err(Error::Unimplemented) => Vec::new(),
        users => users?,
    };
    let authenticated = users.iter().any(|user| user.scheme() != "ip");
    Ok(if authenticated { Acls::creator_all() } else { Acls::anyone_all() })
}

/// Creates the root of the namespace, which also shows whether we may do anything at all here.
async fn create_namespace(
    client: &Client,
    namespace: &Namespace,
    acls: Acls<'_>,
) -> Result<(), BackendError> {
    let path = format!("/{}", namespace.as_str());
    let refused = |error| failure::failed(OPENING, Effect::Reads, error);
    if client.check_stat(&path).await.map_err(refused)?.is_some() {
        return Ok(());
    }
    match client.mkdir(&path, &CreateMode::Persistent.with_acls(acls)).await {
        Err(Error::NoNode) => Err(link::no_chroot()),
        created => created.map_err(refused),
    }
}

#[async_trait]
impl LockBackend for ZooKeeperBackend {
    fn name(&self) -> &'static str {
        "zookeeper"
    }

    fn endpoint(&self) -> String {
        match &self.source {
            Source::Config(config) => config.connect_string(),
            Source::Client(client) => format!("session {} of the application's client", client.session_id()),
        }
    }

    fn capabilities(&self) -> Capabilities {
        // The servers' smallest TTL is two of their ticks, which nobody tells beforehand.
        let mut capabilities = Capabilities::full(Duration::ZERO, MAX_VALUE_BYTES);
        capabilities.resumable_sessions = false;
        capabilities
    }

    async fn open_session(&self, options: OpenSession) -> Result<Arc<dyn Session>, BackendError> {
        if options.resume.is_some() {
            let message = "a ZooKeeper session cannot be resumed by this backend";
            return Err(BackendError::new(BackendErrorKind::Unsupported, message));
        }
        if options.ttl.is_zero() || i32::try_from(options.ttl.as_millis()).is_err() {
            let message = format!("a ZooKeeper session cannot have a TTL of {:?}", options.ttl);
            return Err(BackendError::new(BackendErrorKind::InvalidConfig, message));
        }
        let opening = async {
            let connected = self.connect(&options).await?;
            self.check_tick(connected.client.session_timeout())?;
            create_namespace(&connected.client, &options.namespace, connected.acls).await?;
            Ok(connected)
        };
        let connected = tokio::time::timeout(options.connect_timeout, opening)
            .await
            .unwrap_or_else(|_| Err(self.unavailable()))?;
        Ok(Arc::new(self.start(connected, options)))
    }
}

impl ZooKeeperBackend {
    /// A session counts as renewed a tick late, so one whose TTL is no longer than that is lost as soon as it begins.
    fn check_tick(&self, ttl: Duration) -> Result<(), BackendError> {
        let tick = config::tick(self.tick, ttl);
        if tick < renewal::longest_tick(ttl) {
            return Ok(());
        }
        let message = format!("with a tick of {tick:?} nothing is left of the granted TTL of {ttl:?}");
        Err(BackendError::new(BackendErrorKind::InvalidConfig, message))
    }

    fn start(&self, connected: Connected, options: OpenSession) -> ZooKeeperSession {
        let Connected { client, ownership, acls, renewed_at } = connected;
        let ttl = client.session_timeout();
        let tick = config::tick(self.tick, ttl);
        let clock: Clock = options.clock;
        let liveness = Arc::new(LivenessCell::new(clock, renewed_at, ttl));
        let link = Arc::new(Link::new(client, ownership, acls, liveness, options.request_timeout));
        tokio::spawn(renewal::keep_alive(link.clone(), ttl, tick, renewed_at));
        ZooKeeperSession::new(link, options.namespace, ttl)
    }
}

impl fmt::Debug for ZooKeeperBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ZooKeeperBackend");
        match &self.source {
            Source::Config(config) => debug.field("config", config),
            // The client's own Debug is not ours to vouch for.
            Source::Client(client) => debug.field("client_session", &client.session_id()),
        };
        debug.field("tick", &self.tick).finish()
    }
}

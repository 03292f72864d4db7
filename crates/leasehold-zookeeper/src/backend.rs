//! The backend: opening sessions.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_core::{
    AttemptId, BackendError, BackendErrorKind, Backoff, Capabilities, Clock, Credentials, LivenessCell,
    LockBackend, Namespace, OpenSession, ServerReport, Session, Timestamp,
};
use zookeeper_client::{Client, Connector, CreateMode, Error};

use crate::access::Access;
use crate::config::{self, LoginBy, Sharing, ZooKeeperConfig};
use crate::ending::Closer;
use crate::examination;
use crate::failure::{self, Effect};
use crate::handshake;
use crate::incarnation::{Incarnation, Key};
use crate::layout::{self, Directory, Layout};
use crate::link::{self, Link, Ownership};
use crate::renewal;
#[cfg(feature = "tls")]
use crate::secured::Secured;
use crate::session::ZooKeeperSession;

/// The largest value that is taken: the servers' default limit of a request (`jute.maxbuffer`, one byte less than a
/// MiB), less room for paths and access rights. A server closes the connection on a larger one without a word.
pub(crate) const MAX_VALUE_BYTES: usize = 0xf_ffff - 8 * 1024;

/// How long a resumption waits for the earlier incarnation to leave by itself, of a session with a long TTL. It has to be told and to
/// answer.
const DEPARTURE: Duration = Duration::from_millis(250);

/// Also outside the namespace, where other clients' locks are.
const EVERYWHERE: &str = "/";

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
    Config(Box<Settings>),
    Client(Client),
}

/// A configuration that was checked.
#[derive(Clone)]
struct Settings {
    config: ZooKeeperConfig,
    #[cfg(feature = "tls")]
    secured: Option<Secured>,
}

impl ZooKeeperBackend {
    /// A backend that connects by itself. Nothing is sent yet.
    ///
    /// # Errors
    /// `InvalidConfig` if a host, the chroot, the user or the tick cannot be right, or the certificates or the key for TLS.
    pub fn new(config: ZooKeeperConfig) -> Result<Self, BackendError> {
        config.check()?;
        let tick = config.tick;
        let settings = Settings {
            #[cfg(feature = "tls")]
            secured: config.tls.as_ref().map(|tls| Secured::new(tls, &config.hosts)).transpose()?,
            config,
        };
        Ok(Self { tick, source: Source::Config(Box::new(settings)) })
    }

    /// A backend over a client that the application has connected.
    ///
    /// Its sessions share the client's ZooKeeper session, with its time-out and credentials, and never end it: closing one
    /// removes what it created. They cannot be resumed, since the client would take them back. Opening one takes about a [tick](ZooKeeperConfig::tick), to prove that the session
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
        match (&self.source, &options.resume) {
            (Source::Config(settings), None) => self.connect_anew(settings, options).await,
            (Source::Config(settings), Some(credentials)) => {
                self.resume(settings, credentials, options).await
            }
            (Source::Client(_), Some(_)) => {
                let message = "a session is not resumed over the application's ZooKeeper client";
                Err(BackendError::new(BackendErrorKind::Unsupported, message))
            }
            (Source::Client(client), None) => {
                link::connected(client).await.map_err(not_usable)?;
                self.check_tick(client.session_timeout())?;
                let tick = config::tick(self.tick, client.session_timeout());
                let renewed_at = renewal::prove(client, &options.clock, tick).await.map_err(not_usable)?;
                let access = access_of(client, &Sharing::With(Vec::new())).await.map_err(not_usable)?;
                create_namespace(client, &options.namespace, &access).await?;
                let client = client.clone();
                let (ownership, credentials, inherited) = (Ownership::Shared, None, Vec::new());
                Ok(Connected { client, ownership, access, renewed_at, credentials, inherited })
            }
        }
    }

    async fn connect_anew(
        &self,
        settings: &Settings,
        options: &OpenSession,
    ) -> Result<Connected, BackendError> {
        let (renewed_at, cluster) = (options.clock.now(), settings.config.connect_string());
        let connector = connector(settings, options.ttl).with_detached();
        let client = connector.connect(&cluster).await.map_err(|error| self.not_connected(error))?;
        self.check_tick(client.session_timeout())?;
        let access = access(&settings.config, &client).await.map_err(not_usable)?;
        create_namespace(&client, &options.namespace, &access).await?;
        // Where there is no loopback, the session is as good as any, but that it cannot be resumed.
        let password = handshake::password_of(client.session()).await.ok();
        let begun = Incarnation::begin(&client, &options.namespace, access.own(), password.as_ref()).await;
        let incarnation = begun.map_err(not_usable)?;
        let timeout = client.session_timeout();
        let credentials = password.and_then(|password| {
            let timeout_ms = u32::try_from(timeout.as_millis()).ok()?;
            Some(Key { session: client.session_id().0, timeout_ms, password }.credentials())
        });
        let closer = Box::new(Closer { connector: self::connector(settings, timeout), cluster });
        let (ownership, inherited) = (Ownership::Ours { incarnation, closer }, Vec::new());
        Ok(Connected { client, ownership, access, renewed_at, credentials, inherited })
    }

    /// Takes a session over: at first by its node, so that the earlier incarnation is told, and then with its connection.
    async fn resume(
        &self,
        settings: &Settings,
        credentials: &Credentials,
        options: &OpenSession,
    ) -> Result<Connected, BackendError> {
        const WHAT: &str = "resuming a session";
        let failed = |error| failure::failed(WHAT, Effect::Reads, error);
        let (key, cluster) = (Key::read(credentials)?, settings.config.connect_string());
        let session = handshake::session(key.session, &key.password).await.map_err(|error| {
            let message = "resuming a ZooKeeper session takes a loopback interface";
            BackendError::new(BackendErrorKind::Unavailable, message).with_source(error)
        })?;
        let timeout = Duration::from_millis(key.timeout_ms.into());
        let connector = connector(settings, timeout);
        let outside = connector.clone().connect(&cluster).await.map_err(|error| self.not_connected(error))?;
        // Before anything is done: it shows whether the service can tell what an earlier incarnation has.
        outside.list_ephemerals(EVERYWHERE).await.map_err(failed)?;
        let incarnation = Incarnation::take_over(&outside, &options.namespace, &key).await?;
        incarnation.departure(&outside, DEPARTURE.min(timeout / 20)).await;
        let resumed = connector.clone().with_session(session).with_detached();
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(500));
        let (client, renewed_at) = loop {
            // The answer renews the session: a follower has the leader confirm it, which takes that for a sign of life.
            let sent_at = options.clock.now();
            match resumed.clone().connect(&cluster).await.map_err(|error| self.not_connected(error)) {
                Ok(client) => break (client, sent_at),
                // An earlier incarnation that reconnects may have been faster; it is told by that.
                Err(error) if error.is_transient() => tokio::time::sleep(backoff.next_delay()).await,
                Err(error) => return Err(error),
            }
        };
        let nodes = incarnation.confirm(&client, EVERYWHERE).await?;
        self.check_tick(client.session_timeout())?;
        let ownership = Ownership::Ours { incarnation, closer: Box::new(Closer { connector, cluster }) };
        let credentials = Some(credentials.clone());
        let entry = |node: &String| {
            let (path, name) = node.rsplit_once('/')?;
            let (layout, name) = Layout::of_node(name)?;
            Some((name.attempt, Directory { path: path.into(), layout }))
        };
        let inherited = nodes.iter().filter_map(entry).collect();
        let access = access(&settings.config, &client).await.map_err(failed)?;
        Ok(Connected { client, ownership, access, renewed_at, credentials, inherited })
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
    access: Access,
    renewed_at: Timestamp,
    credentials: Option<Credentials>,
    /// The attempts that an earlier incarnation has entries of, each with its queue's directory.
    inherited: Vec<(AttemptId, Directory)>,
}

fn not_usable(error: Error) -> BackendError {
    failure::failed(OPENING, Effect::Reads, error)
}

/// How to connect with a session of that time-out.
fn connector(settings: &Settings, timeout: Duration) -> Connector {
    let connector = Client::connector().with_session_timeout(timeout);
    #[cfg(feature = "tls")]
    let connector = match &settings.secured {
        Some(secured) => connector.with_tls(secured.options()),
        None => connector,
    };
    let Some(login) = &settings.config.login else { return connector.with_fail_eagerly() };
    let (user, password) = (&login.user, login.password.expose());
    match login.by {
        LoginBy::Digest => {
            connector.with_fail_eagerly().with_auth("digest", format!("{user}:{password}").as_bytes())
        }
        // This login takes several messages, and the client sends a ping that may come between them: a server that insists on a login
        // before anything else ends the connection then. So every server may have to be tried again.
        #[cfg(feature = "sasl")]
        LoginBy::Sasl => {
            connector.with_sasl(zookeeper_client::SaslOptions::digest_md5(user.clone(), password.to_owned()))
        }
    }
}

/// Whose the nodes are that a session of that configuration creates.
async fn access(config: &ZooKeeperConfig, client: &Client) -> Result<Access, Error> {
    match &config.sharing {
        Sharing::WithEverybody => Ok(Access::open()),
        Sharing::With(others) if config.login.is_some() => Ok(Access::creator_and(others)),
        // It may have shown a certificate.
        sharing => access_of(client, sharing).await,
    }
}

/// Whose the nodes are that a client creates: its user's, where it is one.
async fn access_of(client: &Client, sharing: &Sharing) -> Result<Access, Error> {
    let users = match client.list_auth_users().await {
        // Servers before 3.7 do not tell.
        Err(Error::Unimplemented) => Vec::new(),
        users => users?,
    };
    let authenticated = users.iter().any(|user| user.scheme() != "ip");
    Ok(match sharing {
        Sharing::With(others) if authenticated => Access::creator_and(others),
        _ => Access::open(),
    })
}

/// Creates the root of the namespace, which also shows whether we may do anything at all here.
async fn create_namespace(
    client: &Client,
    namespace: &Namespace,
    access: &Access,
) -> Result<(), BackendError> {
    let path = format!("/{}", namespace.as_str());
    let refused = |error| match error {
        Error::NoNode => link::no_chroot(),
        error => failure::failed(OPENING, Effect::Reads, error),
    };
    if client.check_stat(&path).await.map_err(refused)?.is_some() {
        return Ok(());
    }
    if let Some(above @ 1..) = path.rfind('/') {
        let options = CreateMode::Persistent.with_acls(access.above());
        client.mkdir(&path[..above], &options).await.map_err(refused)?;
    }
    match client.create(&path, &[], &CreateMode::Persistent.with_acls(access.own())).await {
        Ok(_) | Err(Error::NodeExists) => Ok(()),
        Err(error) => Err(refused(error)),
    }
}

#[async_trait]
impl LockBackend for ZooKeeperBackend {
    fn name(&self) -> &'static str {
        "zookeeper"
    }

    fn endpoint(&self) -> String {
        match &self.source {
            Source::Config(settings) => settings.config.endpoint(),
            Source::Client(client) => format!("session {} of the application's client", client.session_id()),
        }
    }

    fn capabilities(&self) -> Capabilities {
        // The servers' smallest TTL is two of their ticks, which nobody tells beforehand.
        let mut capabilities = Capabilities::full(Duration::ZERO, MAX_VALUE_BYTES);
        capabilities.resumable_sessions = matches!(self.source, Source::Config(_));
        capabilities.wire = layout::SPOKEN;
        capabilities
    }

    /// Of an application's client nothing is known, since it does not tell where its servers are.
    async fn examine(&self, limit: Duration) -> Result<Vec<ServerReport>, BackendError> {
        Ok(match &self.source {
            #[cfg(feature = "tls")]
            Source::Config(settings) => {
                examination::examine(&settings.config.hosts, settings.secured.as_ref(), limit).await
            }
            #[cfg(not(feature = "tls"))]
            Source::Config(settings) => examination::examine(&settings.config.hosts, limit).await,
            Source::Client(_) => Vec::new(),
        })
    }

    async fn open_session(&self, options: OpenSession) -> Result<Arc<dyn Session>, BackendError> {
        if options.ttl.is_zero() || i32::try_from(options.ttl.as_millis()).is_err() {
            let message = format!("a ZooKeeper session cannot have a TTL of {:?}", options.ttl);
            return Err(BackendError::new(BackendErrorKind::InvalidConfig, message));
        }
        let connected = tokio::time::timeout(options.connect_timeout, self.connect(&options))
            .await
            .unwrap_or_else(|_| Err(self.unavailable()));
        match connected {
            Ok(connected) => Ok(Arc::new(self.start(connected, options))),
            Err(error) => Err(self.explain(error, options.connect_timeout).await),
        }
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

    /// The error of an opening, or why a connection could not be secured, if that is behind it.
    #[cfg(feature = "tls")]
    async fn explain(&self, error: BackendError, limit: Duration) -> BackendError {
        match &self.source {
            Source::Config(settings) if error.kind() == BackendErrorKind::Unavailable => {
                match &settings.secured {
                    Some(secured) => {
                        secured.explain(OPENING, &settings.config.hosts, limit).await.unwrap_or(error)
                    }
                    None => error,
                }
            }
            _ => error,
        }
    }

    #[cfg(not(feature = "tls"))]
    #[allow(clippy::unused_async, reason = "there is nothing to look at")]
    async fn explain(&self, error: BackendError, _limit: Duration) -> BackendError {
        error
    }

    fn start(&self, connected: Connected, options: OpenSession) -> ZooKeeperSession {
        let Connected { client, ownership, access, renewed_at, credentials, inherited } = connected;
        let ttl = client.session_timeout();
        let tick = config::tick(self.tick, ttl);
        let clock: Clock = options.clock;
        let liveness = Arc::new(LivenessCell::new(clock, renewed_at, ttl));
        let link = Arc::new(Link::new(client, ownership, access, liveness, options.request_timeout));
        for (attempt, directory) in inherited {
            link.ledger.inherit(attempt, directory);
        }
        tokio::spawn(renewal::keep_alive(link.clone(), ttl, tick, renewed_at));
        ZooKeeperSession::new(link, options.namespace, ttl, credentials)
    }
}

impl fmt::Debug for ZooKeeperBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ZooKeeperBackend");
        match &self.source {
            Source::Config(settings) => debug.field("config", &settings.config),
            // The client's own Debug is not ours to vouch for.
            Source::Client(client) => debug.field("client_session", &client.session_id()),
        };
        debug.field("tick", &self.tick).finish()
    }
}

//! The way to PostgreSQL.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_core::{
    BackendError, BackendErrorKind, Capabilities, LivenessCell, LockBackend, OpenSession, Session,
};
use tokio::time::timeout;
use tokio_postgres::Config;

use crate::config::PostgresConfig;
use crate::error::{Effect, corrupt};
use crate::identity::Identity;
use crate::layout;
use crate::link::{self, Call, Destination, Link, bytes, text};
use crate::records::{column, number};
use crate::session::{Core, MAX_VALUE_BYTES, PostgresSession};

/// Less is shorter than a busy server's commit.
const MIN_TTL: Duration = Duration::from_millis(100);

/// A year.
const MAX_TTL: Duration = Duration::from_secs(366 * 24 * 3600);

/// A way to PostgreSQL. Cheap to clone.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use leasehold_core::Coordinator;
/// use leasehold_postgres::{PostgresBackend, PostgresConfig};
///
/// let backend = PostgresBackend::new(PostgresConfig::new(["127.0.0.1:5432"]).user("app", "secret"))?;
/// let coordinator = Coordinator::builder(backend).connect().await?;
/// let guard = coordinator.mutex("cache/users").lock().await?;
/// # guard.release().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct PostgresBackend {
    config: PostgresConfig,
    client: Arc<Config>,
}

impl PostgresBackend {
    /// From a configuration. Every session makes two connections of its own.
    ///
    /// # Errors
    /// [`InvalidConfig`](BackendErrorKind::InvalidConfig) if a host is none by its form, or there is none. Nothing is sent.
    pub fn new(config: PostgresConfig) -> Result<Self, BackendError> {
        let client = Arc::new(config.client()?);
        Ok(Self { config, client })
    }

    async fn open(&self, link: Link, options: &OpenSession) -> Result<Core, BackendError> {
        let identity = match &options.resume {
            Some(credentials) => Identity::of(credentials)?,
            None => Identity::fresh()?,
        };
        layout::check(&link, self.config.has_synchronous_replicas()).await?;
        let sent_at = options.clock.now();
        let ttl = match options.resume {
            Some(_) => resume(&link, &identity, options).await?,
            None => open(&link, &identity, options).await?,
        };
        let liveness = Arc::new(LivenessCell::new(options.clock.clone(), sent_at, ttl));
        Ok(Core { link, identity, ttl, liveness })
    }
}

/// A session that is opened without our knowing has nothing, and expires: that is why its effect is that of a read.
async fn open(link: &Link, identity: &Identity, options: &OpenSession) -> Result<Duration, BackendError> {
    // The functions count in milliseconds; what is less is not believed either.
    let millis = options.ttl.as_millis() as i64;
    let (what, statement) = ("opening of a session", "SELECT leasehold.open($1, $2, $3, $4, $5)");
    let (namespace, secret) = (options.namespace.as_str(), identity.secret.as_slice());
    let args = &[
        text(&identity.id),
        text(&namespace),
        bytes(&secret),
        text(&identity.incarnation),
        link::int(&millis),
    ];
    link.run_within(options.connect_timeout, &Call { what, effect: Effect::Read, statement, args }).await?;
    Ok(Duration::from_millis(millis.unsigned_abs()))
}

async fn resume(link: &Link, identity: &Identity, options: &OpenSession) -> Result<Duration, BackendError> {
    const WHAT: &str = "resumption of a session";
    let statement = "SELECT outcome, ttl_ms FROM leasehold.resume($1, $2, $3, $4)";
    let (namespace, secret) = (options.namespace.as_str(), identity.secret.as_slice());
    let args = &[text(&identity.id), text(&namespace), bytes(&secret), text(&identity.incarnation)];
    let call = Call { what: WHAT, effect: Effect::Read, statement, args };
    let rows = link.run_within(options.connect_timeout, &call).await?;
    let row = rows.first().ok_or_else(|| corrupt(WHAT))?;
    let refused = |kind, message: &str| Err(BackendError::new(kind, format!("{WHAT}: {message}")));
    match column(row, 0, WHAT)? {
        "ok" => Ok(Duration::from_millis(number(row, 1, WHAT)?)),
        "denied" => refused(BackendErrorKind::Unauthenticated, "these are not its credentials"),
        "lost" => refused(BackendErrorKind::SessionLost, "it is over"),
        _ => Err(corrupt(WHAT)),
    }
}

impl fmt::Debug for PostgresBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresBackend").field("config", &self.config).finish()
    }
}

#[async_trait]
impl LockBackend for PostgresBackend {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn endpoint(&self) -> String {
        self.config.endpoint()
    }

    /// The tokens are as durable as the database: a promoted replica that confirmed nothing may not know the newest. The deadline is not
    /// safe: PostgreSQL expires by a clock that may be set.
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::full(MIN_TTL, MAX_VALUE_BYTES);
        capabilities.durable_tokens = self.config.has_synchronous_replicas();
        capabilities.safe_deadline = false;
        capabilities
    }

    async fn open_session(&self, options: OpenSession) -> Result<Arc<dyn Session>, BackendError> {
        if !(MIN_TTL..=MAX_TTL).contains(&options.ttl) {
            let message = format!("a TTL of {:?} is not between {MIN_TTL:?} and a year", options.ttl);
            return Err(BackendError::new(BackendErrorKind::InvalidConfig, message));
        }
        let limit = options.connect_timeout;
        let to = Destination {
            config: self.client.clone(),
            name: self.endpoint().into(),
            connect_timeout: limit,
            request_timeout: options.request_timeout,
        };
        let opened = timeout(limit, self.open(Link::new(to, None), &options)).await;
        let core = opened.unwrap_or_else(|_| {
            let message = format!("PostgreSQL at {} did not answer within {limit:?}", self.endpoint());
            Err(BackendError::new(BackendErrorKind::Unavailable, message))
        })?;
        Ok(Arc::new(PostgresSession::start(core, options.namespace)))
    }
}

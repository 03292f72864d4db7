//! The way to etcd of one session.
//!
//! # Implementation
//!
//! A [`Link`] owns the clients (one channel: one connection an endpoint) that all requests and streams of a session
//! use. The client reconnects by itself when a connection breaks. When one goes silent instead, only the pings would
//! notice, after some 10 s; the lease's renewals notice earlier, and then [`Link::replace`] makes a new channel with new
//! connections. Requests in flight stay on the old channel until they end; the `generation` tells the owners of streams to
//! move. A client that the application gave is never replaced.
//!
//! The clients are copied out under a lock that is never held across an await. [`Link::call`] may be dropped at any
//! time; the request may have been sent then.

use std::future::Future;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use etcd_client::{Client, Error, KvClient, LeaseClient, MaintenanceClient, WatchClient};
use leasehold_core::{BackendError, BackendErrorKind};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::config::EtcdConfig;
use crate::error::{Effect, Meaning, backend_error};
#[cfg(feature = "tls")]
use crate::secured::Secured;

/// A message of any size that the server sends is decoded: it is bounded by what is stored.
const MAX_MESSAGE: usize = i32::MAX as usize;

/// Where a session's clients come from.
#[derive(Clone)]
pub(crate) enum Origin {
    Config(Box<Settings>),
    Given(Box<Client>),
}

/// A configuration that was checked.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) config: EtcdConfig,
    #[cfg(feature = "tls")]
    secured: Option<Secured>,
}

impl Origin {
    /// # Errors
    /// `InvalidConfig` if the configuration cannot work.
    pub(crate) fn new(config: EtcdConfig) -> Result<Self, BackendError> {
        config.validate()?;
        Ok(Self::Config(Box::new(Settings {
            #[cfg(feature = "tls")]
            secured: config.secured().map(|tls| Secured::new(&tls)).transpose()?,
            config,
        })))
    }

    /// The same for each member by itself; the application's client is one.
    pub(crate) fn one_by_one(&self) -> Vec<Self> {
        match self {
            Origin::Given(_) => vec![self.clone()],
            Origin::Config(settings) => settings
                .config
                .one_by_one()
                .map(|config| {
                    let mut one = settings.clone();
                    one.config = config;
                    Origin::Config(one)
                })
                .collect(),
        }
    }

    /// The error of an opening, or why a connection could not be secured, if that is behind it.
    #[cfg_attr(not(feature = "tls"), allow(clippy::unused_async, reason = "there is nothing to look at"))]
    pub(crate) async fn explain(&self, what: &str, error: BackendError, limit: Duration) -> BackendError {
        #[cfg(feature = "tls")]
        if let Origin::Config(settings) = self
            && let Some(secured) = &settings.secured
            && error.kind() == BackendErrorKind::Unavailable
        {
            let looked = timeout(limit, secured.explain(what, settings.config.endpoints())).await;
            return looked.ok().flatten().unwrap_or(error);
        }
        #[cfg(not(feature = "tls"))]
        let _ = (what, limit);
        error
    }

    /// For people, without secrets.
    pub(crate) fn endpoint(&self) -> String {
        match self {
            Origin::Config(settings) => settings.config.endpoints().join(","),
            Origin::Given(_) => "the application's client".to_owned(),
        }
    }

    /// How often a request that could not be sent is tried: the client chooses an endpoint at random each time.
    fn tries(&self) -> usize {
        match self {
            Origin::Config(settings) => match settings.config.endpoints().len() {
                1 => 1,
                several => several * 4,
            },
            Origin::Given(_) => 4,
        }
    }
}

/// The clients of one channel.
#[derive(Clone)]
pub(crate) struct Clients {
    pub(crate) kv: KvClient,
    pub(crate) watch: WatchClient,
    pub(crate) lease: LeaseClient,
    whole: Client,
}

impl Clients {
    pub(crate) fn maintenance(&self) -> MaintenanceClient {
        self.whole.maintenance_client()
    }
}

impl From<Client> for Clients {
    fn from(whole: Client) -> Self {
        Self {
            kv: whole.kv_client().max_decoding_message_size(MAX_MESSAGE),
            watch: whole.watch_client().max_decoding_message_size(MAX_MESSAGE),
            lease: whole.lease_client(),
            whole,
        }
    }
}

pub(crate) struct Link {
    origin: Origin,
    endpoint: String,
    connect_timeout: Duration,
    request_timeout: Duration,
    clients: RwLock<Clients>,
    generation: watch::Sender<u64>,
}

impl Link {
    /// Makes the clients. This sends nothing, but for a user's name and password.
    pub(crate) async fn open(
        origin: Origin,
        connect_timeout: Duration,
        request_timeout: Duration,
    ) -> Result<Self, BackendError> {
        let endpoint = origin.endpoint();
        let clients = connect(&origin, &endpoint, connect_timeout, request_timeout).await?;
        Ok(Self {
            origin,
            endpoint,
            connect_timeout,
            request_timeout,
            clients: RwLock::new(clients),
            generation: watch::Sender::new(0),
        })
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    pub(crate) fn clients(&self) -> Clients {
        self.with_clients(Clients::clone)
    }

    /// Changes when the clients are replaced.
    pub(crate) fn generation(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Makes new connections, because the present ones do not answer. Keeps the old ones if that fails.
    pub(crate) async fn replace(&self) {
        if let Origin::Given(_) = self.origin {
            return;
        }
        if let Ok(clients) =
            connect(&self.origin, &self.endpoint, self.connect_timeout, self.request_timeout).await
        {
            *self.clients.write().unwrap_or_else(PoisonError::into_inner) = clients;
            self.generation.send_modify(|generation| *generation += 1);
        }
    }

    /// Gets a new token for the user's name and password, if there are such.
    pub(crate) async fn refresh_token(&self) -> Result<(), Error> {
        self.with_clients(|clients| clients.whole.clone()).refresh_token().await
    }

    /// Makes a request, within the request time-out. What was certainly not sent is tried at other endpoints.
    pub(crate) async fn call<T, F>(
        &self,
        what: &str,
        effect: Effect,
        request: impl Fn(&Clients) -> F,
    ) -> Result<T, BackendError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.call_within(self.request_timeout, what, effect, request).await
    }

    /// As [`Link::call`], with a time-out of its own.
    pub(crate) async fn call_within<T, F>(
        &self,
        limit: Duration,
        what: &str,
        effect: Effect,
        request: impl Fn(&Clients) -> F,
    ) -> Result<T, BackendError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let tries = async {
            let mut refreshed = false;
            let mut left = self.origin.tries();
            loop {
                left -= 1;
                let error = match self.with_clients(&request).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => error,
                };
                match Meaning::of(&error) {
                    Meaning::NotSent if left > 0 => {}
                    Meaning::StaleToken if !refreshed => {
                        refreshed = true;
                        left += 1;
                        // Whether it worked shows when the request is made again.
                        let _ = self.refresh_token().await;
                    }
                    _ => return Err(backend_error(what, &self.endpoint, error, effect)),
                }
            }
        };
        timeout(limit, tries).await.unwrap_or_else(|_| {
            let message = format!("{what}: etcd at {} did not answer within {limit:?}", self.endpoint);
            Err(BackendError::new(effect.unanswered(), message))
        })
    }

    fn with_clients<T>(&self, look: impl FnOnce(&Clients) -> T) -> T {
        look(&self.clients.read().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn connect(
    origin: &Origin,
    endpoint: &str,
    connect_timeout: Duration,
    request_timeout: Duration,
) -> Result<Clients, BackendError> {
    let settings = match origin {
        Origin::Given(client) => return Ok((**client).clone().into()),
        Origin::Config(settings) => settings,
    };
    let config = &settings.config;
    let options = config.connect_options(connect_timeout, request_timeout);
    #[cfg(feature = "tls")]
    let options = match &settings.secured {
        Some(secured) => options.with_tls(secured.options()),
        None => options,
    };
    let tries = async {
        let mut left = origin.tries();
        loop {
            left -= 1;
            match Client::connect(config.endpoints(), Some(options.clone())).await {
                Ok(client) => return Ok(client.into()),
                Err(error) if left > 0 && Meaning::of(&error) == Meaning::NotSent => {}
                Err(error) => return Err(backend_error("authentication", endpoint, error, Effect::Read)),
            }
        }
    };
    timeout(connect_timeout, tries).await.unwrap_or_else(|_| {
        let message = format!("authentication: etcd at {endpoint} did not answer within {connect_timeout:?}");
        Err(BackendError::new(BackendErrorKind::Unavailable, message))
    })
}

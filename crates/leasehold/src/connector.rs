//! From a URL's scheme to a backend.

use std::collections::BTreeMap;
use std::sync::Arc;

use leasehold_core::{Coordinator, CoordinatorBuilder, Error, ErrorKind, LockBackend, Scheme, ServiceUrl};

/// The schemes of this library whose backend was not compiled in, and the features that bring them.
const ABSENT: &[(&str, &str)] = &[
    #[cfg(not(feature = "memory"))]
    ("memory", "memory"),
    #[cfg(not(feature = "etcd"))]
    ("etcd", "etcd"),
    #[cfg(not(feature = "etcd-tls"))]
    ("etcds", "etcd-tls"),
    #[cfg(not(feature = "zookeeper"))]
    ("zookeeper", "zookeeper"),
    #[cfg(not(feature = "zookeeper-tls"))]
    ("zookeepers", "zookeeper-tls"),
    #[cfg(not(feature = "redis"))]
    ("redis", "redis"),
    #[cfg(not(feature = "redis"))]
    ("redis+sentinel", "redis"),
    #[cfg(not(feature = "redis"))]
    ("redis+cluster", "redis"),
    #[cfg(not(feature = "redis-tls"))]
    ("rediss", "redis-tls"),
    #[cfg(not(feature = "redis-tls"))]
    ("rediss+sentinel", "redis-tls"),
    #[cfg(not(feature = "redis-tls"))]
    ("rediss+cluster", "redis-tls"),
];

/// Connects by URL to the services of this library, and to others whose schemes it is told.
///
/// A backend of somebody else's brings a [`Scheme`], which the application adds where it connects; nothing is registered behind its
/// back, and two connectors know nothing of each other. How to write such a backend: the guide in `leasehold-testkit`.
///
/// ```
/// # use std::sync::Arc;
/// # use leasehold_core::{BackendError, LockBackend, Scheme, ServiceUrl};
/// # #[derive(Debug)]
/// # struct PostgresScheme;
/// # impl Scheme for PostgresScheme {
/// #     fn names(&self) -> &'static [&'static str] { &["postgres", "postgresql"] }
/// #     fn backend(&self, _: &mut ServiceUrl) -> Result<Arc<dyn LockBackend>, BackendError> {
/// #         Ok(Arc::new(leasehold::memory::MemoryService::new().backend()))
/// #     }
/// # }
/// # async fn example() -> Result<(), leasehold::Error> {
/// let connector = leasehold::Connector::new().with_scheme(PostgresScheme)?;
/// let coordinator = connector.connect("postgres://me:secret@db/prod?ttl=15s").await?;
/// let other = connector.connect("memory://").await?; // those of the library as ever
/// # Ok(()) }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Connector {
    schemes: BTreeMap<&'static str, Arc<dyn Scheme>>,
}

impl Connector {
    /// Knows the backends that were compiled in.
    pub fn new() -> Self {
        let built_in: &[Arc<dyn Scheme>] = &[
            #[cfg(feature = "memory")]
            Arc::new(leasehold_memory::MemoryScheme),
            #[cfg(feature = "etcd")]
            Arc::new(leasehold_etcd::EtcdScheme),
            #[cfg(feature = "zookeeper")]
            Arc::new(leasehold_zookeeper::ZooKeeperScheme),
            #[cfg(feature = "redis")]
            Arc::new(leasehold_redis::RedisScheme),
        ];
        let named = |scheme: &Arc<dyn Scheme>| {
            scheme.names().iter().map(|name| (*name, scheme.clone())).collect::<Vec<_>>()
        };
        Self { schemes: built_in.iter().flat_map(named).collect() }
    }

    /// Knows one backend more, under all names of its scheme.
    ///
    /// # Errors
    /// [`ErrorKind::SchemeTaken`] if a backend has one of the names already; [`ErrorKind::InvalidArgument`] if one cannot stand in a
    /// URL, or there is none. The name of a backend of this library that was not compiled in is free.
    pub fn with_scheme(mut self, scheme: impl Scheme) -> Result<Self, Error> {
        let scheme: Arc<dyn Scheme> = Arc::new(scheme);
        if scheme.names().is_empty() {
            let detail = format!("{scheme:?} has no name that a URL could begin with");
            return Err(Error::new(ErrorKind::InvalidArgument, "with_scheme", detail));
        }
        for name in scheme.names() {
            if !is_sound(name) {
                let detail = format!(
                    "{name:?} cannot be the scheme of a URL: it is a word of lower-case letters, digits, +, - and ."
                );
                return Err(Error::new(ErrorKind::InvalidArgument, "with_scheme", detail));
            }
            if let Some(other) = self.schemes.insert(name, scheme.clone()) {
                let detail = format!("{name}:// is taken by {other:?}, so {scheme:?} cannot have it");
                return Err(Error::new(ErrorKind::SchemeTaken, "with_scheme", detail));
            }
        }
        Ok(self)
    }

    /// The schemes that it knows, in the order of their text.
    pub fn schemes(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.schemes.keys().copied()
    }

    /// As [`connect`](crate::connect).
    ///
    /// # Errors
    /// As [`connect`](crate::connect).
    ///
    /// # Cancel safety
    /// As [`connect`](crate::connect).
    pub async fn connect(&self, url: &str) -> Result<Coordinator, Error> {
        self.builder(url)?.connect().await
    }

    /// As [`connect_lazy`](crate::connect_lazy).
    ///
    /// # Errors
    /// As [`connect_lazy`](crate::connect_lazy).
    pub fn connect_lazy(&self, url: &str) -> Result<Coordinator, Error> {
        self.builder(url)?.connect_lazy()
    }

    /// As [`builder`](crate::builder); what it answers goes to [`blocking::Coordinator::open`](crate::blocking::Coordinator::open) too.
    ///
    /// # Errors
    /// As [`builder`](crate::builder).
    pub fn builder(&self, url: &str) -> Result<CoordinatorBuilder, Error> {
        let mut url = ServiceUrl::parse(url).map_err(refused)?;
        let Some(scheme) = self.schemes.get(url.scheme()) else { return Err(self.no_backend(url.scheme())) };
        url.read_password().map_err(refused)?;
        let backend = scheme.backend(&mut url).and_then(|backend| url.finish().map(|()| backend));
        let service = scheme.names().first().copied().unwrap_or_default();
        let backend: Arc<dyn LockBackend> = backend.map_err(|error| refused(error).with_backend(service))?;
        url.configure(Coordinator::builder(backend)).map_err(refused)
    }

    fn no_backend(&self, scheme: &str) -> Error {
        match ABSENT.iter().find(|(absent, _)| *absent == scheme) {
            Some((_, feature)) => {
                let detail = format!(
                    "{scheme}:// takes the feature {feature:?} of the crate leasehold, which is not enabled"
                );
                Error::new(ErrorKind::FeatureNotEnabled, "connect", detail)
            }
            None => {
                let known: Vec<_> = self.schemes().map(|known| format!("{known}://")).collect();
                let known = if known.is_empty() { "none".into() } else { known.join(", ") };
                let meant = self.closest(scheme).map(|meant| format!("; did you mean {meant}://?"));
                let meant = meant.unwrap_or_default();
                let detail = format!("no backend has the scheme {scheme:?}{meant}; known here: {known}");
                Error::new(ErrorKind::UnknownScheme, "connect", detail)
            }
        }
    }

    /// The scheme that was meant, if one is but a slip or two away.
    fn closest(&self, scheme: &str) -> Option<&'static str> {
        let distance = |known: &&str| strsim::damerau_levenshtein(known, scheme);
        self.schemes().min_by_key(distance).filter(|known| distance(known) <= 2)
    }
}

impl Default for Connector {
    fn default() -> Self {
        Self::new()
    }
}

/// As `ServiceUrl` reads schemes, in lower case; RFC 3986 has them begin with a letter.
fn is_sound(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
}

fn refused(error: leasehold_core::BackendError) -> Error {
    Error::from_backend("connect", Arc::new(error))
}

//! From a URL to a coordinator.

use leasehold_core::{Coordinator, CoordinatorBuilder, Error, ErrorKind};

use crate::service_url::{ServiceUrl, invalid};

/// The schemes of this library and the features that bring their backends.
const SCHEMES: [(&str, &str, bool); 3] = [
    ("memory", "memory", cfg!(feature = "memory")),
    ("etcd", "etcd", cfg!(feature = "etcd")),
    ("zookeeper", "zookeeper", cfg!(feature = "zookeeper")),
];

/// Connects to the service that the URL names, and fails at once, saying why, if that does not work.
///
/// | URL | service |
/// |---|---|
/// | `memory://`, `memory://NAME/NAMESPACE` | in this process; equal names meet (feature `memory`) |
/// | `etcd://HOST:PORT,HOST:PORT/NAMESPACE` | an etcd cluster (feature `etcd`) |
/// | `zookeeper://HOST:PORT,HOST:PORT/NAMESPACE` | a ZooKeeper ensemble (feature `zookeeper`) |
///
/// A user and password go before the hosts, percent-encoded where needed: `etcd://me:pass%40word@host`. Options
/// follow a `?`: `ttl=15s`, `connect_timeout=5s`, `request_timeout=5s`, `epoch=0`, and for ZooKeeper `tick=2s`, the
/// ensemble's tickTime.
///
/// ```
/// # async fn example() -> Result<(), leasehold::Error> {
/// let coordinator = leasehold::connect("memory://").await?;
/// coordinator.mutex("cache/users").with(|held| async move {
///     println!("alone, with token {}", held.fencing_token());
/// }).await?;
/// # Ok(()) }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
///
/// # Errors
/// [`ErrorKind::InvalidConfig`] if the URL cannot be read; [`ErrorKind::UnknownScheme`];
/// [`ErrorKind::FeatureNotEnabled`]; and those of [`CoordinatorBuilder::connect`].
///
/// # Cancel safety
/// Dropping the future closes what was opened.
pub async fn connect(url: &str) -> Result<Coordinator, Error> {
    builder(url)?.connect().await
}

/// Like [`connect`], but answers at once and keeps trying; acquisitions wait for the service.
///
/// # Errors
/// Those of the URL itself, as in [`connect`].
pub fn connect_lazy(url: &str) -> Result<Coordinator, Error> {
    builder(url)?.connect_lazy()
}

/// A builder set up as the URL says, for options that a URL has not.
///
/// # Errors
/// Those of the URL itself, as in [`connect`].
pub fn builder(url: &str) -> Result<CoordinatorBuilder, Error> {
    let url = ServiceUrl::parse(url)?;
    let (ttl, namespace) = (url.ttl, url.namespace.clone());
    let (connect_timeout, request_timeout, epoch) = (url.connect_timeout, url.request_timeout, url.epoch);
    let mut builder = backend(url)?;
    if let Some(namespace) = namespace {
        builder = builder.namespace(namespace);
    }
    if let Some(ttl) = ttl {
        builder = builder.ttl(ttl);
    }
    if let Some(timeout) = connect_timeout {
        builder = builder.connect_timeout(timeout);
    }
    if let Some(timeout) = request_timeout {
        builder = builder.request_timeout(timeout);
    }
    if let Some(epoch) = epoch {
        builder = builder.epoch(epoch);
    }
    Ok(builder)
}

fn backend(url: ServiceUrl) -> Result<CoordinatorBuilder, Error> {
    match url.scheme.as_str() {
        #[cfg(feature = "memory")]
        "memory" => memory(&url),
        #[cfg(feature = "etcd")]
        "etcd" => etcd(url),
        #[cfg(feature = "zookeeper")]
        "zookeeper" => zookeeper(url),
        _ => Err(no_backend(&url.scheme)),
    }
}

fn no_backend(scheme: &str) -> Error {
    match SCHEMES.iter().find(|(known, ..)| *known == scheme) {
        Some((_, feature, _)) => {
            let detail = format!(
                "{scheme}:// takes the feature {feature:?} of the crate leasehold, which is not enabled"
            );
            Error::new(ErrorKind::FeatureNotEnabled, "connect", detail)
        }
        None => {
            let known: Vec<_> = SCHEMES.iter().filter(|s| s.2).map(|s| format!("{}://", s.0)).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            let detail = format!("no backend has the scheme {scheme:?}; compiled in: {known}");
            Error::new(ErrorKind::UnknownScheme, "connect", detail)
        }
    }
}

#[cfg(feature = "memory")]
fn memory(url: &ServiceUrl) -> Result<CoordinatorBuilder, Error> {
    url.finish()?;
    if url.user.is_some() {
        return Err(invalid("memory:// takes no user"));
    }
    let name = match url.hosts.as_slice() {
        [] => "",
        [name] => name,
        _ => return Err(invalid("memory:// takes one name, not several hosts")),
    };
    Ok(Coordinator::builder(leasehold_memory::MemoryService::named(name).backend()))
}

#[cfg(feature = "etcd")]
fn etcd(url: ServiceUrl) -> Result<CoordinatorBuilder, Error> {
    url.finish()?;
    let mut config = leasehold_etcd::EtcdConfig::new(url.hosts_with_port(2379)?);
    if let Some(user) = url.user {
        config = config.user(user, url.password.unwrap_or_default());
    }
    leasehold_etcd::EtcdBackend::new(config).map(Coordinator::builder).map_err(|error| refused("etcd", error))
}

#[cfg(feature = "zookeeper")]
fn zookeeper(mut url: ServiceUrl) -> Result<CoordinatorBuilder, Error> {
    let tick = url.take_duration("tick")?;
    url.finish()?;
    let mut config = leasehold_zookeeper::ZooKeeperConfig::new(url.hosts_with_port(2181)?);
    if let Some(user) = url.user {
        config = config.digest(user, url.password.unwrap_or_default());
    }
    if let Some(tick) = tick {
        config = config.tick(tick);
    }
    let backend = leasehold_zookeeper::ZooKeeperBackend::new(config);
    backend.map(Coordinator::builder).map_err(|error| refused("zookeeper", error))
}

/// A configuration that the backend does not take.
#[cfg(any(feature = "etcd", feature = "zookeeper"))]
fn refused(backend: &'static str, error: leasehold_core::BackendError) -> Error {
    invalid(error.to_string()).with_backend(backend)
}

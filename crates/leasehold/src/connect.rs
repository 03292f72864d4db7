//! From a URL to a coordinator.

use leasehold_core::{Coordinator, CoordinatorBuilder, Error, ErrorKind};

use crate::service_url::ServiceUrl;
#[cfg(any(feature = "memory", feature = "etcd", feature = "zookeeper", feature = "redis"))]
use crate::service_url::invalid;

/// The schemes of this library and the features that bring their backends.
const SCHEMES: [(&str, &str, bool); 9] = [
    ("memory", "memory", cfg!(feature = "memory")),
    ("etcd", "etcd", cfg!(feature = "etcd")),
    ("zookeeper", "zookeeper", cfg!(feature = "zookeeper")),
    ("redis", "redis", cfg!(feature = "redis")),
    ("redis+sentinel", "redis", cfg!(feature = "redis")),
    ("redis+cluster", "redis", cfg!(feature = "redis")),
    ("rediss", "redis-tls", cfg!(feature = "redis-tls")),
    ("rediss+sentinel", "redis-tls", cfg!(feature = "redis-tls")),
    ("rediss+cluster", "redis-tls", cfg!(feature = "redis-tls")),
];

/// Connects to the service that the URL names, and fails at once, saying why, if that does not work.
///
/// | URL | service |
/// |---|---|
/// | `memory://`, `memory://NAME/NAMESPACE` | in this process; equal names meet (feature `memory`) |
/// | `etcd://HOST:PORT,HOST:PORT/NAMESPACE` | an etcd cluster (feature `etcd`) |
/// | `zookeeper://HOST:PORT,HOST:PORT/NAMESPACE` | a ZooKeeper ensemble (feature `zookeeper`) |
/// | `redis://HOST:PORT/NAMESPACE` | one Redis server (feature `redis`) |
/// | `redis+sentinel://HOST:PORT,HOST:PORT/MASTER/NAMESPACE` | the Redis server that these sentinels watch by the name `MASTER` (feature `redis`) |
/// | `redis+cluster://HOST:PORT,HOST:PORT/NAMESPACE` | a Redis cluster, of which these are some nodes (feature `redis`) |
///
/// `rediss`, `rediss+sentinel` and `rediss+cluster` are the same by TLS (feature `redis-tls`).
///
/// A user and password go before the hosts, percent-encoded where needed: `etcd://me:pass%40word@host`. Options
/// follow a `?`: `ttl=15s`, `connect_timeout=5s`, `request_timeout=5s`, `epoch=0`, for ZooKeeper `tick=2s`, the
/// ensemble's tickTime, and for Redis `accept_eviction=false`, whether to use a server that may evict the keys of
/// locks. A password without a user, as `redis://:password@host`, is that of Redis's default user. With sentinels, the
/// user is that of the servers; `sentinel_user` and `sentinel_password` are the sentinels' own. For TLS, `tls_ca` names a file with the
/// certificates of the authorities to trust instead of the system's, `tls_cert` and `tls_key` files with the certificate
/// that we show and its key, all in PEM.
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
    let mut url = ServiceUrl::parse(url)?;
    let mut builder = backend(&mut url)?;
    url.finish()?;
    if let Some(namespace) = url.namespace()? {
        builder = builder.namespace(namespace);
    }
    if let Some(ttl) = url.ttl {
        builder = builder.ttl(ttl);
    }
    if let Some(timeout) = url.connect_timeout {
        builder = builder.connect_timeout(timeout);
    }
    if let Some(timeout) = url.request_timeout {
        builder = builder.request_timeout(timeout);
    }
    if let Some(epoch) = url.epoch {
        builder = builder.epoch(epoch);
    }
    Ok(builder)
}

/// The backend of the scheme; it takes the options that are its own out of the URL.
fn backend(url: &mut ServiceUrl) -> Result<CoordinatorBuilder, Error> {
    match url.scheme.as_str() {
        #[cfg(feature = "memory")]
        "memory" => memory(url),
        #[cfg(feature = "etcd")]
        "etcd" => etcd(url),
        #[cfg(feature = "zookeeper")]
        "zookeeper" => zookeeper(url),
        #[cfg(feature = "redis")]
        "redis" | "redis+sentinel" | "redis+cluster" => redis(url),
        #[cfg(feature = "redis-tls")]
        "rediss" | "rediss+sentinel" | "rediss+cluster" => redis(url),
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
fn etcd(url: &ServiceUrl) -> Result<CoordinatorBuilder, Error> {
    let mut config = leasehold_etcd::EtcdConfig::new(url.hosts_with_port(2379)?);
    if let Some(user) = &url.user {
        config = config.user(user, url.password.as_deref().unwrap_or_default());
    }
    leasehold_etcd::EtcdBackend::new(config).map(Coordinator::builder).map_err(|error| refused("etcd", error))
}

#[cfg(feature = "zookeeper")]
fn zookeeper(url: &mut ServiceUrl) -> Result<CoordinatorBuilder, Error> {
    let tick = url.take_duration("tick")?;
    let mut config = leasehold_zookeeper::ZooKeeperConfig::new(url.hosts_with_port(2181)?);
    if let Some(user) = &url.user {
        config = config.digest(user, url.password.as_deref().unwrap_or_default());
    }
    if let Some(tick) = tick {
        config = config.tick(tick);
    }
    let backend = leasehold_zookeeper::ZooKeeperBackend::new(config);
    backend.map(Coordinator::builder).map_err(|error| refused("zookeeper", error))
}

#[cfg(feature = "redis")]
fn redis(url: &mut ServiceUrl) -> Result<CoordinatorBuilder, Error> {
    let config = match url.scheme.split_once('+').map(|(_, servers)| servers) {
        Some("sentinel") => redis_sentinel(url)?,
        Some(_) => leasehold_redis::RedisConfig::cluster(url.hosts_with_port(6379)?),
        _ => match url.hosts_with_port(6379)?.as_slice() {
            [host] => leasehold_redis::RedisConfig::new(host),
            _ => return Err(invalid("redis:// takes one host, the primary").with_backend("redis")),
        },
    };
    let accept_eviction = url.take_flag("accept_eviction")?.unwrap_or(false);
    let config = match (&url.user, &url.password) {
        (Some(user), password) => config.user(user, password.as_deref().unwrap_or_default()),
        (None, Some(password)) => config.password(password),
        (None, None) => config,
    };
    #[cfg(feature = "redis-tls")]
    let config = if url.scheme.starts_with("rediss") { config.tls(redis_tls(url)?) } else { config };
    leasehold_redis::RedisBackend::new(config.accept_eviction(accept_eviction))
        .map(Coordinator::builder)
        .map_err(|error| refused("redis", error))
}

#[cfg(feature = "redis-tls")]
fn redis_tls(url: &mut ServiceUrl) -> Result<leasehold_redis::RedisTls, Error> {
    let refused = |error| refused("redis", error);
    let mut tls = leasehold_redis::RedisTls::new();
    if let Some(authorities) = url.take("tls_ca") {
        tls = tls.authorities_file(authorities).map_err(refused)?;
    }
    match (url.take("tls_cert"), url.take("tls_key")) {
        (Some(certificate), Some(key)) => tls.identity_files(certificate, key).map_err(refused),
        (None, None) => Ok(tls),
        _ => Err(invalid("the URL's options tls_cert and tls_key go together").with_backend("redis")),
    }
}

#[cfg(feature = "redis")]
fn redis_sentinel(url: &mut ServiceUrl) -> Result<leasehold_redis::RedisConfig, Error> {
    let sentinels = url.hosts_with_port(26_379)?;
    let master = url.take_segment("name of the primary")?;
    if master.is_empty() {
        let detail = "redis+sentinel:// takes the name by which the primary is watched: redis+sentinel://host/name/namespace";
        return Err(invalid(detail).with_backend("redis"));
    }
    let config = leasehold_redis::RedisConfig::sentinel(master, sentinels);
    Ok(match (url.take("sentinel_user"), url.take("sentinel_password")) {
        (Some(user), password) => config.sentinel_user(user, password.unwrap_or_default()),
        (None, Some(password)) => config.sentinel_password(password),
        (None, None) => config,
    })
}

/// A configuration that the backend does not take.
#[cfg(any(feature = "etcd", feature = "zookeeper", feature = "redis"))]
fn refused(backend: &'static str, error: leasehold_core::BackendError) -> Error {
    invalid(error.to_string()).with_backend(backend)
}

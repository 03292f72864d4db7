//! From a URL to a coordinator, over the backends of this library.

use leasehold_core::{Coordinator, CoordinatorBuilder, Error};

use crate::connector::Connector;

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
/// Services of other backends are connected to by a [`Connector`] that knows their schemes.
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
/// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) if the URL cannot be read, or the backend cannot work with it;
/// [`UnknownScheme`](crate::ErrorKind::UnknownScheme), naming those that are known;
/// [`FeatureNotEnabled`](crate::ErrorKind::FeatureNotEnabled); and those of [`CoordinatorBuilder::connect`].
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
    Connector::new().builder(url)
}

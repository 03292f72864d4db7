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
/// The scheme with an `s` behind its first word is the same by TLS: `etcds` (feature `etcd-tls`), `zookeepers` (feature
/// `zookeeper-tls`), `rediss`, `rediss+sentinel` and `rediss+cluster` (feature `redis-tls`).
///
/// Options follow a `?`: `ttl=15s`, `connect_timeout=5s`, `request_timeout=5s`, `epoch=0`, for ZooKeeper `tick=2s`, the
/// ensemble's tickTime, and for Redis `accept_eviction=false`, whether to use a server that may evict the keys of
/// locks.
///
/// # Users, passwords and certificates
///
/// A user and password go before the hosts, percent-encoded where needed: `etcd://me:pass%40word@host`. A URL is seen by others, on a
/// command line or in a configuration; so the password can stand elsewhere:
///
/// | option | says |
/// |---|---|
/// | `password_file=PATH` | the file that holds the password; a line feed at its end is none of it |
/// | `password_env=NAME` | the variable of the environment that holds it |
/// | `tls_ca=PATH` | the certificates of the authorities to trust, instead of the system's |
/// | `tls_cert=PATH`, `tls_key=PATH` | the certificate that we show to servers that ask for one, its chain behind it, and its key |
/// | `tls_server_name=NAME` | the name that the servers' certificates are for, if it is not the host; not for ZooKeeper |
///
/// Files are read once, here; certificates and keys are PEM. Nothing shows a password: no `Debug`, no error, no log of this library.
///
/// * etcd: the user is one of etcd's own. Without one, a server that asks for certificates takes the common name of ours for the user.
/// * ZooKeeper: the user is one of the digest scheme, or with `auth=sasl` of SASL's DIGEST-MD5 (feature `zookeeper-sasl`). Nodes that a user
///   creates are its own. `share=SCHEME:ID`, which may stand several times, gives them to another user too, and `share=everybody` to all.
/// * Redis: the user is one of the access control lists. A password without a user, as `redis://:password@host`, is that of the default
///   user. With sentinels, that is the servers' user; the sentinels' own is said by `sentinel_user`, and `sentinel_password`,
///   `sentinel_password_file` or `sentinel_password_env`.
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
/// [`Untrusted`](crate::ErrorKind::Untrusted) if the servers' certificates cannot be believed,
/// [`Unauthenticated`](crate::ErrorKind::Unauthenticated) if they do not believe us,
/// [`PermissionDenied`](crate::ErrorKind::PermissionDenied) if the namespace is not ours;
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

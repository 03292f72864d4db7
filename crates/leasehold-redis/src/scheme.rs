//! The URLs of the backend.

use std::sync::Arc;

use leasehold_core::{BackendError, BackendErrorKind, LockBackend, Scheme, ServiceUrl};

use crate::backend::RedisBackend;
use crate::config::RedisConfig;

/// The scheme `redis://USER:PASSWORD@HOST:PORT?accept_eviction=false`: one server, the primary; `redis+sentinel://` and
/// `redis+cluster://`, which take several hosts; and with the feature `tls` the same three with `rediss`.
#[derive(Debug, Clone, Copy, Default)]
pub struct RedisScheme;

impl Scheme for RedisScheme {
    fn names(&self) -> &'static [&'static str] {
        &[
            "redis",
            "redis+sentinel",
            "redis+cluster",
            #[cfg(feature = "tls")]
            "rediss",
            #[cfg(feature = "tls")]
            "rediss+sentinel",
            #[cfg(feature = "tls")]
            "rediss+cluster",
        ]
    }

    fn backend(&self, url: &mut ServiceUrl) -> Result<Arc<dyn LockBackend>, BackendError> {
        Ok(Arc::new(RedisBackend::new(config(url)?)?))
    }
}

/// What a URL of ours says of the servers.
pub(crate) fn config(url: &mut ServiceUrl) -> Result<RedisConfig, BackendError> {
    let servers = url.scheme().split_once('+').map(|(_, servers)| servers.to_owned());
    let config = match servers.as_deref() {
        Some("sentinel") => sentinel(url)?,
        Some(_) => RedisConfig::cluster(url.hosts_with_port(6379)?),
        None => match url.hosts_with_port(6379)?.as_slice() {
            [host] => RedisConfig::new(host),
            _ => return Err(invalid("redis:// takes one host, the primary")),
        },
    };
    let accept_eviction = url.take_flag("accept_eviction")?.unwrap_or(false);
    let config = match (url.user(), url.password()) {
        (Some(user), password) => config.user(user, password.unwrap_or_default()),
        (None, Some(password)) => config.password(password),
        (None, None) => config,
    };
    #[cfg(feature = "tls")]
    let config = if url.scheme().starts_with("rediss") {
        config.tls(leasehold_tls::Tls::from_url(url)?)
    } else {
        config
    };
    Ok(config.accept_eviction(accept_eviction))
}

fn sentinel(url: &mut ServiceUrl) -> Result<RedisConfig, BackendError> {
    let sentinels = url.hosts_with_port(26_379)?;
    let master = url.take_segment("name of the primary")?;
    if master.is_empty() {
        return Err(invalid(
            "redis+sentinel:// takes the name by which the primary is watched: redis+sentinel://host/name/namespace",
        ));
    }
    let config = RedisConfig::sentinel(master, sentinels);
    Ok(match (url.take_option("sentinel_user"), url.take_secret("sentinel_password")?) {
        (Some(user), password) => config.sentinel_user(user, password.unwrap_or_else(|| "".into())),
        (None, Some(password)) => config.sentinel_password(password),
        (None, None) => config,
    })
}

fn invalid(message: &str) -> BackendError {
    BackendError::new(BackendErrorKind::InvalidConfig, message)
}

//! The URLs of the backend.

use std::sync::Arc;

use leasehold_core::{BackendError, BackendErrorKind, LockBackend, Scheme, ServiceUrl};

use crate::backend::RedisBackend;
use crate::config::RedisConfig;

/// The scheme `redis://USER:PASSWORD@HOST:PORT?accept_eviction=false`: one server, the primary. `rediss://` is known and refused,
/// since there is no TLS.
#[derive(Debug, Clone, Copy, Default)]
pub struct RedisScheme;

impl Scheme for RedisScheme {
    fn names(&self) -> &'static [&'static str] {
        &["redis", "rediss"]
    }

    fn backend(&self, url: &mut ServiceUrl) -> Result<Arc<dyn LockBackend>, BackendError> {
        if url.scheme() == "rediss" {
            return Err(invalid("rediss:// takes TLS, which this backend has not"));
        }
        let hosts = url.hosts_with_port(6379)?;
        let [host] = hosts.as_slice() else {
            return Err(invalid("redis:// takes one host, the primary"));
        };
        let accept_eviction = url.take_flag("accept_eviction")?.unwrap_or(false);
        let mut config = RedisConfig::new(host).accept_eviction(accept_eviction);
        config = match (url.user(), url.password()) {
            (Some(user), password) => config.user(user, password.unwrap_or_default()),
            (None, Some(password)) => config.password(password),
            (None, None) => config,
        };
        Ok(Arc::new(RedisBackend::new(config)?))
    }
}

fn invalid(message: &str) -> BackendError {
    BackendError::new(BackendErrorKind::InvalidConfig, message)
}

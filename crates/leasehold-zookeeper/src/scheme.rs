//! The URLs of the backend.

use std::sync::Arc;

use leasehold_core::{BackendError, LockBackend, Scheme, ServiceUrl};

use crate::backend::ZooKeeperBackend;
use crate::config::ZooKeeperConfig;

/// The scheme `zookeeper://USER:PASSWORD@HOST:PORT,HOST:PORT?tick=2s`; `tick` is the ensemble's tickTime.
#[derive(Debug, Clone, Copy, Default)]
pub struct ZooKeeperScheme;

impl Scheme for ZooKeeperScheme {
    fn names(&self) -> &'static [&'static str] {
        &["zookeeper"]
    }

    fn backend(&self, url: &mut ServiceUrl) -> Result<Arc<dyn LockBackend>, BackendError> {
        let mut config = ZooKeeperConfig::new(url.hosts_with_port(2181)?);
        if let Some((user, password)) = url.user_and_password()? {
            config = config.digest(user, password);
        }
        if let Some(tick) = url.take_duration("tick")? {
            config = config.tick(tick);
        }
        Ok(Arc::new(ZooKeeperBackend::new(config)?))
    }
}

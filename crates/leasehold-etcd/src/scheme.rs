//! The URLs of the backend.

use std::sync::Arc;

use leasehold_core::{BackendError, LockBackend, Scheme, ServiceUrl};

use crate::backend::EtcdBackend;
use crate::config::EtcdConfig;

/// The scheme `etcd://USER:PASSWORD@HOST:PORT,HOST:PORT`; with the feature `tls`, the same by TLS is `etcds`.
#[derive(Debug, Clone, Copy, Default)]
pub struct EtcdScheme;

impl Scheme for EtcdScheme {
    fn names(&self) -> &'static [&'static str] {
        &[
            "etcd",
            #[cfg(feature = "tls")]
            "etcds",
        ]
    }

    fn backend(&self, url: &mut ServiceUrl) -> Result<Arc<dyn LockBackend>, BackendError> {
        let mut config = EtcdConfig::new(url.hosts_with_port(2379)?);
        if let Some((user, password)) = url.user_and_password()? {
            config = config.user(user, password);
        }
        #[cfg(feature = "tls")]
        if url.scheme() == "etcds" {
            config = config.tls(leasehold_tls::Tls::from_url(url)?);
        }
        Ok(Arc::new(EtcdBackend::new(config)?))
    }
}

//! The URLs of the backend.

use std::sync::Arc;

use leasehold_core::{BackendError, LockBackend, Scheme, ServiceUrl};

use crate::backend::ZooKeeperBackend;
use crate::config::{ZooKeeperConfig, invalid};

/// The scheme `zookeeper://USER:PASSWORD@HOST:PORT,HOST:PORT?tick=2s`; `tick` is the ensemble's tickTime. With `auth=sasl` the user is
/// one of SASL (feature `sasl`) instead of the digest scheme; `share=everybody` and `share=SCHEME:ID`, which may stand several times, say whose
/// the nodes are besides their creator's. With the feature `tls`, the same by TLS is `zookeepers`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ZooKeeperScheme;

impl Scheme for ZooKeeperScheme {
    fn names(&self) -> &'static [&'static str] {
        &[
            "zookeeper",
            #[cfg(feature = "tls")]
            "zookeepers",
        ]
    }

    fn backend(&self, url: &mut ServiceUrl) -> Result<Arc<dyn LockBackend>, BackendError> {
        let mut config = ZooKeeperConfig::new(url.hosts_with_port(2181)?);
        let auth = url.take_option("auth");
        let user = url.user_and_password()?;
        config = match (auth.as_deref(), user) {
            (None, None) => config,
            (Some(_), None) => {
                return Err(invalid("the URL's option auth takes a user, before the hosts".into()));
            }
            (None | Some("digest"), Some((user, password))) => config.digest(user, password),
            #[cfg(feature = "sasl")]
            (Some("sasl"), Some((user, password))) => config.sasl(user, password),
            #[cfg(not(feature = "sasl"))]
            (Some("sasl"), Some(_)) => {
                return Err(invalid(
                    "auth=sasl takes the feature zookeeper-sasl, which is not enabled".into(),
                ));
            }
            (Some(_), Some(_)) => return Err(invalid("the URL's option auth is digest or sasl".into())),
        };
        while let Some(share) = url.take_option("share") {
            config = match share.split_once(':') {
                Some((scheme, id)) => config.share_with(scheme, id),
                None if share == "everybody" => config.share_with_everybody(),
                None => return Err(invalid("the URL's option share is everybody, or SCHEME:ID".into())),
            };
        }
        #[cfg(feature = "tls")]
        if url.scheme() == "zookeepers" {
            config = config.tls(leasehold_tls::Tls::from_url(url)?);
        }
        if let Some(tick) = url.take_duration("tick")? {
            config = config.tick(tick);
        }
        Ok(Arc::new(ZooKeeperBackend::new(config)?))
    }
}

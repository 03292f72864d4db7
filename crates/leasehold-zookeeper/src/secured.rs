//! Connections by TLS: what the client is told, and why it could not connect.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use leasehold_core::BackendError;
use leasehold_tls::rustls::crypto::{CryptoProvider, ring};
use leasehold_tls::{Handshake, Tls, TlsStream};
use tokio::net::TcpStream;
use zookeeper_client::TlsOptions;

use crate::config::{host_and_port, invalid};

/// How long it may take to see why no connection could be secured.
const LONGEST_LOOK: Duration = Duration::from_secs(2);

/// The settings, checked.
#[derive(Clone)]
pub(crate) struct Secured {
    handshake: Handshake,
    options: Arc<TlsOptions>,
}

impl Secured {
    pub(crate) fn new(tls: &Tls, hosts: &[String]) -> Result<Self, BackendError> {
        let handshake = Handshake::new(tls, &[])?;
        if tls.expected_name().is_some() {
            return Err(invalid(
                "ZooKeeper's client knows servers by their hosts alone, so no other name can be asked for"
                    .into(),
            ));
        }
        for host in hosts {
            // The client panics where there is none.
            handshake.check_host(host_and_port(host).0)?;
        }
        let refused = |error| invalid("the settings of TLS cannot be used".into()).with_source(error);
        let mut options = TlsOptions::new().with_pem_ca(handshake.authorities_pem()).map_err(refused)?;
        if let Some((certificates, key)) = tls.shown() {
            let text = |pem: &[u8]| String::from_utf8_lossy(pem).into_owned();
            options = options.with_pem_identity(&text(certificates), &text(key)).map_err(refused)?;
        }
        Ok(Self { handshake, options: Arc::new(options) })
    }

    /// The client takes the provider of the process for its cryptography, and panics if there is none. So the process gets one, unless
    /// it has chosen one.
    pub(crate) fn options(&self) -> TlsOptions {
        if CryptoProvider::get_default().is_none() {
            // Somebody else may have been faster, which is as well.
            let _ = ring::default_provider().install_default();
        }
        (*self.options).clone()
    }

    /// The error of a connection that could not be made, or what is behind it, which the client does not tell.
    pub(crate) async fn explain(
        &self,
        what: &str,
        hosts: &[String],
        limit: Duration,
    ) -> Option<BackendError> {
        let looks = hosts.iter().map(async |host| {
            // A question that every server answers, if only by saying that it is not allowed.
            self.handshake
                .diagnose(&format!("{what}: ZooKeeper at {host}"), host_and_port(host), b"srvr")
                .await
        });
        let looked = tokio::time::timeout(LONGEST_LOOK.min(limit), join_all(looks)).await;
        looked.ok()?.into_iter().flatten().next()
    }

    pub(crate) async fn connect(
        &self,
        what: &str,
        host: &str,
        socket: TcpStream,
    ) -> Result<TlsStream<TcpStream>, BackendError> {
        self.handshake.connect(&format!("{what}: ZooKeeper at {host}"), host_and_port(host).0, socket).await
    }
}

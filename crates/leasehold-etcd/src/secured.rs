//! Connections by TLS: what the client is told, and why it could not connect.

use etcd_client::{Identity, TlsOptions};
use futures_util::future::join_all;
use leasehold_core::BackendError;
use leasehold_tls::{Handshake, Tls};

use crate::config::host_and_port;

/// How a client of HTTP/2 begins, with settings that change nothing. The server answers with its own.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The settings, checked.
#[derive(Clone)]
pub(crate) struct Secured {
    handshake: Handshake,
    options: TlsOptions,
}

impl Secured {
    pub(crate) fn new(tls: &Tls) -> Result<Self, BackendError> {
        let handshake = Handshake::new(tls, &["h2"])?;
        // The client leaves out in silence what it cannot read of authorities, so it is given what was read.
        let mut options = TlsOptions::new().trust_anchors(handshake.authorities().iter().cloned());
        if let Some((certificates, key)) = tls.shown() {
            options = options.identity(Identity::from_pem(certificates, key));
        }
        if let Some(name) = tls.expected_name() {
            options = options.domain_name(name);
        }
        Ok(Self { handshake, options })
    }

    pub(crate) fn options(&self) -> TlsOptions {
        self.options.clone()
    }

    /// Why no connection could be made, if it is for a reason of TLS: the client does not tell in all cases.
    pub(crate) async fn explain(&self, what: &str, endpoints: &[String]) -> Option<BackendError> {
        let looks = endpoints.iter().filter_map(|endpoint| Some((endpoint, host_and_port(endpoint)?)));
        let looks = looks.map(async |(endpoint, at)| {
            self.handshake.diagnose(&format!("{what}: etcd at {endpoint}"), at, GREETING).await
        });
        join_all(looks).await.into_iter().flatten().next()
    }
}

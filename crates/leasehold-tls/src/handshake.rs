//! The settings, checked and ready; and the question why a connection by them fails.
//!
//! # Implementation
//!
//! Certificates and keys are read once, when the backend is made: what is wrong with them is said then. The provider of
//! the cryptography is chosen here and installed nowhere, so that it is no matter what else the process uses.
//!
//! Clients of services that secure their connections themselves do not tell why that failed, or not reliably. So when one could not
//! open any, [`Handshake::diagnose`] makes a connection of its own and looks. With TLS 1.3 a server sees our certificate after
//! the handshake has ended here, so the look includes the first answer to something harmless.

use std::fmt;
use std::io;
use std::sync::Arc;

use leasehold_core::{BackendError, BackendErrorKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, TrustAnchor};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::fault::TlsFault;
use crate::pem;
use crate::tls::Tls;

/// The settings, checked and ready.
#[derive(Clone)]
pub struct Handshake {
    connector: TlsConnector,
    authorities: Arc<[TrustAnchor<'static>]>,
    authorities_pem: Arc<str>,
    server_name: Option<ServerName<'static>>,
    shown: bool,
}

impl Handshake {
    /// Checks the settings. `protocols` are those that the service has in TLS (ALPN), such as `h2`.
    ///
    /// # Errors
    /// `InvalidConfig` that says which part cannot be used, and shows no key.
    pub fn new(tls: &Tls, protocols: &[&str]) -> Result<Self, BackendError> {
        let authorities = match &tls.authorities {
            Some(pem) => certificates("the authorities' certificates", pem)?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        let authorities_pem = pem::of_certificates(&authorities).into();
        let mut trusted = RootCertStore::empty();
        trusted.add_parsable_certificates(authorities);
        if trusted.is_empty() {
            let message = "there is no authority to trust: the system has none, and none were given";
            return Err(BackendError::new(BackendErrorKind::InvalidConfig, message));
        }
        let anchors = trusted.roots.clone().into();
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| invalid("TLS cannot be used", error))?
            .with_root_certificates(trusted);
        let mut config = match &tls.identity {
            Some((chain, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|error| invalid("our key is no private key in PEM", error))?;
                builder
                    .with_client_auth_cert(certificates("our certificate", chain)?, key)
                    .map_err(|error| invalid("our certificate and key cannot be used", error))?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let server_name = tls.server_name.clone().map(|name| {
            let message = format!("no certificate can be for the name {name:?}");
            ServerName::try_from(name).map_err(|error| invalid(message, error))
        });
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            authorities: anchors,
            authorities_pem,
            server_name: server_name.transpose()?,
            shown: tls.has_identity(),
        })
    }

    /// The authorities that are trusted.
    pub fn authorities(&self) -> &[TrustAnchor<'static>] {
        &self.authorities
    }

    /// The certificates of the authorities that are trusted, in PEM.
    pub fn authorities_pem(&self) -> &str {
        &self.authorities_pem
    }

    /// Sees whether a certificate can be for a host, a name or an address without brackets.
    ///
    /// # Errors
    /// `InvalidConfig` if it cannot.
    pub fn check_host(&self, host: &str) -> Result<(), BackendError> {
        let checked = ServerName::try_from(host.to_owned()).map(drop);
        checked.map_err(|error| invalid(format!("no certificate can be for the host {host:?}"), error))
    }

    /// Secures a connection to `host`, a name or an address without brackets. `server` is how errors call it.
    ///
    /// # Errors
    /// As [`TlsFault::kind`] says; a [`TlsFault`] is its source.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub async fn connect(
        &self,
        server: &str,
        host: &str,
        socket: TcpStream,
    ) -> Result<TlsStream<TcpStream>, BackendError> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned())
                .map_err(|error| invalid(format!("{server}: no certificate can be for that host"), error))?,
        };
        self.connector.connect(name, socket).await.map_err(|error| self.refused(server, &error))
    }

    /// The error of a connection that was not secured, or on which the server ended what was meant to be.
    pub fn refused(&self, server: &str, error: &io::Error) -> BackendError {
        let fault = TlsFault::of(error, self.shown);
        BackendError::new(fault.kind(), format!("{server}: {fault}: {error}")).with_source(fault)
    }

    /// Why connections to a server at `host` and `port` fail, if it is for a reason of TLS. `greeting` is what a client may begin with, and
    /// is answered.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub async fn diagnose(
        &self,
        server: &str,
        (host, port): (&str, u16),
        greeting: &[u8],
    ) -> Option<BackendError> {
        let socket = TcpStream::connect((host, port)).await.ok()?;
        let refused = match self.connect(server, host, socket).await {
            Ok(mut stream) => {
                let greeted = async {
                    stream.write_all(greeting).await?;
                    stream.flush().await
                };
                // The server may have said why, and closed the connection before it was greeted.
                let _ = greeted.await;
                stream.read(&mut [0; 1]).await.map_err(|error| self.refused(server, &error)).err()?
            }
            Err(error) => error,
        };
        // That it was interrupted is known already.
        (refused.kind() != BackendErrorKind::Unavailable).then_some(refused)
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("server_name", &self.server_name)
            .field("shown", &self.shown)
            .finish()
    }
}

fn certificates(what: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BackendError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(read) if read.is_empty() => {
            let message = format!("there is no certificate in PEM in what should be {what}");
            Err(BackendError::new(BackendErrorKind::InvalidConfig, message))
        }
        Ok(read) => Ok(read),
        Err(error) => Err(invalid(format!("{what} cannot be read as PEM"), error)),
    }
}

fn invalid(why: impl Into<String>, error: impl std::error::Error + Send + Sync + 'static) -> BackendError {
    let message = format!("{}: {error}", why.into());
    BackendError::new(BackendErrorKind::InvalidConfig, message).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_used_is_said_before_anything_is_sent() {
        for tls in [
            Tls::new().authorities(""),
            Tls::new().authorities("-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n"),
            Tls::new().identity("x", "y"),
            Tls::new().identity("certificate", "hunter2"),
            Tls::new().server_name("no name"),
        ] {
            let error = Handshake::new(&tls, &[]).map(drop).unwrap_err();
            assert_eq!(error.kind(), BackendErrorKind::InvalidConfig, "{tls:?}: {error}");
            assert!(!format!("{error:?}").contains("hunter2"));
        }
    }
}

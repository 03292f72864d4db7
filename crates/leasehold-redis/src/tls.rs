//! TLS: whom we believe to be the server, and who we are.
//!
//! # Implementation
//!
//! Certificates and keys are read once, when the backend is made: what is wrong with them is said then. The provider of
//! the cryptography is chosen here and installed nowhere, so that it is no matter what else the process uses.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use leasehold_core::{BackendError, BackendErrorKind};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, AlertDescription, CertificateError, ClientConfig, RootCertStore};

use crate::endpoint;
use crate::error::{Effect, Meaning};

/// How we know the servers, and how they know us: TLS 1.2 or 1.3.
///
/// By itself it trusts the authorities that the system trusts. A server is known by the host of its endpoint, a name or
/// an address, which its certificate must be for; of servers that sentinels or a cluster tell of, that is what they tell
/// (`cluster-announce-hostname`, `sentinel announce-hostnames`).
///
/// ```
/// use leasehold_redis::{RedisConfig, RedisTls};
///
/// let config = RedisConfig::new("redis.internal:6379").tls(RedisTls::new());
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct RedisTls {
    /// In PEM; without, those of the system.
    authorities: Option<Vec<u8>>,
    /// Certificates and key, in PEM.
    identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl RedisTls {
    /// Trusts whom the system trusts, and shows no certificate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts these authorities and no others; certificates in PEM.
    pub fn authorities(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities = Some(pem.into());
        self
    }

    /// Shows a certificate to servers that ask for one; the chain, our own first, and its key in PEM.
    pub fn identity(mut self, certificates: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.identity = Some((certificates.into(), key.into()));
        self
    }

    /// As [`authorities`](Self::authorities), from a file.
    ///
    /// # Errors
    /// `InvalidConfig` if it cannot be read.
    pub fn authorities_file(self, path: impl AsRef<Path>) -> Result<Self, BackendError> {
        Ok(self.authorities(read(path.as_ref())?))
    }

    /// As [`identity`](Self::identity), from files.
    ///
    /// # Errors
    /// `InvalidConfig` if one cannot be read.
    pub fn identity_files(
        self,
        certificates: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, BackendError> {
        Ok(self.identity(read(certificates.as_ref())?, read(key.as_ref())?))
    }
}

/// Shows neither keys nor certificates.
impl fmt::Debug for RedisTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTls")
            .field("authorities", &if self.authorities.is_some() { "given" } else { "the system's" })
            .field("identity", &self.identity.is_some())
            .finish()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, BackendError> {
    std::fs::read(path).map_err(|error| invalid(format!("cannot read {}", path.display()), error))
}

/// The settings, checked and ready.
#[derive(Clone)]
pub(crate) struct Handshake(TlsConnector);

impl Handshake {
    pub(crate) fn new(tls: &RedisTls) -> Result<Self, BackendError> {
        let authorities = match &tls.authorities {
            Some(pem) => certificates("the authorities' certificates", pem)?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        let mut trusted = RootCertStore::empty();
        trusted.add_parsable_certificates(authorities);
        if trusted.is_empty() {
            let message = "there is no authority to trust: the system has none, and none were given";
            return Err(BackendError::new(BackendErrorKind::InvalidConfig, message));
        }
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| invalid("TLS cannot be used", error))?
            .with_root_certificates(trusted);
        let config = match &tls.identity {
            Some((chain, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|error| invalid("our key is no private key in PEM", error))?;
                builder
                    .with_client_auth_cert(certificates("our certificate", chain)?, key)
                    .map_err(|error| invalid("our certificate and key cannot be used", error))?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Makes sure that the server is the one of this endpoint.
    pub(crate) async fn with(
        &self,
        what: &str,
        endpoint: &str,
        socket: TcpStream,
    ) -> Result<TlsStream<TcpStream>, BackendError> {
        let name = ServerName::try_from(endpoint::host(endpoint).to_owned()).map_err(|error| {
            invalid(format!("{what}: Redis at {endpoint}: no certificate can be for that host"), error)
        })?;
        self.0.connect(name, socket).await.map_err(|error| refused(what, endpoint, error))
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

/// The error of a connection that was not secured.
pub(crate) fn refused(what: &str, endpoint: &str, error: io::Error) -> BackendError {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    let (kind, why) = match cause {
        Some(cause) => meaning(cause),
        None => (Meaning::of_dial(&error).kind(Effect::Read), "the connection ended before it was secured"),
    };
    BackendError::new(kind, format!("{what}: Redis at {endpoint}: {why}: {error}")).with_source(error)
}

fn meaning(error: &rustls::Error) -> (BackendErrorKind, &'static str) {
    use BackendErrorKind::{InvalidConfig, Unauthenticated};
    use CertificateError as Flaw;
    match error {
        rustls::Error::InvalidCertificate(flaw) => match flaw {
            Flaw::UnknownIssuer | Flaw::BadSignature => {
                (InvalidConfig, "its certificate is by an authority that is not trusted")
            }
            Flaw::NotValidForName | Flaw::NotValidForNameContext { .. } => {
                (InvalidConfig, "its certificate is for another host")
            }
            Flaw::Expired | Flaw::ExpiredContext { .. } => (InvalidConfig, "its certificate has expired"),
            Flaw::NotValidYet | Flaw::NotValidYetContext { .. } => {
                (InvalidConfig, "its certificate is not valid yet")
            }
            _ => (InvalidConfig, "its certificate cannot be used"),
        },
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure,
        ) => (Unauthenticated, "it asks for a certificate of ours"),
        rustls::Error::AlertReceived(_) => (Unauthenticated, "it does not accept our certificate"),
        rustls::Error::InvalidMessage(_) => (InvalidConfig, "it does not speak TLS"),
        _ => (InvalidConfig, "the connection cannot be secured"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_used_is_said_before_anything_is_sent() {
        for tls in [
            RedisTls::new().authorities(""),
            RedisTls::new().authorities("-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n"),
            RedisTls::new().identity("x", "y"),
        ] {
            let error = Handshake::new(&tls).map(drop).unwrap_err();
            assert_eq!(error.kind(), BackendErrorKind::InvalidConfig, "{tls:?}: {error}");
        }
        let error = RedisTls::new().authorities_file("/nowhere/ca.pem").unwrap_err();
        assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");
    }

    #[test]
    fn no_key_is_shown() {
        let tls = RedisTls::new().identity("certificate", "hunter2");
        assert!(!format!("{tls:?}").contains("hunter2"));
        assert!(!format!("{:?}", Handshake::new(&tls).map(drop).unwrap_err()).contains("hunter2"));
    }
}

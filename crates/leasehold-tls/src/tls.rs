//! Whom we believe to be the server, and who we are.

use std::fmt;
use std::path::Path;

use leasehold_core::{BackendError, BackendErrorKind, ServiceUrl};

/// How we know the servers, and how they know us: TLS 1.2 or 1.3.
///
/// By itself it trusts the authorities that the system trusts, and shows no certificate. A server is known by the host of its
/// endpoint, a name or an address, which its certificate must be for. There is no way to trust everybody.
///
/// ```no_run
/// use leasehold_tls::Tls;
///
/// let tls = Tls::new().authorities_file("ca.pem")?.identity_files("client.pem", "client-key.pem")?;
/// # Ok::<(), leasehold_core::BackendError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct Tls {
    /// In PEM; without, those of the system.
    pub(crate) authorities: Option<Vec<u8>>,
    /// Certificates and key, in PEM.
    pub(crate) identity: Option<(Vec<u8>, Vec<u8>)>,
    pub(crate) server_name: Option<String>,
}

impl Tls {
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

    /// The name, or address, that the certificates of all servers have to be for, instead of their hosts: behind a tunnel, or where one
    /// certificate serves a cluster. ZooKeeper's client cannot do it.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
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

    /// What a URL's options say; they are taken out of it.
    ///
    /// # Errors
    /// `InvalidConfig` if a file cannot be read, or one of `tls_cert` and `tls_key` stands alone.
    pub fn from_url(url: &mut ServiceUrl) -> Result<Self, BackendError> {
        let mut tls = Self::new();
        if let Some(authorities) = url.take_option("tls_ca") {
            tls = tls.authorities_file(authorities)?;
        }
        if let Some(name) = url.take_option("tls_server_name") {
            tls = tls.server_name(name);
        }
        match (url.take_option("tls_cert"), url.take_option("tls_key")) {
            (Some(certificate), Some(key)) => tls.identity_files(certificate, key),
            (None, None) => Ok(tls),
            _ => {
                let message = "the URL's options tls_cert and tls_key go together";
                Err(BackendError::new(BackendErrorKind::InvalidConfig, message))
            }
        }
    }

    /// The certificate and the key that it shows to servers that ask for one, in PEM.
    pub fn shown(&self) -> Option<(&[u8], &[u8])> {
        self.identity.as_ref().map(|(certificates, key)| (&**certificates, &**key))
    }

    /// The authorities that it trusts, in PEM, if it is not those of the system.
    pub fn trusted(&self) -> Option<&[u8]> {
        self.authorities.as_deref()
    }

    /// Whether it shows a certificate to servers that ask for one.
    pub fn has_identity(&self) -> bool {
        self.identity.is_some()
    }

    /// The name that the certificates have to be for, if it is not the host's.
    pub fn expected_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }
}

/// Shows neither keys nor certificates.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("authorities", &if self.authorities.is_some() { "given" } else { "the system's" })
            .field("identity", &self.identity.is_some())
            .field("server_name", &self.server_name)
            .finish()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, BackendError> {
    std::fs::read(path).map_err(|error| {
        let message = format!("cannot read {}: {error}", path.display());
        BackendError::new(BackendErrorKind::InvalidConfig, message).with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let error = Tls::new().authorities_file("/nowhere/ca.pem").unwrap_err();
        assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");
        assert_eq!(error.kind(), BackendErrorKind::InvalidConfig);
    }

    #[test]
    fn a_url_says_it() {
        let from = |options: &str| {
            let mut url = ServiceUrl::parse(&format!("a://b?{options}")).unwrap();
            Tls::from_url(&mut url).and_then(|tls| url.finish().map(|()| tls))
        };
        assert_eq!(from("").unwrap(), Tls::new());
        assert_eq!(from("tls_server_name=etcd.internal").unwrap(), Tls::new().server_name("etcd.internal"));
        for (options, named) in [
            ("tls_ca=/nowhere/ca.pem", "/nowhere/ca.pem"),
            ("tls_cert=a.pem", "tls_key"),
            ("tls_key=a.pem", "tls_cert"),
            ("tls_cert=/nowhere/a.pem&tls_key=b", "/nowhere/a.pem"),
        ] {
            let error = from(options).unwrap_err();
            assert!(error.to_string().contains(named), "{error}");
        }
    }

    #[test]
    fn no_key_is_shown() {
        let tls = Tls::new().identity("certificate", "hunter2");
        assert!(tls.has_identity() && !format!("{tls:?}").contains("hunter2"));
    }
}

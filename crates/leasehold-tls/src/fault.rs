//! What is wrong with a connection that could not be secured.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use leasehold_core::BackendErrorKind;
use tokio_rustls::rustls::{self, AlertDescription, CertificateError};

/// Why a connection was not secured, for programs: it is among the [sources](StdError::source) of the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsFault {
    /// The server's certificate is by an authority that is not trusted.
    UnknownAuthority,
    /// The server's certificate is for another host.
    OtherHost,
    /// The server's certificate has expired.
    Expired,
    /// The server's certificate is not valid yet.
    NotYetValid,
    /// The server's certificate cannot be used, for another reason.
    UnusableCertificate,
    /// The server asks for a certificate of ours, and none was given.
    OurCertificateMissing,
    /// The server does not accept the certificate that was shown.
    OurCertificateRefused,
    /// The server does not speak TLS.
    NotTls,
    /// The two sides did not agree on how to secure the connection.
    NoAgreement,
    /// The connection ended before it was secured.
    Interrupted,
}

impl TlsFault {
    /// What an error of the handshake, or of the first answer after it, means. `shown` says whether we have a certificate to show.
    pub fn of(error: &io::Error, shown: bool) -> Self {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        cause.map_or(TlsFault::Interrupted, |cause| Self::of_rustls(cause, shown))
    }

    fn of_rustls(error: &rustls::Error, shown: bool) -> Self {
        use CertificateError as Flaw;
        match error {
            rustls::Error::InvalidCertificate(flaw) => match flaw {
                Flaw::UnknownIssuer | Flaw::BadSignature => TlsFault::UnknownAuthority,
                Flaw::NotValidForName | Flaw::NotValidForNameContext { .. } => TlsFault::OtherHost,
                Flaw::Expired | Flaw::ExpiredContext { .. } => TlsFault::Expired,
                Flaw::NotValidYet | Flaw::NotValidYetContext { .. } => TlsFault::NotYetValid,
                _ => TlsFault::UnusableCertificate,
            },
            rustls::Error::AlertReceived(alert) => match alert {
                AlertDescription::ProtocolVersion
                | AlertDescription::InsufficientSecurity
                | AlertDescription::NoApplicationProtocol
                | AlertDescription::UnrecognisedName
                | AlertDescription::InternalError => TlsFault::NoAgreement,
                // A server of TLS 1.2 says of a certificate that is missing that the handshake failed, or that it is bad.
                _ if !shown => TlsFault::OurCertificateMissing,
                _ => TlsFault::OurCertificateRefused,
            },
            rustls::Error::InvalidMessage(_) => TlsFault::NotTls,
            _ => TlsFault::NoAgreement,
        }
    }

    /// The kind of the error that a backend answers.
    pub fn kind(self) -> BackendErrorKind {
        match self {
            TlsFault::UnknownAuthority
            | TlsFault::OtherHost
            | TlsFault::Expired
            | TlsFault::NotYetValid
            | TlsFault::UnusableCertificate => BackendErrorKind::Untrusted,
            TlsFault::OurCertificateMissing | TlsFault::OurCertificateRefused => {
                BackendErrorKind::Unauthenticated
            }
            TlsFault::NotTls | TlsFault::NoAgreement => BackendErrorKind::InvalidConfig,
            TlsFault::Interrupted => BackendErrorKind::Unavailable,
        }
    }
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsFault::UnknownAuthority => "its certificate is by an authority that is not trusted",
            TlsFault::OtherHost => "its certificate is for another host",
            TlsFault::Expired => "its certificate has expired",
            TlsFault::NotYetValid => "its certificate is not valid yet",
            TlsFault::UnusableCertificate => "its certificate cannot be used",
            TlsFault::OurCertificateMissing => "it asks for a certificate of ours",
            TlsFault::OurCertificateRefused => "it does not accept our certificate",
            TlsFault::NotTls => "it does not speak TLS",
            TlsFault::NoAgreement => "the connection cannot be secured",
            TlsFault::Interrupted => "the connection ended before it was secured",
        })
    }
}

impl StdError for TlsFault {}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(error: rustls::Error, shown: bool) -> TlsFault {
        TlsFault::of(&io::Error::new(io::ErrorKind::InvalidData, error), shown)
    }

    #[test]
    fn each_error_has_its_meaning() {
        use BackendErrorKind as Kind;
        use rustls::Error::{AlertReceived, InvalidCertificate};
        for (error, means, kind) in [
            (
                InvalidCertificate(CertificateError::UnknownIssuer),
                TlsFault::UnknownAuthority,
                Kind::Untrusted,
            ),
            (InvalidCertificate(CertificateError::NotValidForName), TlsFault::OtherHost, Kind::Untrusted),
            (InvalidCertificate(CertificateError::Expired), TlsFault::Expired, Kind::Untrusted),
            (InvalidCertificate(CertificateError::NotValidYet), TlsFault::NotYetValid, Kind::Untrusted),
            (InvalidCertificate(CertificateError::Revoked), TlsFault::UnusableCertificate, Kind::Untrusted),
            (AlertReceived(AlertDescription::ProtocolVersion), TlsFault::NoAgreement, Kind::InvalidConfig),
            (rustls::Error::NoApplicationProtocol, TlsFault::NoAgreement, Kind::InvalidConfig),
        ] {
            assert_eq!(fault(error.clone(), false), means, "{error}");
            assert_eq!(means.kind(), kind, "{means}");
        }
        let bad = || AlertReceived(AlertDescription::BadCertificate);
        assert_eq!(fault(bad(), false), TlsFault::OurCertificateMissing);
        assert_eq!(fault(bad(), true), TlsFault::OurCertificateRefused);
        assert_eq!(TlsFault::of(&io::ErrorKind::ConnectionReset.into(), true), TlsFault::Interrupted);
        assert_eq!(TlsFault::Interrupted.kind(), Kind::Unavailable);
        assert_eq!(TlsFault::OurCertificateMissing.kind(), Kind::Unauthenticated);
    }
}

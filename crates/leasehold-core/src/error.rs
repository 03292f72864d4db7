//! The errors that applications see.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use crate::backend_error::{BackendError, BackendErrorKind};
use crate::liveness::LossReason;

/// What went wrong, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The name cannot be used; the source says why.
    InvalidName,
    /// The URL or an option cannot work.
    InvalidConfig,
    /// An argument cannot work: no permits, no parties, a lock named twice, something held over another coordinator.
    InvalidArgument,
    /// Others use the name with other parameters: another limit of a semaphore, another number of parties.
    Mismatch,
    /// Others that this one depends on are gone: a party of a barrier died.
    PeerLost,
    /// A write was sent and its answer lost: it may have been applied or not.
    Indeterminate,
    /// No backend has the URL's scheme.
    UnknownScheme,
    /// Two backends would have the same scheme.
    SchemeTaken,
    /// The backend of the URL's scheme was not compiled in.
    FeatureNotEnabled,
    /// The service was not reached in time. Nothing is held.
    Unavailable,
    /// The server could not prove to be the one that was meant, by its certificate: another authority has signed it, it is for
    /// another host, it has expired. Nothing was told to it.
    Untrusted,
    /// The service does not accept the credentials.
    Unauthenticated,
    /// The service does not allow it to this user.
    PermissionDenied,
    /// A value is larger than the service takes, or the service is full.
    TooLarge,
    /// What was held is held no longer.
    Lost,
    /// The coordinator is shut down or shutting down.
    Closed,
    /// The service, or what was asked, cannot do this.
    Unsupported,
    /// The service answered something that makes no sense.
    Corrupt,
    /// The runtime that the coordinator's driver ran on is gone.
    DriverGone,
}

/// Why an operation failed: a kind, what was tried, on which name, over which backend.
///
/// `Display` is one line without the source; walk [`std::error::Error::source`] for the rest.
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    operation: &'static str,
    detail: String,
    name: Option<Arc<str>>,
    backend: Option<&'static str>,
    loss: Option<LossReason>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of an operation such as `connect`.
    pub fn new(kind: ErrorKind, operation: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, operation, detail: detail.into(), name: None, backend: None, loss: None, source: None }
    }

    /// An error with a backend's error behind it, of the kind that it has for an application.
    pub fn from_backend(operation: &'static str, error: Arc<BackendError>) -> Self {
        let kind = match error.kind() {
            BackendErrorKind::Unavailable => ErrorKind::Unavailable,
            // The engine resolves it for entries; a write of a register it cannot.
            BackendErrorKind::Indeterminate => ErrorKind::Indeterminate,
            BackendErrorKind::SessionLost | BackendErrorKind::Withdrawn | BackendErrorKind::NoEntry => {
                ErrorKind::Lost
            }
            BackendErrorKind::Untrusted => ErrorKind::Untrusted,
            BackendErrorKind::Unauthenticated => ErrorKind::Unauthenticated,
            BackendErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
            BackendErrorKind::TooLarge => ErrorKind::TooLarge,
            BackendErrorKind::InvalidConfig => ErrorKind::InvalidConfig,
            BackendErrorKind::Corrupt => ErrorKind::Corrupt,
            BackendErrorKind::Unsupported => ErrorKind::Unsupported,
        };
        let detail = error.to_string();
        Self { source: Some(error), ..Self::new(kind, operation, detail) }
    }

    /// What `operation` answers if what it needs is held no longer.
    pub fn lost(operation: &'static str, reason: LossReason) -> Self {
        Self { loss: Some(reason), ..Self::new(ErrorKind::Lost, operation, reason.to_string()) }
    }

    /// The same for a named lock.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The same of a member of something.
    pub(crate) fn of_member(mut self, label: &str) -> Self {
        self.detail = format!("member {:?}: {}", Shortened(label), self.detail);
        self
    }

    /// The same on a backend.
    #[must_use]
    pub fn with_backend(mut self, backend: &'static str) -> Self {
        self.backend = Some(backend);
        self
    }

    /// The same with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later, with nothing changed.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable | ErrorKind::Lost)
    }

    /// What went wrong, without what it was tried on.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// The same in other words.
    pub(crate) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// The name of the lock.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The backend.
    pub fn backend(&self) -> Option<&'static str> {
        self.backend
    }

    /// Why the lock was lost, for [`ErrorKind::Lost`].
    pub fn loss_reason(&self) -> Option<LossReason> {
        self.loss
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.operation)?;
        if let Some(name) = &self.name {
            write!(f, " {:?}", Shortened(name))?;
        }
        if let Some(backend) = self.backend {
            write!(f, " on {backend}")?;
        }
        write!(f, ": {}", self.detail)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}: {self}", self.kind)?;
        let mut source = self.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        f.write_str(")")
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        // A backend's error gave its text to `detail` already; its own source comes next.
        let source = self.source.as_deref()?;
        match source.downcast_ref::<BackendError>() {
            Some(error) => error.source(),
            None => Some(source),
        }
    }
}

/// A name as errors show it: one that is far too long is cut.
struct Shortened<'a>(&'a str);

impl fmt::Debug for Shortened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(80) {
            Some((end, _)) => write!(f, "{:?}…", &self.0[..end]),
            None => fmt::Debug::fmt(self.0, f),
        }
    }
}

/// Why a release did not end as it should.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ReleaseError {
    /// The lock was lost before it was released: what was done last may have been done without it.
    Lost(Error),
    /// The service did not confirm the release in time. The removal goes on in the background; at the latest the entry
    /// goes with the session, within the TTL after this process ends.
    Unknown(Error),
}

impl ReleaseError {
    /// The error inside.
    pub fn error(&self) -> &Error {
        match self {
            ReleaseError::Lost(error) | ReleaseError::Unknown(error) => error,
        }
    }

    pub(crate) fn of_member(self, label: &str) -> Self {
        match self {
            ReleaseError::Lost(error) => ReleaseError::Lost(error.of_member(label)),
            ReleaseError::Unknown(error) => ReleaseError::Unknown(error.of_member(label)),
        }
    }

    /// Whether the lock was lost before the release.
    pub fn is_lost(&self) -> bool {
        matches!(self, ReleaseError::Lost(_))
    }
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error().fmt(f)
    }
}

impl StdError for ReleaseError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.error().source()
    }
}

impl From<ReleaseError> for Error {
    fn from(error: ReleaseError) -> Self {
        match error {
            ReleaseError::Lost(error) | ReleaseError::Unknown(error) => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_operation_lock_backend_and_cause_once() {
        let client = std::io::Error::other("connection refused");
        let backend = BackendError::new(BackendErrorKind::Unavailable, "no answer from 127.0.0.1:1")
            .with_source(client);
        let error = Error::from_backend("lock", Arc::new(backend)).with_name("users").with_backend("etcd");
        assert_eq!(error.to_string(), "lock \"users\" on etcd: no answer from 127.0.0.1:1");
        assert_eq!(error.source().unwrap().to_string(), "connection refused");
        assert!(error.is_retryable() && error.kind() == ErrorKind::Unavailable);
        assert_eq!((error.name(), error.backend()), (Some("users"), Some("etcd")));
    }

    #[test]
    fn a_name_cannot_break_the_line_or_flood_it() {
        let error = Error::new(ErrorKind::InvalidName, "lock", "bad")
            .with_name("a\nb".to_string() + &"x".repeat(10_000));
        let line = error.to_string();
        assert!(!line.contains('\n') && line.len() < 120, "{line}");
    }
}

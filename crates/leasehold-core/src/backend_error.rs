//! What a backend's operation can fail with.

use std::error::Error as StdError;
use std::fmt;

/// How an operation of a backend failed, and so what the engine may do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BackendErrorKind {
    /// The service was not reached, or refused before doing anything: certainly not applied, worth another try.
    Unavailable,
    /// The request may have been applied, or may still be applied later: its reply was lost.
    Indeterminate,
    /// The session is over.
    SessionLost,
    /// The attempt was withdrawn before; its enqueue has not been and will not be applied.
    Withdrawn,
    /// The attempt has no entry (any more).
    NoEntry,
    /// The server could not prove to be the one that was meant: by its certificate.
    Untrusted,
    /// The service does not accept who we are.
    Unauthenticated,
    /// The service does not allow it to us.
    PermissionDenied,
    /// A value is larger than the service takes, or the service is full.
    TooLarge,
    /// The configuration cannot work: no such host name syntax, a TTL that the service refuses.
    InvalidConfig,
    /// The service answered something that breaks its protocol, or holds data that is not of our making.
    Corrupt,
    /// The service cannot do this; see the backend's capabilities.
    Unsupported,
}

/// The failure of a backend's operation.
///
/// Every client error is mapped explicitly; what cannot be told apart from "applied" is
/// [`BackendErrorKind::Indeterminate`], never [`BackendErrorKind::Unavailable`].
pub struct BackendError {
    kind: BackendErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl BackendError {
    /// An error that says what was tried and what went wrong. Secrets never belong into `message`.
    pub fn new(kind: BackendErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same with the client's error behind it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same kind and message, for another one who waits for the same. The client's error stays with the first.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self::new(self.kind, self.message.clone())
    }

    /// How it failed.
    pub fn kind(&self) -> BackendErrorKind {
        self.kind
    }

    /// Whether the same request may succeed later on the same session.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, BackendErrorKind::Unavailable | BackendErrorKind::Indeterminate)
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BackendError({:?}: {}", self.kind, self.message)?;
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        f.write_str(")")
    }
}

impl StdError for BackendError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

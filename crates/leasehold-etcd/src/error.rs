//! What the client's errors mean.
//!
//! The one question that matters is whether a request may have been applied. A status that the server sent in answer to a
//! request is recognised by its text, which etcd keeps stable (its own clients compare it); a status that the
//! transport made has a source. Whatever is not known to be a refusal counts as unanswered.

use std::error::Error as StdError;

use etcd_client::Error;
use leasehold_core::{BackendError, BackendErrorKind};
use tonic::{Code, ConnectError, Status};

/// What a request does at the service, and so what a lost reply means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Read,
    Write,
}

impl Effect {
    /// What a request is that nobody answered.
    pub(crate) fn unanswered(self) -> BackendErrorKind {
        match self {
            Effect::Read => BackendErrorKind::Unavailable,
            Effect::Write => BackendErrorKind::Indeterminate,
        }
    }
}

/// What an error of the client says about the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// There was no connection to send it over.
    NotSent,
    /// The server refused it, since it changed users or roles after the token was given. A new token helps.
    StaleToken,
    /// The server refused it.
    Refused(BackendErrorKind),
    /// It may have been applied.
    Unanswered,
}

impl Meaning {
    pub(crate) fn of(error: &Error) -> Self {
        use BackendErrorKind as Kind;
        match error {
            Error::GRpcStatus(status) => Self::of_status(status),
            // Made before anything is sent, from what we were configured with.
            Error::InvalidArgs(_) | Error::InvalidUri(_) | Error::TransportError(_) => {
                Meaning::Refused(Kind::InvalidConfig)
            }
            // The client could not tell its own channel of the endpoints.
            Error::EndpointError(_) | Error::EndpointsNotManaged | Error::Internal(_) => Meaning::NotSent,
            Error::Utf8Error(_) | Error::InvalidMetadataValue(_) | Error::ElectError(_) => {
                Meaning::Refused(Kind::Corrupt)
            }
            // A stream that ended.
            Error::IoError(_) | Error::WatchError(_) | Error::LeaseKeepAliveError(_) => Meaning::Unanswered,
            // The client has one more variant if somebody else in the build asks it for OpenSSL.
            #[allow(unreachable_patterns)]
            _ => Meaning::Refused(Kind::InvalidConfig),
        }
    }

    fn of_status(status: &Status) -> Self {
        if sources(status).any(|source| source.is::<ConnectError>()) {
            return Meaning::NotSent;
        }
        if status.source().is_some() {
            return Meaning::Unanswered;
        }
        Self::of_message(status.message()).unwrap_or_else(|| Self::of_code(status.code()))
    }

    /// By the texts of `rpctypes` of etcd 3.4 to 3.6.
    fn of_message(message: &str) -> Option<Self> {
        use BackendErrorKind as Kind;
        // The server's own limit, checked before it looks at the request.
        if message.starts_with("grpc: received message larger than max") {
            return Some(Meaning::Refused(Kind::TooLarge));
        }
        Some(match message.strip_prefix("etcdserver: ")? {
            "requested lease not found" => Meaning::Refused(Kind::SessionLost),
            "request is too large" | "mvcc: database space exceeded" => Meaning::Refused(Kind::TooLarge),
            // Refused before it was proposed; they pass.
            "too many requests" | "no leader" | "not capable" => Meaning::Refused(Kind::Unavailable),
            // Of a listing in several pages; it starts anew.
            "mvcc: required revision has been compacted" | "mvcc: required revision is a future revision" => {
                Meaning::Refused(Kind::Unavailable)
            }
            "user name is empty"
            | "authentication failed, invalid user ID or password"
            | "invalid auth token"
            | "invalid auth management" => Meaning::Refused(Kind::Unauthenticated),
            "revision of auth store is old" => Meaning::StaleToken,
            "permission denied" => Meaning::Refused(Kind::PermissionDenied),
            "authentication is not enabled" | "too large lease TTL" => Meaning::Refused(Kind::InvalidConfig),
            "corrupt cluster" => Meaning::Refused(Kind::Corrupt),
            _ => return None,
        })
    }

    fn of_code(code: Code) -> Self {
        use BackendErrorKind as Kind;
        match code {
            Code::Unauthenticated => Meaning::Refused(Kind::Unauthenticated),
            Code::PermissionDenied => Meaning::Refused(Kind::PermissionDenied),
            Code::Unimplemented => Meaning::Refused(Kind::Unsupported),
            // Refusals that our requests do not provoke, or answers that cannot be decoded.
            Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::DataLoss
            | Code::Ok => Meaning::Refused(Kind::Corrupt),
            // Among them: time-outs of the server's own, a stop, a change of leader after the proposal.
            Code::Unavailable
            | Code::Unknown
            | Code::Internal
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::ResourceExhausted => Meaning::Unanswered,
        }
    }

    pub(crate) fn kind(self, effect: Effect) -> BackendErrorKind {
        match self {
            Meaning::NotSent | Meaning::StaleToken => BackendErrorKind::Unavailable,
            Meaning::Refused(kind) => kind,
            Meaning::Unanswered => effect.unanswered(),
        }
    }
}

/// What it means that a watch was not created, for a reason in the words of `etcd`, which may stand behind those of gRPC.
pub(crate) fn refusal(reason: &str) -> BackendErrorKind {
    let own_words = reason.find("etcdserver: ").map_or(reason, |at| &reason[at..]);
    Meaning::of_message(own_words).map_or(BackendErrorKind::Corrupt, |meaning| meaning.kind(Effect::Read))
}

/// The error of a request that `what` describes.
pub(crate) fn backend_error(what: &str, endpoint: &str, error: Error, effect: Effect) -> BackendError {
    let kind = Meaning::of(&error).kind(effect);
    BackendError::new(kind, format!("{what}: etcd at {endpoint}: {}", detail(&error))).with_source(error)
}

/// An answer that breaks the protocol.
pub(crate) fn corrupt(what: &str) -> BackendError {
    BackendError::new(BackendErrorKind::Corrupt, format!("{what}: etcd's answer is not of the expected form"))
}

/// The error where the session is known to be over.
pub(crate) fn session_over(what: &str) -> BackendError {
    BackendError::new(BackendErrorKind::SessionLost, format!("{what}: the session is over"))
}

/// What went wrong in the words of whoever noticed it: the innermost error says more than "transport error".
fn detail(error: &Error) -> String {
    match error {
        Error::GRpcStatus(status) => match sources(status).last() {
            Some(cause) => cause.to_string(),
            None => status.message().to_owned(),
        },
        other => other.to_string(),
    }
}

fn sources<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(error.source(), |error: &&'a (dyn StdError + 'static)| (*error).source())
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::*;
    use BackendErrorKind as Kind;

    fn by_server(code: Code, message: &str) -> Error {
        Error::GRpcStatus(Status::new(code, message))
    }

    fn by_transport(code: Code, source: impl StdError + Send + Sync + 'static) -> Error {
        let mut status = Status::new(code, "transport error");
        status.set_source(Arc::new(source));
        Error::GRpcStatus(status)
    }

    #[test]
    fn every_error_has_its_kind() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
        // What came | kind of a write | kind of a read.
        let table = [
            (
                by_server(Code::NotFound, "etcdserver: requested lease not found"),
                Kind::SessionLost,
                Kind::SessionLost,
            ),
            (
                by_server(Code::InvalidArgument, "etcdserver: request is too large"),
                Kind::TooLarge,
                Kind::TooLarge,
            ),
            (
                by_server(Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded"),
                Kind::TooLarge,
                Kind::TooLarge,
            ),
            (
                by_server(Code::ResourceExhausted, "grpc: received message larger than max (3 vs. 2)"),
                Kind::TooLarge,
                Kind::TooLarge,
            ),
            (
                by_server(Code::ResourceExhausted, "etcdserver: too many requests"),
                Kind::Unavailable,
                Kind::Unavailable,
            ),
            (by_server(Code::Unavailable, "etcdserver: no leader"), Kind::Unavailable, Kind::Unavailable),
            (
                by_server(Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted"),
                Kind::Unavailable,
                Kind::Unavailable,
            ),
            (
                by_server(
                    Code::InvalidArgument,
                    "etcdserver: authentication failed, invalid user ID or password",
                ),
                Kind::Unauthenticated,
                Kind::Unauthenticated,
            ),
            (
                by_server(Code::InvalidArgument, "etcdserver: user name is empty"),
                Kind::Unauthenticated,
                Kind::Unauthenticated,
            ),
            (
                by_server(Code::Unauthenticated, "etcdserver: invalid auth token"),
                Kind::Unauthenticated,
                Kind::Unauthenticated,
            ),
            (
                by_server(Code::InvalidArgument, "etcdserver: revision of auth store is old"),
                Kind::Unavailable,
                Kind::Unavailable,
            ),
            (
                by_server(Code::PermissionDenied, "etcdserver: permission denied"),
                Kind::PermissionDenied,
                Kind::PermissionDenied,
            ),
            (
                by_server(Code::FailedPrecondition, "etcdserver: authentication is not enabled"),
                Kind::InvalidConfig,
                Kind::InvalidConfig,
            ),
            (
                by_server(Code::OutOfRange, "etcdserver: too large lease TTL"),
                Kind::InvalidConfig,
                Kind::InvalidConfig,
            ),
            (by_server(Code::DataLoss, "etcdserver: corrupt cluster"), Kind::Corrupt, Kind::Corrupt),
            (by_server(Code::Unimplemented, "unknown method"), Kind::Unsupported, Kind::Unsupported),
            (
                by_server(Code::InvalidArgument, "etcdserver: key is not provided"),
                Kind::Corrupt,
                Kind::Corrupt,
            ),
            // The server gave up waiting for its own proposal, which may still be applied.
            (
                by_server(Code::Unavailable, "etcdserver: request timed out"),
                Kind::Indeterminate,
                Kind::Unavailable,
            ),
            (
                by_server(Code::Unavailable, "etcdserver: server stopped"),
                Kind::Indeterminate,
                Kind::Unavailable,
            ),
            (
                by_server(Code::Unavailable, "etcdserver: leader changed"),
                Kind::Indeterminate,
                Kind::Unavailable,
            ),
            (by_server(Code::Unknown, "context canceled"), Kind::Indeterminate, Kind::Unavailable),
            (by_server(Code::Internal, "stream terminated"), Kind::Indeterminate, Kind::Unavailable),
            (by_server(Code::DeadlineExceeded, "late"), Kind::Indeterminate, Kind::Unavailable),
            (by_server(Code::Aborted, "?"), Kind::Indeterminate, Kind::Unavailable),
            (by_server(Code::Cancelled, "Timeout expired"), Kind::Indeterminate, Kind::Unavailable),
            // The transport's words for a code do not make it the server's answer.
            (by_transport(Code::Unavailable, reset()), Kind::Indeterminate, Kind::Unavailable),
            (by_transport(Code::ResourceExhausted, reset()), Kind::Indeterminate, Kind::Unavailable),
            (by_transport(Code::PermissionDenied, reset()), Kind::Indeterminate, Kind::Unavailable),
            (
                by_transport(Code::Unavailable, ConnectError(Box::new(refused()))),
                Kind::Unavailable,
                Kind::Unavailable,
            ),
            (Error::WatchError("closed".into()), Kind::Indeterminate, Kind::Unavailable),
            (Error::LeaseKeepAliveError("closed".into()), Kind::Indeterminate, Kind::Unavailable),
            (Error::IoError(reset()), Kind::Indeterminate, Kind::Unavailable),
            (Error::InvalidArgs("empty endpoints".into()), Kind::InvalidConfig, Kind::InvalidConfig),
            (Error::Internal("closed".into()), Kind::Unavailable, Kind::Unavailable),
            (Error::EndpointsNotManaged, Kind::Unavailable, Kind::Unavailable),
            (Error::ElectError("?".into()), Kind::Corrupt, Kind::Corrupt),
        ];
        for (error, write, read) in table {
            assert_eq!(Meaning::of(&error).kind(Effect::Write), write, "write: {error:?}");
            assert_eq!(Meaning::of(&error).kind(Effect::Read), read, "read: {error:?}");
        }
    }

    #[test]
    fn refusals_of_watches_are_told_apart() {
        for (reason, kind) in [
            (
                "rpc error: code = PermissionDenied desc = etcdserver: permission denied",
                Kind::PermissionDenied,
            ),
            ("etcdserver: permission denied", Kind::PermissionDenied),
            (
                "rpc error: code = InvalidArgument desc = etcdserver: user name is empty",
                Kind::Unauthenticated,
            ),
            (
                "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token",
                Kind::Unauthenticated,
            ),
            ("etcdserver: no leader", Kind::Unavailable),
            ("", Kind::Corrupt),
        ] {
            assert_eq!(refusal(reason), kind, "{reason}");
        }
    }

    #[test]
    fn the_message_names_the_request_the_endpoint_and_the_innermost_cause() {
        let refused =
            ConnectError(Box::new(io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused")));
        let error =
            backend_error("lease grant", "a:1", by_transport(Code::Unavailable, refused), Effect::Write);
        assert_eq!(error.to_string(), "lease grant: etcd at a:1: connection refused");
    }
}

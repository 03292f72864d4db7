//! What the client crate's errors mean for the contract.

use leasehold_core::{BackendError, BackendErrorKind};
use zookeeper_client::{Error, MultiWriteError};

/// Whether the request that failed would have changed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It only reads: without an answer, nothing has happened.
    Reads,
    /// It writes: without an answer, it may have been applied.
    Writes,
}

/// What an error of the client crate means.
///
/// The client reports a connection that was closed in an orderly way as `ConnectionLoss`; a reset, a failed write and an
/// idle time-out come as `Custom`. All of these leave a write in doubt, even one that was never sent.
pub(crate) fn kind_of(error: &Error, effect: Effect) -> BackendErrorKind {
    let unanswered = |otherwise| match effect {
        Effect::Reads => otherwise,
        Effect::Writes => BackendErrorKind::Indeterminate,
    };
    match error {
        // The reply was lost, or there was none.
        Error::ConnectionLoss | Error::Custom(_) | Error::Timeout => {
            unanswered(BackendErrorKind::Unavailable)
        }
        // There was a reply, but it cannot be read; or the client ended without giving one.
        Error::UnmarshalError { .. } | Error::UnexpectedError(_) | Error::UnexpectedErrorCode(_) => {
            unanswered(BackendErrorKind::Corrupt)
        }
        // Refused before anything was done, and it may work later or on another server.
        Error::NoHosts | Error::SessionMoved | Error::NotReadOnly | Error::Throttled => {
            BackendErrorKind::Unavailable
        }
        // The session is over, and every request after its end is refused.
        Error::SessionExpired | Error::ClientClosed => BackendErrorKind::SessionLost,
        Error::AuthFailed => BackendErrorKind::Unauthenticated,
        Error::NoAuth => BackendErrorKind::PermissionDenied,
        Error::InvalidAcl | Error::BadArguments(_) => BackendErrorKind::InvalidConfig,
        Error::QuotaExceeded => BackendErrorKind::TooLarge,
        Error::Unimplemented | Error::ReconfigDisabled => BackendErrorKind::Unsupported,
        // Answers about the state of nodes that the operations handle where they can mean something; elsewhere
        // the tree is not as this backend makes it.
        Error::NoNode
        | Error::BadVersion
        | Error::NoChildrenForEphemerals
        | Error::NodeExists
        | Error::NotEmpty
        | Error::NoWatcher
        | Error::MarshallingError
        | Error::RuntimeInconsistent => BackendErrorKind::Corrupt,
        // The client's list of errors is open: a new one is not known to leave a write unapplied.
        _ => unanswered(BackendErrorKind::Corrupt),
    }
}

/// Whether the server has decided: nothing of the request will happen any more.
pub(crate) fn is_decided(error: &Error) -> bool {
    kind_of(error, Effect::Writes) != BackendErrorKind::Indeterminate
}

/// The contract's error for an error of the client crate.
pub(crate) fn failed(what: &str, effect: Effect, error: Error) -> BackendError {
    let kind = kind_of(&error, effect);
    let message = match kind {
        BackendErrorKind::InvalidConfig if error == Error::InvalidAcl => {
            format!(
                "{what}: ZooKeeper knows us as no user, or not the scheme of one whom the nodes are given to"
            )
        }
        BackendErrorKind::Unavailable => format!("{what}: no ZooKeeper server took the request"),
        BackendErrorKind::Indeterminate => format!("{what}: the reply was lost"),
        BackendErrorKind::SessionLost => format!("{what}: the ZooKeeper session is over"),
        BackendErrorKind::Unauthenticated => format!("{what}: ZooKeeper does not accept the credentials"),
        BackendErrorKind::PermissionDenied => format!("{what}: ZooKeeper does not permit it"),
        _ => format!("{what}: ZooKeeper answered with an error"),
    };
    BackendError::new(kind, message).with_source(error)
}

/// Which operation of a transaction failed, or why the whole did.
pub(crate) fn split(error: MultiWriteError) -> (Option<usize>, Error) {
    match error {
        MultiWriteError::OperationFailed { index, source } => (Some(index), source),
        MultiWriteError::RequestFailed { source } => (None, source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use BackendErrorKind as Kind;

    #[test]
    fn every_error_has_its_meaning() {
        let table = [
            (Error::ConnectionLoss, Kind::Unavailable, Kind::Indeterminate),
            (Error::Timeout, Kind::Unavailable, Kind::Indeterminate),
            (Error::UnexpectedError("?".into()), Kind::Corrupt, Kind::Indeterminate),
            (Error::UnexpectedErrorCode(-1), Kind::Corrupt, Kind::Indeterminate),
            (Error::UnmarshalError { entity: "stat", reason: &"short" }, Kind::Corrupt, Kind::Indeterminate),
            (Error::NoHosts, Kind::Unavailable, Kind::Unavailable),
            (Error::SessionMoved, Kind::Unavailable, Kind::Unavailable),
            (Error::NotReadOnly, Kind::Unavailable, Kind::Unavailable),
            (Error::Throttled, Kind::Unavailable, Kind::Unavailable),
            (Error::SessionExpired, Kind::SessionLost, Kind::SessionLost),
            (Error::ClientClosed, Kind::SessionLost, Kind::SessionLost),
            (Error::AuthFailed, Kind::Unauthenticated, Kind::Unauthenticated),
            (Error::NoAuth, Kind::PermissionDenied, Kind::PermissionDenied),
            (Error::InvalidAcl, Kind::InvalidConfig, Kind::InvalidConfig),
            (Error::BadArguments(&"?"), Kind::InvalidConfig, Kind::InvalidConfig),
            (Error::QuotaExceeded, Kind::TooLarge, Kind::TooLarge),
            (Error::Unimplemented, Kind::Unsupported, Kind::Unsupported),
            (Error::ReconfigDisabled, Kind::Unsupported, Kind::Unsupported),
            (Error::NoNode, Kind::Corrupt, Kind::Corrupt),
            (Error::BadVersion, Kind::Corrupt, Kind::Corrupt),
            (Error::NoChildrenForEphemerals, Kind::Corrupt, Kind::Corrupt),
            (Error::NodeExists, Kind::Corrupt, Kind::Corrupt),
            (Error::NotEmpty, Kind::Corrupt, Kind::Corrupt),
            (Error::NoWatcher, Kind::Corrupt, Kind::Corrupt),
            (Error::MarshallingError, Kind::Corrupt, Kind::Corrupt),
            (Error::RuntimeInconsistent, Kind::Corrupt, Kind::Corrupt),
        ];
        for (error, read, write) in table {
            assert_eq!(kind_of(&error, Effect::Reads), read, "{error}");
            assert_eq!(kind_of(&error, Effect::Writes), write, "{error}");
            assert_eq!(is_decided(&error), write != Kind::Indeterminate, "{error}");
        }
    }
}

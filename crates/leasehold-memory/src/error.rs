//! The errors of the service and of the way to it.

use leasehold_core::{BackendError, BackendErrorKind};

use crate::fault::Operation;

/// The service was not reached, or refused before it did anything.
pub(crate) fn unavailable(operation: Operation) -> BackendError {
    BackendError::new(
        BackendErrorKind::Unavailable,
        format!("{operation}: the memory service is not reachable"),
    )
}

/// The service refuses it, now and later.
pub(crate) fn denied(operation: Operation) -> BackendError {
    BackendError::new(
        BackendErrorKind::PermissionDenied,
        format!("{operation}: the memory service refuses it"),
    )
}

/// Nobody can tell whether the service has done it, or will.
pub(crate) fn indeterminate(operation: Operation) -> BackendError {
    BackendError::new(
        BackendErrorKind::Indeterminate,
        format!("{operation}: no reply from the memory service"),
    )
}

pub(crate) fn session_lost() -> BackendError {
    BackendError::new(BackendErrorKind::SessionLost, "the session is over")
}

/// For an earlier incarnation of a session that another process has resumed.
pub(crate) fn superseded() -> BackendError {
    BackendError::new(BackendErrorKind::SessionLost, "another process resumed the session")
}

pub(crate) fn too_large(bytes: usize) -> BackendError {
    BackendError::new(
        BackendErrorKind::TooLarge,
        format!("a value of {bytes} bytes; the memory service takes {}", crate::backend::MAX_VALUE_BYTES),
    )
}

//! What the server's and the client's errors mean.
//!
//! The one question that matters is whether a request may have been applied. An answer of the server that is an error undid the
//! transaction. Without an answer, a request that was sent may have been applied. Nothing is repeated here; whether a
//! connection is used again is decided by [`Meaning::breaks_connection`].

use leasehold_core::{BackendError, BackendErrorKind};
use tokio_postgres::Error;

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

/// What an error says about the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The server refused it.
    Refused(BackendErrorKind),
    /// The server refused it, and may be the wrong one by now: a new connection may help.
    RefusedHere(BackendErrorKind),
    /// It may have been applied.
    Unanswered,
}

impl Meaning {
    /// Of an error of a request over a connection that was there.
    pub(crate) fn of(error: &Error) -> Self {
        match error.as_db_error() {
            Some(answer) => Self::of_state(answer.code().code()),
            None => Meaning::Unanswered,
        }
    }

    /// Of an answer, by its SQLSTATE.
    fn of_state(state: &str) -> Self {
        use BackendErrorKind as Kind;
        match state {
            // It is not up, or has no room.
            "57P03" | "53300" => Meaning::RefusedHere(Kind::Unavailable),
            "28000" | "28P01" => Meaning::RefusedHere(Kind::Unauthenticated),
            // There is no such database; there is no layout.
            "3D000" | "57P04" => Meaning::RefusedHere(Kind::InvalidConfig),
            "3F000" | "42P01" | "42883" => Meaning::Refused(Kind::InvalidConfig),
            "42501" => Meaning::Refused(Kind::PermissionDenied),
            // A server that is shut down may say so after the commit.
            "40003" | "57P01" | "57P02" => Meaning::Unanswered,
            "40001" | "40P01" | "55P03" | "57014" | "54000" => Meaning::Refused(Kind::Unavailable),
            "53100" => Meaning::Refused(Kind::TooLarge),
            // A replica: it was the primary before a failover, or will be one.
            "25006" => Meaning::RefusedHere(Kind::Unavailable),
            // A pooler in between, or another service that speaks the protocol.
            "26000" | "42P05" | "0A000" => Meaning::RefusedHere(Kind::Unsupported),
            _ => match state.get(..2) {
                Some("53" | "58") => Meaning::Refused(Kind::Unavailable),
                Some("22" | "23" | "42") => Meaning::Refused(Kind::Corrupt),
                // Class 08, and what is not listed: it may be anything.
                _ => Meaning::Unanswered,
            },
        }
    }

    /// Whether the connection must not be used again.
    pub(crate) fn breaks_connection(self) -> bool {
        matches!(self, Meaning::Unanswered | Meaning::RefusedHere(_))
    }

    fn kind(self, effect: Effect) -> BackendErrorKind {
        match self {
            Meaning::Refused(kind) | Meaning::RefusedHere(kind) => kind,
            Meaning::Unanswered => effect.unanswered(),
        }
    }
}

/// The error of a request that `what` describes.
pub(crate) fn backend_error(what: &str, endpoint: &str, error: Error, effect: Effect) -> BackendError {
    let kind = Meaning::of(&error).kind(effect);
    let hint = match kind {
        BackendErrorKind::InvalidConfig => "; create the database, and the layout in it (layout.sql)",
        BackendErrorKind::Unsupported => "; is there a pooler that hands connections out by the transaction?",
        _ => "",
    };
    let message = format!("{what}: PostgreSQL at {endpoint}: {}{hint}", detail(&error));
    BackendError::new(kind, message).with_source(error)
}

/// The error of a connection that could not be made: nothing was sent over it.
pub(crate) fn dial_error(what: &str, endpoint: &str, error: Error) -> BackendError {
    if error.as_db_error().is_some() {
        return backend_error(what, endpoint, error, Effect::Read);
    }
    let told = detail(&error);
    let kind = if told.contains("password") || told.contains("authentication") {
        BackendErrorKind::Unauthenticated
    } else if told.contains("invalid configuration") {
        BackendErrorKind::InvalidConfig
    } else {
        BackendErrorKind::Unavailable
    };
    BackendError::new(kind, format!("{what}: PostgreSQL at {endpoint}: {told}")).with_source(error)
}

/// What went wrong, in the words of whoever noticed it.
fn detail(error: &Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(answer), _) => format!("{} (SQLSTATE {})", answer.message(), answer.code().code()),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}

/// An answer that is not of the form that the layout gives.
pub(crate) fn corrupt(what: &str) -> BackendError {
    let message = format!("{what}: PostgreSQL's answer is not of the expected form");
    BackendError::new(BackendErrorKind::Corrupt, message)
}

/// The error where the session is known to be over.
pub(crate) fn session_over(what: &str) -> BackendError {
    BackendError::new(BackendErrorKind::SessionLost, format!("{what}: the session is over"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use BackendErrorKind as Kind;

    #[test]
    fn every_state_has_its_kind() {
        // The states | kind of a write | kind of a read | whether the connection is left.
        let table: &[(&[&str], Kind, Kind, bool)] = &[
            (&["57P03", "53300"], Kind::Unavailable, Kind::Unavailable, true),
            (&["28000", "28P01"], Kind::Unauthenticated, Kind::Unauthenticated, true),
            (&["3D000", "57P04"], Kind::InvalidConfig, Kind::InvalidConfig, true),
            (&["3F000", "42P01", "42883"], Kind::InvalidConfig, Kind::InvalidConfig, false),
            (&["42501"], Kind::PermissionDenied, Kind::PermissionDenied, false),
            (
                &["08000", "08006", "08P01", "40003", "57P01", "57P02"],
                Kind::Indeterminate,
                Kind::Unavailable,
                true,
            ),
            (&["40001", "40P01", "55P03", "57014", "54000"], Kind::Unavailable, Kind::Unavailable, false),
            (&["53000", "53200", "53400", "58000", "58030"], Kind::Unavailable, Kind::Unavailable, false),
            (&["53100"], Kind::TooLarge, Kind::TooLarge, false),
            (&["25006"], Kind::Unavailable, Kind::Unavailable, true),
            (&["26000", "42P05", "0A000"], Kind::Unsupported, Kind::Unsupported, true),
            (&["22001", "23505", "42703", "42P13"], Kind::Corrupt, Kind::Corrupt, false),
            (&["XX000", "P0001", "99999", ""], Kind::Indeterminate, Kind::Unavailable, true),
        ];
        for (states, write, read, breaks) in table {
            for state in *states {
                let meaning = Meaning::of_state(state);
                assert_eq!(meaning.kind(Effect::Write), *write, "write: {state}");
                assert_eq!(meaning.kind(Effect::Read), *read, "read: {state}");
                assert_eq!(meaning.breaks_connection(), *breaks, "{state}");
            }
        }
    }
}

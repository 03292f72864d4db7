//! What the client's errors mean.
//!
//! The one question that matters is whether a request may have been applied. An error reply of the server is an
//! answer: the scripts read before they write and begin their writes with one that is refused whole, so whatever they
//! answer with an error has changed nothing that counts; the exception, in a cluster, is a script that meets a key
//! which is just being moved. Without an answer, a request that was sent may have been applied. Nothing is repeated
//! here; whether a connection is used again is decided by [`Meaning::breaks_connection`].

use std::io;

use leasehold_core::{BackendError, BackendErrorKind};
use redis::{ErrorKind, RedisError};

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
    /// There was no connection to send it over.
    NotSent,
    /// The script is not known to this server: it was restarted, or is another one.
    UnknownScript,
    /// The server refused it.
    Refused(BackendErrorKind),
    /// The server refused it, and may be the wrong one by now, or not know us any more: a new connection may help.
    RefusedHere(BackendErrorKind),
    /// The keys are on another server of the cluster; this one has done nothing.
    Elsewhere,
    /// The keys are just being moved to another server of the cluster; this one has done nothing.
    InTransit,
    /// It may have been applied.
    Unanswered,
}

impl Meaning {
    /// Of an error of a request over a connection that was there.
    pub(crate) fn of(error: &RedisError) -> Self {
        use BackendErrorKind as Kind;
        match error.kind() {
            ErrorKind::Server(_) | ErrorKind::Extension => {
                let (code, detail) = (error.code().unwrap_or_default(), error.detail().unwrap_or_default());
                Self::of_reply(code, detail)
            }
            ErrorKind::Io | ErrorKind::Parse => Meaning::Unanswered,
            // An answer that is not of the expected form.
            ErrorKind::UnexpectedReturnType => Meaning::Refused(Kind::Corrupt),
            // Made before anything is sent.
            ErrorKind::InvalidClientConfig | ErrorKind::RESP3NotSupported | ErrorKind::Client => {
                Meaning::Refused(Kind::InvalidConfig)
            }
            ErrorKind::AuthenticationFailed => Meaning::RefusedHere(Kind::Unauthenticated),
            // Of parts of the client that are not used here.
            ErrorKind::MasterNameNotFoundBySentinel
            | ErrorKind::NoValidReplicasFoundBySentinel
            | ErrorKind::EmptySentinelList
            | ErrorKind::ClusterConnectionNotFound => Meaning::NotSent,
            // The client may learn of more; what is not known may have been applied.
            _ => Meaning::Unanswered,
        }
    }

    /// Of an error reply, by its first word and the rest.
    pub(crate) fn of_reply(code: &str, detail: &str) -> Self {
        use BackendErrorKind as Kind;
        match code {
            "NOSCRIPT" => Meaning::UnknownScript,
            "NOAUTH" | "WRONGPASS" => Meaning::RefusedHere(Kind::Unauthenticated),
            "NOPERM" => Meaning::Refused(Kind::PermissionDenied),
            // A replica: it was the primary before a failover, or will be one. Or a primary that is cut off from its
            // replicas or its cluster: there may be another one by now.
            "READONLY" | "MASTERDOWN" | "NOREPLICAS" | "CLUSTERDOWN" => {
                Meaning::RefusedHere(Kind::Unavailable)
            }
            // Loading its data, busy with somebody's script, unable to persist: it passes.
            "LOADING" | "BUSY" | "MISCONF" => Meaning::Refused(Kind::Unavailable),
            "OOM" => Meaning::Refused(Kind::TooLarge),
            "MOVED" => Meaning::Elsewhere,
            "ASK" | "TRYAGAIN" => Meaning::InTransit,
            "CROSSSLOT" => Meaning::Refused(Kind::Unsupported),
            "WRONGTYPE" => Meaning::Refused(Kind::Corrupt),
            "ERR" => Self::of_message(detail),
            _ => Meaning::Refused(Kind::Corrupt),
        }
    }

    /// By the texts of Redis 6 and 7. Redis 6 puts the code of an error within a script behind the script's position.
    fn of_message(detail: &str) -> Self {
        use BackendErrorKind as Kind;
        const WITHIN: [&str; 6] = ["WRONGTYPE", "NOPERM", "READONLY", "OOM", "MISCONF", "NOREPLICAS"];
        if detail.contains("LEASEHOLD-CORRUPT") {
            return Meaning::Refused(Kind::Corrupt);
        }
        // A key that the script finds by itself has already been moved to another server of the cluster. What the script had
        // written until then stays.
        if detail.contains("cript attempted to ") {
            return Meaning::Unanswered;
        }
        if detail.starts_with("unknown command") {
            return Meaning::Refused(Kind::Unsupported);
        }
        if detail.starts_with("max number of clients") || detail.contains("SCRIPT KILL") {
            return Meaning::Refused(Kind::Unavailable);
        }
        if detail.contains("DB index is out of range") {
            return Meaning::RefusedHere(Kind::InvalidConfig);
        }
        if detail.contains("AUTH") && detail.contains("password") {
            return Meaning::RefusedHere(Kind::Unauthenticated);
        }
        if detail.starts_with("The user executing the script can't ") {
            return Meaning::Refused(Kind::PermissionDenied);
        }
        let of_redis_6 = detail.starts_with("Error running script");
        match WITHIN.iter().find(|code| of_redis_6 && detail.contains(**code)) {
            Some(code) => Self::of_reply(code, ""),
            None => Meaning::Refused(Kind::Corrupt),
        }
    }

    /// Of an error before the connection was made.
    pub(crate) fn of_dial(error: &io::Error) -> Self {
        match error.kind() {
            // The name of a host that cannot be one.
            io::ErrorKind::InvalidInput => Meaning::Refused(BackendErrorKind::InvalidConfig),
            _ => Meaning::NotSent,
        }
    }

    /// Whether the connection must not be used again.
    pub(crate) fn breaks_connection(self) -> bool {
        matches!(self, Meaning::Unanswered | Meaning::RefusedHere(_) | Meaning::Elsewhere)
    }

    pub(crate) fn kind(self, effect: Effect) -> BackendErrorKind {
        match self {
            Meaning::NotSent | Meaning::UnknownScript | Meaning::Elsewhere | Meaning::InTransit => {
                BackendErrorKind::Unavailable
            }
            Meaning::Refused(kind) | Meaning::RefusedHere(kind) => kind,
            Meaning::Unanswered => effect.unanswered(),
        }
    }
}

/// The error of a request that `what` describes.
pub(crate) fn backend_error(what: &str, endpoint: &str, error: RedisError, effect: Effect) -> BackendError {
    let kind = Meaning::of(&error).kind(effect);
    BackendError::new(kind, format!("{what}: Redis at {endpoint}: {}", detail(&error))).with_source(error)
}

/// What went wrong, in the words of whoever noticed it.
fn detail(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    }
}

/// An answer that breaks the protocol, or data that is not of our making.
pub(crate) fn corrupt(what: &str) -> BackendError {
    BackendError::new(
        BackendErrorKind::Corrupt,
        format!("{what}: Redis's answer is not of the expected form"),
    )
}

/// The error where the session is known to be over.
pub(crate) fn session_over(what: &str) -> BackendError {
    BackendError::new(BackendErrorKind::SessionLost, format!("{what}: the session is over"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use BackendErrorKind as Kind;

    fn reply(text: &str) -> RedisError {
        let (code, detail) = text.split_once(' ').unwrap();
        redis::make_extension_error(code.to_owned(), Some(detail.to_owned()))
    }

    fn io(kind: io::ErrorKind) -> RedisError {
        io::Error::from(kind).into()
    }

    fn client(kind: ErrorKind) -> RedisError {
        (kind, "?").into()
    }

    #[test]
    fn every_error_has_its_kind() {
        // What came | kind of a write | kind of a read | whether the connection is left.
        let table = [
            (reply("NOSCRIPT No matching script."), Kind::Unavailable, Kind::Unavailable, false),
            (reply("NOAUTH Authentication required."), Kind::Unauthenticated, Kind::Unauthenticated, true),
            (reply("WRONGPASS invalid pair"), Kind::Unauthenticated, Kind::Unauthenticated, true),
            (
                reply("ERR AUTH <password> called without any password configured for the default user."),
                Kind::Unauthenticated,
                Kind::Unauthenticated,
                true,
            ),
            (reply("NOPERM no permissions"), Kind::PermissionDenied, Kind::PermissionDenied, false),
            (
                reply("ERR The user executing the script can't run this command or subcommand script: 1"),
                Kind::PermissionDenied,
                Kind::PermissionDenied,
                false,
            ),
            (
                reply("ERR The user executing the script can't access at least one of the keys"),
                Kind::PermissionDenied,
                Kind::PermissionDenied,
                false,
            ),
            (reply("READONLY You can't write against a replica"), Kind::Unavailable, Kind::Unavailable, true),
            (reply("MASTERDOWN Link with MASTER is down"), Kind::Unavailable, Kind::Unavailable, true),
            (reply("LOADING Redis is loading"), Kind::Unavailable, Kind::Unavailable, false),
            (reply("BUSY Redis is busy running a script"), Kind::Unavailable, Kind::Unavailable, false),
            (reply("MISCONF Errors writing to the AOF file"), Kind::Unavailable, Kind::Unavailable, false),
            (
                reply("NOREPLICAS Not enough good replicas to write."),
                Kind::Unavailable,
                Kind::Unavailable,
                true,
            ),
            (reply("TRYAGAIN Multiple keys"), Kind::Unavailable, Kind::Unavailable, false),
            (reply("CLUSTERDOWN The cluster is down"), Kind::Unavailable, Kind::Unavailable, true),
            (reply("ERR max number of clients reached"), Kind::Unavailable, Kind::Unavailable, false),
            (
                reply("ERR Error running script: Script killed by user with SCRIPT KILL."),
                Kind::Unavailable,
                Kind::Unavailable,
                false,
            ),
            (reply("OOM command not allowed"), Kind::TooLarge, Kind::TooLarge, false),
            (reply("MOVED 1 a:1"), Kind::Unavailable, Kind::Unavailable, true),
            (reply("ASK 1 a:1"), Kind::Unavailable, Kind::Unavailable, false),
            (
                reply("ERR Script attempted to access a non local key in a cluster node script: 1"),
                Kind::Indeterminate,
                Kind::Unavailable,
                true,
            ),
            (reply("CROSSSLOT Keys in request"), Kind::Unsupported, Kind::Unsupported, false),
            (reply("ERR unknown command 'EVALSHA'"), Kind::Unsupported, Kind::Unsupported, false),
            (reply("WRONGTYPE Operation against a key"), Kind::Corrupt, Kind::Corrupt, false),
            (
                reply("ERR Error running script (call to f_1): @user_script:9: WRONGTYPE Operation"),
                Kind::Corrupt,
                Kind::Corrupt,
                false,
            ),
            (
                reply("ERR Error running script (call to f_1): @user_script:9: OOM command not allowed"),
                Kind::TooLarge,
                Kind::TooLarge,
                false,
            ),
            (
                reply("ERR user_script:36: LEASEHOLD-CORRUPT {a/0}:seq holds no number"),
                Kind::Corrupt,
                Kind::Corrupt,
                false,
            ),
            (reply("ERR DB index is out of range"), Kind::InvalidConfig, Kind::InvalidConfig, true),
            (reply("ERR something else"), Kind::Corrupt, Kind::Corrupt, false),
            (reply("UNHEARD of"), Kind::Corrupt, Kind::Corrupt, false),
            (io(io::ErrorKind::ConnectionReset), Kind::Indeterminate, Kind::Unavailable, true),
            (io(io::ErrorKind::BrokenPipe), Kind::Indeterminate, Kind::Unavailable, true),
            (io(io::ErrorKind::TimedOut), Kind::Indeterminate, Kind::Unavailable, true),
            (io(io::ErrorKind::UnexpectedEof), Kind::Indeterminate, Kind::Unavailable, true),
            (client(ErrorKind::Parse), Kind::Indeterminate, Kind::Unavailable, true),
            (client(ErrorKind::UnexpectedReturnType), Kind::Corrupt, Kind::Corrupt, false),
            (client(ErrorKind::InvalidClientConfig), Kind::InvalidConfig, Kind::InvalidConfig, false),
            (client(ErrorKind::Client), Kind::InvalidConfig, Kind::InvalidConfig, false),
            (client(ErrorKind::AuthenticationFailed), Kind::Unauthenticated, Kind::Unauthenticated, true),
            (client(ErrorKind::ClusterConnectionNotFound), Kind::Unavailable, Kind::Unavailable, false),
        ];
        for (error, write, read, breaks) in table {
            let meaning = Meaning::of(&error);
            assert_eq!(meaning.kind(Effect::Write), write, "write: {error:?}");
            assert_eq!(meaning.kind(Effect::Read), read, "read: {error:?}");
            assert_eq!(meaning.breaks_connection(), breaks, "{error:?}");
        }
    }

    #[test]
    fn what_was_not_connected_was_not_sent() {
        for kind in [io::ErrorKind::ConnectionRefused, io::ErrorKind::TimedOut, io::ErrorKind::NotFound] {
            assert_eq!(Meaning::of_dial(&kind.into()), Meaning::NotSent);
        }
    }

    #[test]
    fn the_message_names_the_request_the_endpoint_and_the_reply() {
        let error = backend_error("renewal", "a:1", reply("NOPERM no rights"), Effect::Write);
        assert_eq!(error.to_string(), "renewal: Redis at a:1: NOPERM no rights");
    }
}

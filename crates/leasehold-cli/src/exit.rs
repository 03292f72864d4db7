//! How the command ends: a status, and a line that says why.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io;

use leasehold::{Error, ErrorKind, ReleaseError, ShutdownError};

/// The command line, the URL or a name cannot be used.
pub(crate) const USAGE: u8 = 64;
/// The service was not reached.
pub(crate) const UNAVAILABLE: u8 = 69;
/// The service, or this machine, did what it should not.
pub(crate) const SOFTWARE: u8 = 70;
/// This machine refused something.
pub(crate) const OS: u8 = 71;
/// The lock was lost.
pub(crate) const LOST: u8 = 74;
/// The lock was not obtained in time.
pub(crate) const NOT_OBTAINED: u8 = 75;
/// The server could not prove to be the one that was meant.
pub(crate) const UNTRUSTED: u8 = 76;
/// The service does not allow it.
pub(crate) const NO_PERMISSION: u8 = 77;
/// The command to run cannot be run.
pub(crate) const NOT_EXECUTABLE: u8 = 126;
/// There is no such command to run.
pub(crate) const NOT_FOUND: u8 = 127;

/// The same for people; it stands in the help and in the manual page.
pub(crate) const STATUSES: &str = "\
Exit status:
  0    done; with a command to run: whatever it ended with
  64   the command line, the URL or a name cannot be used
  69   the service was not reached
  70   the service answered what makes no sense, or cannot do this
  71   this machine refused something
  74   the lock was lost, and the command was ended for it
  75   the lock was not obtained in time
  76   the server could not prove by its certificate to be the one meant
  77   the service does not accept the user, or does not allow it
  126  the command cannot be run
  127  there is no such command
  128+N  ended by signal N";

/// How a subcommand ends: its exit status.
pub(crate) type Outcome = Result<u8, Failure>;

/// An end that needs a word of explanation.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: u8,
    /// One line.
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(status: u8, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// What was asked for cannot be: the message says what would be right.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(USAGE, message)
    }

    /// This machine refused something.
    pub(crate) fn os(what: &str, error: impl Into<io::Error>) -> Self {
        Self::new(OS, format!("{what}: {}", error.into()))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::InvalidName
            | ErrorKind::InvalidConfig
            | ErrorKind::InvalidArgument
            | ErrorKind::Mismatch
            | ErrorKind::UnknownScheme
            | ErrorKind::FeatureNotEnabled => USAGE,
            ErrorKind::Unavailable | ErrorKind::Indeterminate => UNAVAILABLE,
            ErrorKind::Untrusted => UNTRUSTED,
            ErrorKind::Unauthenticated | ErrorKind::PermissionDenied => NO_PERMISSION,
            ErrorKind::Lost => LOST,
            _ => SOFTWARE,
        };
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let _ = write!(message, ": {cause}");
            source = cause.source();
        }
        Self { status, message }
    }
}

impl From<ReleaseError> for Failure {
    fn from(error: ReleaseError) -> Self {
        Error::from(error).into()
    }
}

impl From<ShutdownError> for Failure {
    fn from(error: ShutdownError) -> Self {
        Error::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_status() {
        let status = |kind| Failure::from(Error::new(kind, "lock", "x")).status;
        assert_eq!(status(ErrorKind::UnknownScheme), USAGE);
        assert_eq!(status(ErrorKind::Unavailable), UNAVAILABLE);
        assert_eq!(status(ErrorKind::Untrusted), UNTRUSTED);
        assert_eq!(status(ErrorKind::PermissionDenied), NO_PERMISSION);
        assert_eq!(status(ErrorKind::Lost), LOST);
        assert_eq!(status(ErrorKind::Corrupt), SOFTWARE);
    }

    #[test]
    fn the_help_lists_every_status() {
        for status in [USAGE, UNAVAILABLE, SOFTWARE, OS, LOST, NOT_OBTAINED, UNTRUSTED, NO_PERMISSION] {
            assert!(STATUSES.contains(&format!("\n  {status:<5}")), "{status}");
        }
    }
}

//! How the command ends: a status, and a line that says why.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io;

use leasehold::{Error, ErrorKind, ReleaseError, ShutdownError};
use rustix::process::Signal;

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
  128+N  the command was ended by signal N; by SIGHUP, SIGINT, SIGQUIT
         and SIGTERM leasehold ends too, which shells call 128+N";

/// How a subcommand ends.
pub(crate) type Outcome = Result<End, Failure>;

/// An end that needs no word of explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With this exit status.
    Status(u8),
    /// By this signal, so that whoever waits for us sees what has happened: a shell's loop ends at Ctrl-C.
    Signal(Signal),
}

impl End {
    pub(crate) const DONE: Self = End::Status(0);

    /// That of whatever a signal has ended.
    pub(crate) fn of_signal(number: i32) -> Self {
        const OURS_TOO: [Signal; 4] = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM];
        match OURS_TOO.into_iter().find(|signal| signal.as_raw() == number) {
            Some(signal) => End::Signal(signal),
            None => End::Status(status_of(number)),
        }
    }
}

/// The exit status of what a signal has ended.
pub(crate) fn status_of(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

/// An end that needs a word of explanation.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: u8,
    /// One line; empty if there is nothing to say.
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

    /// Whoever read our output has seen enough, as `head` does.
    pub(crate) fn unread() -> Self {
        Self::new(status_of(Signal::PIPE.as_raw()), "")
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
            // Some say what their cause says.
            let cause_said = cause.to_string();
            if !message.ends_with(&cause_said) {
                let _ = write!(message, ": {cause_said}");
            }
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
        assert_eq!(End::of_signal(15), End::Signal(Signal::TERM));
        assert_eq!(End::of_signal(9), End::Status(137));
        for status in [USAGE, UNAVAILABLE, SOFTWARE, OS, LOST, NOT_OBTAINED, UNTRUSTED, NO_PERMISSION] {
            assert!(STATUSES.contains(&format!("\n  {status:<5}")), "{status}");
        }
    }
}

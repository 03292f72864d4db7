use std::io;
use std::time::Duration;

/// Why a server could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A program or its files are not on this machine.
    #[error(
        "{what} is not installed (looked for {looked_for}): install the Debian package `{package}`, or set {variable}"
    )]
    Missing {
        /// What is missing.
        what: &'static str,
        /// Where it was looked for.
        looked_for: String,
        /// The package to install.
        package: &'static str,
        /// The environment variable that points to a copy elsewhere.
        variable: &'static str,
    },
    /// The ports that were free a moment ago are taken.
    #[error("{what}: its address was in use {attempts} times in a row; the last log lines:\n{log}")]
    AddressInUse {
        /// Which server.
        what: String,
        /// How many sets of ports were tried.
        attempts: usize,
        /// The end of its log.
        log: String,
    },
    /// The server ended instead of serving.
    #[error("{what} ended while starting; its last log lines:\n{log}")]
    Exited {
        /// Which server.
        what: String,
        /// The end of its log.
        log: String,
    },
    /// The server runs and does not serve.
    #[error("{what} was not ready within {within:?}; its last log lines:\n{log}")]
    NotReady {
        /// Which server.
        what: String,
        /// How long it was given.
        within: Duration,
        /// The end of its log.
        log: String,
    },
    /// The service cannot be started with an option.
    #[error("{what} cannot be started like that: {why}")]
    Unsupported {
        /// Which service.
        what: &'static str,
        /// Why not.
        why: &'static str,
    },
    /// The machine refused something that a server needs.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// The refusal.
        source: io::Error,
    },
}

impl StartError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// Ends the test: the fixtures' form of an error.
    pub(crate) fn panic(&self) -> ! {
        match std::error::Error::source(self) {
            Some(source) => panic!("{self}: {source}"),
            None => panic!("{self}"),
        }
    }
}

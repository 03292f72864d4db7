use std::io;

/// Why a network could not be made, or not be changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// Network namespaces of one's own need root.
    #[error("network namespaces need root: this process has the effective user id {uid}")]
    NotRoot {
        /// The effective user id of the process.
        uid: u32,
    },
    /// A program is not on this machine.
    #[error("{program} is not installed: install the Debian package `{package}`")]
    Missing {
        /// The program.
        program: &'static str,
        /// The package to install.
        package: &'static str,
    },
    /// The kernel, or what this process is allowed, lacks something.
    #[error("this machine has no {what}: `{command}` says: {said}")]
    Unsupported {
        /// What is missing: network namespaces, bridges, nftables.
        what: &'static str,
        /// What was tried.
        command: String,
        /// The refusal.
        said: String,
    },
    /// All subnets are in use by other networks.
    #[error("no free subnet in 198.18.0.0/16: as many networks as it holds are in use")]
    NoSubnet,
    /// The machine refused something else.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// The refusal.
        source: io::Error,
    },
}

impl NetworkError {
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// Ends the test: the fixture's form of an error.
    pub(super) fn panic(&self) -> ! {
        match std::error::Error::source(self) {
            Some(source) => panic!("{self}: {source}"),
            None => panic!("{self}"),
        }
    }
}

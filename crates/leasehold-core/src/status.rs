//! How a coordinator is doing, for health endpoints.

use std::time::Duration;

/// A coordinator's state in brief.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// There is no session yet, or no longer; a new one is being opened. Acquisitions wait for it.
    Connecting,
    /// The session lives.
    Live,
    /// The service does not answer at the moment; what is held is held until the local deadline.
    Suspect,
    /// Shutting down: nothing new is accepted, what is held is being given up.
    Draining,
    /// Shut down.
    Closed,
}

/// A coordinator's state.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// In brief.
    pub state: State,
    /// Which backend.
    pub backend: &'static str,
    /// Where the service is, without secrets.
    pub endpoint: String,
    /// What the service calls the session, if there is one.
    pub session: Option<String>,
    /// The TTL that the service granted, which may differ from the one asked for.
    pub ttl: Option<Duration>,
    /// Why the last attempt to open a session failed, or the last session ended.
    pub last_error: Option<String>,
}

impl Status {
    /// Whether acquisitions can be served now.
    pub fn is_healthy(&self) -> bool {
        self.state == State::Live
    }
}

//! What the servers behind a backend say of themselves, for people who look for what is wrong.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::coordinator::Coordinator;
use crate::error::{Error, ErrorKind};
use crate::liveness::LossReason;
use crate::requests::AbortOnDrop;

/// What one server says of itself. No decision of this library depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerReport {
    /// Where it is, without secrets.
    pub endpoint: String,
    /// Its version, such as `3.5.16`, where it told.
    pub version: Option<String>,
    /// What it is among its kind, such as `leader`, where it told.
    pub role: Option<String>,
    /// How its wall clock stands to this machine's, where it told.
    pub wall_clock: Option<WallClock>,
    /// What deserves attention, the worst first as a rule.
    pub findings: Vec<Finding>,
}

impl ServerReport {
    /// Of a server that has told nothing yet.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self { endpoint: endpoint.into(), version: None, role: None, wall_clock: None, findings: Vec::new() }
    }
}

/// How a server's wall clock stands to this machine's, as far as a request can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WallClock {
    /// They agree within the time that the request took.
    Agrees,
    /// The server's is ahead by this at least.
    Ahead(Duration),
    /// The server's is behind by this at least.
    Behind(Duration),
}

/// Something that deserves attention, and what helps.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was found.
    pub what: String,
    /// What helps.
    pub remedy: String,
}

impl Finding {
    /// From its parts.
    pub fn new(severity: Severity, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity, what: what.into(), remedy: remedy.into() }
    }
}

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Note,
    /// It takes away something that is promised elsewhere, or will do so one day.
    Warning,
    /// It does not work.
    Problem,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Problem => "problem",
        })
    }
}

impl Coordinator {
    /// Asks the servers what they are, within the request time-out, for people who look for what is wrong; nothing if the backend cannot ask.
    /// A server that does not answer has a finding that says so.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if nobody could be asked; [`ErrorKind::PermissionDenied`], … if the service refuses;
    /// [`ErrorKind::Closed`] if the coordinator is shut down.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn examine(&self) -> Result<Vec<ServerReport>, Error> {
        const OPERATION: &str = "examine";
        let engine = self.engine();
        let error =
            |kind, detail: &str| Err(Error::new(kind, OPERATION, detail).with_backend(engine.backend_name));
        if engine.draining.is_cancelled() {
            return error(ErrorKind::Closed, "the coordinator is shut down");
        }
        let (backend, limit) = (engine.backend.clone(), engine.request_timeout);
        let asking = engine.driver.spawn(async move { backend.examine(limit).await });
        match AbortOnDrop(asking).await {
            Some(Ok(reports)) => Ok(reports),
            Some(Err(failed)) => {
                Err(Error::from_backend(OPERATION, Arc::new(failed)).with_backend(engine.backend_name))
            }
            None => error(ErrorKind::DriverGone, &LossReason::DriverGone.to_string()),
        }
    }
}

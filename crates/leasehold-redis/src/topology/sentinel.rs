//! The primary that sentinels watch.

use std::time::Duration;

use leasehold_core::{BackendError, BackendErrorKind};

use super::survey::survey;
use super::unavailable;
use crate::config::User;
use crate::dial::{Client, Dialer};
use crate::endpoint;
use crate::error::{Effect, backend_error, corrupt};

pub(crate) struct Sentinels {
    master: String,
    endpoints: Vec<String>,
    user: Option<User>,
}

impl Sentinels {
    pub(super) fn new(master: &str, endpoints: &[String], user: Option<&User>) -> Self {
        Self { master: master.to_owned(), endpoints: endpoints.to_vec(), user: user.cloned() }
    }

    /// Where they say that it is.
    pub(super) async fn primary(
        &self,
        dialer: &Dialer,
        what: &str,
        limit: Duration,
    ) -> Result<String, BackendError> {
        survey(self.endpoints.iter().map(|sentinel| self.ask(dialer, what, sentinel)), limit).await
    }

    async fn ask(&self, dialer: &Dialer, what: &str, sentinel: &str) -> Result<String, BackendError> {
        let Self { master, user, .. } = self;
        let mut question = redis::cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
        let answer = dialer.ask(user.as_ref(), what, sentinel, &question).await?;
        let address: Option<(String, u16)> = redis::from_redis_value(answer).map_err(|_| corrupt(what))?;
        match address {
            Some((host, port)) => Ok(endpoint::join(&host, port)),
            None => {
                let message =
                    format!("{what}: the sentinel at {sentinel} watches no primary called {master:?}");
                Err(BackendError::new(BackendErrorKind::InvalidConfig, message))
            }
        }
    }
}

/// Refuses a server that is not a primary: sentinels learn of a failover one after the other, and an old primary may
/// still be asked when it has become a replica.
pub(super) async fn check(what: &str, endpoint: &str, client: &mut Client) -> Result<(), BackendError> {
    let mut question = redis::cmd("INFO");
    question.arg("replication");
    let answer = client.request(&question).await;
    let info = answer.map_err(|error| backend_error(what, endpoint, error, Effect::Read))?;
    let info: String = redis::from_redis_value(info).map_err(|_| corrupt(what))?;
    match info.lines().find_map(|line| line.strip_prefix("role:")).map(str::trim) {
        Some("master") => Ok(()),
        Some(_) => Err(unavailable(format!("{what}: Redis at {endpoint} is a replica: READONLY"))),
        None => Err(corrupt(what)),
    }
}

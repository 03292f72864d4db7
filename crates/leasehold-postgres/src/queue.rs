//! A queue: the rows of its path.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_core::{
    AttemptId, BackendError, BackendErrorKind, Certainty, Contenders, Enqueued, Entry, Interest, Look,
    NewEntry, Publish, Published, Queue, Withdrawn,
};
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::Row;

use crate::error::{Effect, corrupt};
use crate::link::{self, Call, bytes, flag, text};
use crate::records::{self, column, number};
use crate::session::{Core, check_value};
use crate::source::QueueMirror;
use crate::watchman::sweep;

/// Before an enqueue looks again whether somebody else has buried the dead.
const BURIAL: Duration = Duration::from_millis(5);

pub(crate) struct PostgresQueue {
    core: Arc<Core>,
    mirror: Arc<QueueMirror>,
}

impl PostgresQueue {
    pub(crate) fn new(core: Arc<Core>, mirror: Arc<QueueMirror>) -> Self {
        Self { core, mirror }
    }

    fn path(&self) -> &str {
        self.mirror.source().path()
    }

    /// The answer to an enqueue that met no session whose time is up.
    async fn place(&self, what: &'static str, entry: &NewEntry) -> Result<Row, BackendError> {
        let statement = "SELECT outcome, place, revision, contenders \
             FROM leasehold.enqueue($1, $2, $3, $4, $5, $6, $7)";
        let (attempt, mode) = (entry.attempt.to_string(), entry.mode.to_string());
        let (path, value) = (self.path(), entry.value.as_ref());
        let [id, incarnation] = self.core.who();
        let args = &[
            id,
            incarnation,
            text(&path),
            text(&attempt),
            text(&mode),
            bytes(&value),
            flag(&entry.only_if_free),
        ];
        let call = Call { what, effect: Effect::Write, statement, args };
        let until = Instant::now() + self.core.link.request_timeout();
        loop {
            // Nothing is sent when no time is left.
            let left = until.saturating_duration_since(Instant::now());
            let row = self.core.run_within(left, &call).await?;
            if column::<&str>(&row, 0, what)? != "stale" {
                return Ok(row);
            }
            sweep(&self.core.link, until.saturating_duration_since(Instant::now())).await?;
            sleep(BURIAL).await;
        }
    }
}

/// The contenders, where they come with the answer to an enqueue.
fn who_is_there(row: &Row, what: &str) -> Result<Option<Contenders>, BackendError> {
    let lines: Option<Vec<String>> = column(row, 3, what)?;
    lines.map(|lines| Ok(records::contenders(&lines, number(row, 2, what)?))).transpose()
}

#[async_trait]
impl Queue for PostgresQueue {
    async fn enqueue(&self, entry: NewEntry) -> Result<Enqueued, BackendError> {
        const WHAT: &str = "creation of an entry";
        self.core.check_alive(WHAT)?;
        check_value(WHAT, &entry.value)?;
        let row = self.place(WHAT, &entry).await?;
        match column(&row, 0, WHAT)? {
            "placed" => {
                let order = number(&row, 1, WHAT)?;
                self.mirror.replica().at_least(order);
                Ok(Enqueued::Placed { order, contenders: who_is_there(&row, WHAT)? })
            }
            "busy" => Ok(Enqueued::Busy { contenders: who_is_there(&row, WHAT)? }),
            "withdrawn" => {
                let message = format!("{WHAT}: attempt {} was withdrawn", entry.attempt);
                Err(BackendError::new(BackendErrorKind::Withdrawn, message))
            }
            _ => Err(corrupt(WHAT)),
        }
    }

    async fn contenders(&self, look: Look<'_>) -> Result<(), BackendError> {
        let limit = self.core.link.request_timeout();
        timeout(limit, self.mirror.using().look(look)).await.unwrap_or_else(|_| {
            let endpoint = &self.core.link.destination().name;
            let message =
                format!("look at a queue: PostgreSQL at {endpoint} did not show it within {limit:?}");
            Err(BackendError::new(BackendErrorKind::Unavailable, message))
        })
    }

    async fn changed(&self, interest: Interest) -> Result<(), BackendError> {
        self.mirror.using().changed(interest).await
    }

    async fn withdraw(&self, attempt: AttemptId, certainty: Certainty) -> Result<Withdrawn, BackendError> {
        const WHAT: &str = "withdrawal of an entry";
        self.core.check_alive(WHAT)?;
        let statement = "SELECT outcome, revision FROM leasehold.withdraw($1, $2, $3, $4, $5)";
        let (who, path) = (attempt.to_string(), self.path());
        let ambiguous = certainty == Certainty::Ambiguous;
        let [id, incarnation] = self.core.who();
        let args = &[id, incarnation, text(&path), text(&who), flag(&ambiguous)];
        let row = self.core.run(&Call { what: WHAT, effect: Effect::Write, statement, args }).await?;
        match column(&row, 0, WHAT)? {
            "removed" => {
                self.mirror.replica().at_least(number(&row, 1, WHAT)?);
                Ok(Withdrawn::Removed)
            }
            "gone" => {
                self.mirror.replica().is_gone(attempt);
                Ok(Withdrawn::WasGone)
            }
            _ => Err(corrupt(WHAT)),
        }
    }

    async fn publish(&self, change: Publish) -> Result<Published, BackendError> {
        const WHAT: &str = "change of an entry";
        self.core.check_alive(WHAT)?;
        check_value(WHAT, &change.value)?;
        let statement = "SELECT outcome, revision FROM leasehold.publish($1, $2, $3, $4, $5, $6, $7)";
        let (attempt, mode) = (change.attempt.to_string(), change.mode.to_string());
        let (path, value) = (self.path(), change.value.as_ref());
        let if_version = change.if_version.map(records::version);
        let [id, incarnation] = self.core.who();
        let args = &[
            id,
            incarnation,
            text(&path),
            text(&attempt),
            text(&mode),
            bytes(&value),
            link::int(&if_version),
        ];
        let row = self.core.run(&Call { what: WHAT, effect: Effect::Write, statement, args }).await?;
        match column(&row, 0, WHAT)? {
            "done" => {
                let version = number(&row, 1, WHAT)?;
                self.mirror.replica().at_least(version);
                Ok(Published::Done { version })
            }
            "differs" => Ok(Published::VersionDiffers),
            "none" => {
                self.mirror.replica().is_gone(change.attempt);
                Err(BackendError::new(BackendErrorKind::NoEntry, format!("{WHAT}: there is none")))
            }
            _ => Err(corrupt(WHAT)),
        }
    }

    async fn entry(&self, attempt: AttemptId) -> Result<Option<Entry>, BackendError> {
        const WHAT: &str = "read of an entry";
        let statement = "SELECT attempt, place, version, mode, value FROM leasehold.entries \
             WHERE queue = $1 AND attempt = $2";
        let (path, who) = (self.path(), attempt.to_string());
        let call = Call { what: WHAT, effect: Effect::Read, statement, args: &[text(&path), text(&who)] };
        let rows = self.core.link.run(&call).await?;
        let entry = rows.first().map(|row| records::entry(row, WHAT)).transpose()?.flatten();
        match &entry {
            Some(entry) => self.mirror.replica().at_least(entry.version),
            None => self.mirror.replica().is_gone(attempt),
        }
        Ok(entry)
    }

    async fn entries(&self) -> Result<Vec<Entry>, BackendError> {
        const WHAT: &str = "listing of entries";
        let statement = "SELECT attempt, place, version, mode, value FROM leasehold.entries \
             WHERE queue = $1 ORDER BY place";
        let path = self.path();
        let call = Call { what: WHAT, effect: Effect::Read, statement, args: &[text(&path)] };
        let rows = self.core.link.run(&call).await?;
        let read = rows.iter().filter_map(|row| records::entry(row, WHAT).transpose());
        let entries = read.collect::<Result<Vec<_>, _>>()?;
        if let Some(newest) = entries.iter().map(|entry| entry.version).max() {
            self.mirror.replica().at_least(newest);
        }
        Ok(entries)
    }
}

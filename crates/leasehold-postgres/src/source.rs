//! Where the copies of queues and registers come from.
//!
//! # Implementation
//!
//! Of each queue that a session looks at or waits in, it keeps one copy, whose source this is: the [hub](crate::hub) for notifications, and the functions
//! that list. Every change of a queue takes a number of the layout's sequence under the lock of that queue and is told with it; a listing is made under the
//! same lock, shared, so its revision separates what it holds from what will be told. What nobody tells is found by the
//! [watchman](crate::watchman).

use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use leasehold_core::mirror::{
    EntryChange, FeedEvent, Mirror, QueueReplica, QueueSnapshot, RegisterReplica, RegisterState, Source,
};
use leasehold_core::{BackendError, KeyPath};
use tokio_util::sync::CancellationToken;

use crate::error::{Effect, corrupt};
use crate::hub::Hub;
use crate::link::{Call, text};
use crate::records::{self, column, number};
use crate::session::Core;
use crate::watchman::Watchman;

pub(crate) type QueueMirror = Mirror<Entries>;
pub(crate) type RegisterMirror = Mirror<Register>;

/// What all copies of a session come over.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) core: Arc<Core>,
    pub(crate) hub: Hub,
    pub(crate) watchman: Arc<Watchman>,
    /// The session closes.
    pub(crate) closing: CancellationToken,
}

impl Means {
    pub(crate) fn queue(&self, path: &KeyPath) -> QueueMirror {
        Mirror::new(Entries { means: self.clone(), path: path.clone() }, self.closing.clone())
    }

    pub(crate) fn register(&self, path: &KeyPath) -> RegisterMirror {
        Mirror::new(Register { means: self.clone(), path: path.clone() }, self.closing.clone())
    }
}

/// The entries of one queue.
pub(crate) struct Entries {
    means: Means,
    path: KeyPath,
}

impl Entries {
    pub(crate) fn path(&self) -> &str {
        self.path.as_str()
    }
}

impl Source for Entries {
    type Replica = QueueReplica;

    fn watch(&self) -> impl Stream<Item = FeedEvent<Vec<EntryChange>>> + Send {
        let changes = |payload: String| records::change(&payload).into_iter().collect();
        self.means.hub.subscribe(self.path()).map(move |event| event.map(changes))
    }

    async fn load(&self) -> Result<QueueSnapshot, BackendError> {
        const WHAT: &str = "listing of a queue";
        let core = &self.means.core;
        let statement = "SELECT revision, contenders, expires_in_ms FROM leasehold.load($1, $2)";
        let path = self.path();
        let args = &[text(&path), text(&core.identity.id)];
        let rows = core.link.run(&Call { what: WHAT, effect: Effect::Read, statement, args }).await?;
        let row = rows.first().ok_or_else(|| corrupt(WHAT))?;
        let entries = records::listed(&column::<Vec<String>>(row, 1, WHAT)?);
        self.means.watchman.look_within(wait(column(row, 2, WHAT)?));
        Ok(QueueSnapshot { revision: number(row, 0, WHAT)?, entries })
    }
}

/// A time in milliseconds, which may have passed.
pub(crate) fn wait(millis: Option<i64>) -> Option<Duration> {
    millis.map(|millis| Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
}

/// The version of one register.
pub(crate) struct Register {
    means: Means,
    path: KeyPath,
}

impl Source for Register {
    type Replica = RegisterReplica;

    fn watch(&self) -> impl Stream<Item = FeedEvent<Vec<RegisterState>>> + Send {
        let changes = |payload: String| records::register(&payload).into_iter().collect();
        self.means.hub.subscribe(self.path.as_str()).map(move |event| event.map(changes))
    }

    async fn load(&self) -> Result<RegisterState, BackendError> {
        const WHAT: &str = "wait for a register";
        let statement = "SELECT version, revision FROM leasehold.load_register($1)";
        let path = self.path.as_str();
        let call = Call { what: WHAT, effect: Effect::Read, statement, args: &[text(&path)] };
        let rows = self.means.core.link.run(&call).await?;
        let row = rows.first().ok_or_else(|| corrupt(WHAT))?;
        Ok(RegisterState { version: number(row, 0, WHAT)?, revision: number(row, 1, WHAT)? })
    }
}

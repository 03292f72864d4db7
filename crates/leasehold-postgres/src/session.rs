//! A session: a row that expires, and the rows that are tied to it.
//!
//! # Implementation
//!
//! **What liveness means.** The server's clock decides: a session's entries count until its row is buried, which nobody does before `expires_at`, and that is a TTL
//! after the last acknowledged renewal *arrived*, later than the local deadline, which counts from before it was sent. No function makes the row
//! again or extends one whose time is up: a session that is over never comes back. Every function compares the incarnation under a lock of the
//! session's row, so what an older incarnation still does changes nothing.
//!
//! **Who owns what.** [`PostgresSession`] owns three tasks, the renewals, the hub of the notifications and the watchman, by a token that is cancelled when the session
//! is closed, dropped or lost; then whoever waits is told that it is in vain. Queues and registers hold what they need of the session in a [`Core`],
//! not the session: a handle that outlives it neither renews it nor keeps its tasks.
//!
//! **Two connections.** Requests go over `Core::link` one behind the other, and one may wait for the lock of a queue. Renewals and
//! notifications have their own, on which nothing waits for such a lock.
//!
//! `close` ends the liveness first, so that nobody believes in a lock that the next statement is about to give away. If it is dropped meanwhile,
//! the session expires, and whoever looks next buries it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_core::mirror::ByPath;
use leasehold_core::{
    BackendError, BackendErrorKind, Backoff, Credentials, KeyPath, Kind, LivenessCell, LossReason, Namespace,
    Queue, RegisterWrite, RegisterWritten, Session, Versioned,
};
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};
use tokio_postgres::Row;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::{Effect, corrupt, session_over};
use crate::hub::Hub;
use crate::identity::Identity;
use crate::link::{Arg, Call, Link, text};
use crate::queue::PostgresQueue;
use crate::records::column;
use crate::register;
use crate::renewal;
use crate::source::{Means, QueueMirror, RegisterMirror};
use crate::watchman::Watchman;

/// The largest value of an entry or a register.
pub(crate) const MAX_VALUE_BYTES: usize = 1 << 20;

pub(crate) fn check_value(what: &str, value: &[u8]) -> Result<(), BackendError> {
    if value.len() <= MAX_VALUE_BYTES {
        return Ok(());
    }
    let message = format!("{what}: {} bytes are more than {MAX_VALUE_BYTES}", value.len());
    Err(BackendError::new(BackendErrorKind::TooLarge, message))
}

/// What the queues of a session share.
pub(crate) struct Core {
    pub(crate) link: Link,
    pub(crate) identity: Identity,
    pub(crate) ttl: Duration,
    pub(crate) liveness: Arc<LivenessCell>,
}

impl Core {
    /// The first arguments of every function that belongs to the session.
    pub(crate) fn who(&self) -> [Arg<'_>; 2] {
        [text(&self.identity.id), text(&self.identity.incarnation)]
    }

    /// Runs a function that belongs to the session and answers one row whose first column is the outcome; if the service does not know the session any
    /// more, everybody is told.
    pub(crate) async fn run(&self, call: &Call<'_>) -> Result<Row, BackendError> {
        self.run_within(self.link.request_timeout(), call).await
    }

    /// As [`Core::run`], with a limit of its own.
    pub(crate) async fn run_within(&self, limit: Duration, call: &Call<'_>) -> Result<Row, BackendError> {
        let row = self.link.run_within(limit, call).await?.pop().ok_or_else(|| corrupt(call.what))?;
        match ended(column(&row, 0, call.what)?) {
            Some(reason) => {
                self.liveness.end(reason);
                Err(session_over(call.what))
            }
            None => Ok(row),
        }
    }

    /// The error of an operation on a session that is over here already.
    pub(crate) fn check_alive(&self, what: &str) -> Result<(), BackendError> {
        if self.liveness.is_alive() { Ok(()) } else { Err(session_over(what)) }
    }

    /// Ends the session. Tries until it is done, or the future is dropped.
    async fn close(&self) {
        let (what, statement) = ("end of the session", "SELECT leasehold.close($1, $2)");
        let call = Call { what, effect: Effect::Write, statement, args: &self.who() };
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(500));
        loop {
            match self.link.run(&call).await {
                Err(error) if error.is_transient() => sleep(backoff.next_delay()).await,
                // Closed, or we may not: nothing is left to do.
                _ => return,
            }
        }
    }
}

/// Why the session is over for this incarnation, if a function has found that.
pub(crate) fn ended(outcome: &str) -> Option<LossReason> {
    match outcome {
        "lost" => Some(LossReason::SessionEnded),
        "superseded" => Some(LossReason::Superseded),
        _ => None,
    }
}

/// How long a renewal may take that is answered at once as a rule; a busy machine needs more than a round trip now and then.
fn patience(ttl: Duration, request_timeout: Duration) -> Duration {
    (ttl / 6).max(Duration::from_millis(250)).min(request_timeout)
}

pub(crate) struct PostgresSession {
    core: Arc<Core>,
    namespace: Namespace,
    means: Means,
    queues: Arc<ByPath<QueueMirror>>,
    registers: Arc<ByPath<RegisterMirror>>,
    _stop: DropGuard,
}

impl PostgresSession {
    /// Starts the tasks of a session that was opened.
    pub(crate) fn start(core: Core, namespace: Namespace) -> Self {
        let (core, closing) = (Arc::new(core), CancellationToken::new());
        let renew_now = Arc::new(Notify::new());
        let patience = patience(core.ttl, core.link.request_timeout());
        let (telling, told) = mpsc::unbounded_channel();
        let watch = Arc::new(Link::new(core.link.destination().clone(), Some(telling)));
        let (hub, task) = Hub::new(watch.clone(), told, renew_now.clone());
        let stop = closing.clone();
        tokio::spawn(async move { stop.run_until_cancelled(task.run()).await });
        let (queues, registers) = (Arc::default(), Arc::default());
        let watchman = Arc::new(Watchman::new());
        let (stop, looks) = (closing.clone(), watchman.clone());
        let (looking, followed, read) = (core.clone(), Arc::clone(&queues), Arc::clone(&registers));
        tokio::spawn(async move { stop.run_until_cancelled(looks.watch(looking, followed, read)).await });
        let (stop, renewed) = (closing.clone(), core.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = renewal::keep(&renewed, &watch, &renew_now, patience) => {}
                _ = renewed.liveness.lost() => {}
            }
            stop.cancel();
        });
        let means = Means { core: core.clone(), hub, watchman, closing: closing.clone() };
        Self { core, namespace, means, queues, registers, _stop: closing.drop_guard() }
    }
}

#[async_trait]
impl Session for PostgresSession {
    fn id(&self) -> String {
        self.core.identity.id.clone()
    }

    fn ttl(&self) -> Duration {
        self.core.ttl
    }

    fn liveness(&self) -> &Arc<LivenessCell> {
        &self.core.liveness
    }

    fn credentials(&self) -> Option<Credentials> {
        Some(self.core.identity.credentials())
    }

    fn queue(&self, path: &KeyPath) -> Arc<dyn Queue> {
        let mirror = self.queues.get(path, || self.means.queue(path));
        Arc::new(PostgresQueue::new(self.core.clone(), mirror))
    }

    async fn queues(&self, kind: Kind) -> Result<Vec<KeyPath>, BackendError> {
        const WHAT: &str = "listing of queues";
        let statement =
            "SELECT DISTINCT queue FROM leasehold.entries WHERE queue >= $1 AND queue < $2 ORDER BY queue";
        let prefix = KeyPath::prefix(&self.namespace, kind);
        // The character that follows the slash.
        let end = format!("{}0", prefix.trim_end_matches('/'));
        let call = Call { what: WHAT, effect: Effect::Read, statement, args: &[text(&prefix), text(&end)] };
        let rows = self.core.link.run(&call).await?;
        let mut paths = Vec::with_capacity(rows.len());
        for row in &rows {
            let name = column::<&str>(row, 0, WHAT)?.strip_prefix(&prefix);
            paths.extend(name.and_then(|name| KeyPath::from_listing(&self.namespace, kind, name)));
        }
        Ok(paths)
    }

    async fn read(&self, register: &KeyPath) -> Result<Option<Versioned>, BackendError> {
        register::read(&self.core, register).await
    }

    async fn write(&self, register: &KeyPath, write: RegisterWrite) -> Result<RegisterWritten, BackendError> {
        register::write(&self.core, register, write).await
    }

    async fn register_changed(&self, register: &KeyPath, seen: u64) -> Result<(), BackendError> {
        let copy = self.registers.get(register, || self.means.register(register));
        copy.using().changed(seen).await.map(drop)
    }

    async fn close(&self) {
        self.core.liveness.end(LossReason::ShutDown);
        self.means.closing.cancel();
        // What is not closed within it ends by itself.
        let _ = timeout(self.core.link.request_timeout(), self.core.close()).await;
    }
}

//! A session: a key in every shard that expires, and what is tied to it.
//!
//! # Implementation
//!
//! **What liveness means.** A session has one key in each of the namespace's shards, and an entry of a shard counts only while the
//! key of its session in that shard exists. All keys are made by one script, before the session is given to anybody,
//! and renewed by one script that looks at all of them first: it extends either all of them or none, and if one is
//! missing it ends the session in all shards. Every key thus expires no earlier than a TTL after the last
//! acknowledged renewal arrived, that is, later than the local deadline, which counts from before it was sent. No
//! script makes a key of a session that has lost one: a session that is over anywhere never comes back.
//!
//! A session that is resumed by another process ends for the older incarnation at the next script that this one runs,
//! a third of its TTL later at most: every script compares the incarnation, so what it does before it knows changes
//! nothing.
//!
//! What breaks this is a server that does not keep its word: that evicts the keys, whose wall clock jumps (Redis
//! expires by the wall clock), or that forgets what it acknowledged, in a crash or a failover. The crate's
//! documentation says what to do.
//!
//! **Who owns what.** [`RedisSession`] owns four tasks, the renewals, the hub of the subscriptions, the watchman and the one that keeps [what was
//! withdrawn](crate::departed) away, by a token that is cancelled
//! when the session is closed, dropped or lost; then whoever waits is told that it is in vain. Queues and registers
//! hold what they need of the session in a [`Core`], not the session: a handle that outlives it neither renews it nor
//! keeps its tasks.
//!
//! `close` ends the liveness first, so that nobody believes in a lock that the next script is about to give away. If it is
//! dropped meanwhile, the session ends by itself, and whoever looks into its shards next removes what it left.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_core::mirror::ByPath;
use leasehold_core::{
    BackendError, BackendErrorKind, Backoff, Credentials, KeyPath, Kind, LivenessCell, LossReason, Namespace,
    Queue, RegisterWrite, RegisterWritten, Session, Versioned,
};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::departed::{self, Departed};
use crate::error::{Effect, session_over};
use crate::hub::Hub;
use crate::identity::Identity;
use crate::keys::Keyspace;
use crate::link::{Call, Link, Reply};
use crate::mirror::{Copies, Means, RegisterMirror};
use crate::queue::RedisQueue;
use crate::register;
use crate::renewal::{self, RenewedSession};
use crate::scripts;
use crate::watchman::{Followed, Watchman};

/// What the queues of a session share.
pub(crate) struct Core {
    pub(crate) link: Arc<Link>,
    pub(crate) keyspace: Keyspace,
    pub(crate) identity: Identity,
    pub(crate) ttl: Duration,
    pub(crate) liveness: Arc<LivenessCell>,
    pub(crate) departed: Departed,
}

impl Core {
    /// The arguments of a script: who we are, and these.
    pub(crate) fn args<'a>(&'a self, more: &[&'a [u8]]) -> Vec<&'a [u8]> {
        [&[self.identity.id.as_bytes(), self.identity.text.as_bytes()], more].concat()
    }

    /// Runs a script that belongs to the session; if the service does not know the session any more, everybody is told.
    pub(crate) async fn run(&self, call: &Call<'_>) -> Result<Reply, BackendError> {
        let reply = self.link.run(call).await?;
        match ended(&reply) {
            Some(reason) => {
                self.liveness.end(reason);
                Err(session_over(call.what))
            }
            None => Ok(reply),
        }
    }

    /// The error of an operation on a session that is over here already.
    pub(crate) fn check_alive(&self, what: &str) -> Result<(), BackendError> {
        if self.liveness.is_alive() { Ok(()) } else { Err(session_over(what)) }
    }

    /// Ends the session. Tries until it is done, or the future is dropped.
    async fn close(&self) {
        let (keys, args) = (self.keyspace.all(), self.args(&[]));
        let (what, script) = ("end of the session", &scripts::CLOSE);
        let call = Call { what, effect: Effect::Write, script, keys: &keys, args: &args };
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

/// Why the session is over for this incarnation, if a script has found that.
pub(crate) fn ended(reply: &Reply) -> Option<LossReason> {
    match reply.first().map(Vec::as_slice) {
        Some(b"lost") => Some(LossReason::SessionEnded),
        Some(b"superseded") => Some(LossReason::Superseded),
        _ => None,
    }
}

/// How long an answer may take that comes at once as a rule; a busy machine needs more than a round trip now and then.
pub(crate) fn patience(ttl: Duration, request_timeout: Duration) -> Duration {
    (ttl / 6).max(Duration::from_millis(250)).min(request_timeout)
}

pub(crate) struct RedisSession {
    core: Arc<Core>,
    namespace: Namespace,
    means: Arc<Means>,
    queues: Arc<Copies>,
    registers: Arc<ByPath<RegisterMirror>>,
    _stop: DropGuard,
}

impl RedisSession {
    /// Starts the tasks of a session that was opened.
    pub(crate) fn start(core: Core, namespace: Namespace) -> Self {
        let (core, closing) = (Arc::new(core), CancellationToken::new());
        let renew_now = Arc::new(Notify::new());
        let patience = patience(core.ttl, core.link.request_timeout());
        let (hub, task) = Hub::new(core.link.clone(), renew_now.clone(), patience);
        let stop = closing.clone();
        tokio::spawn(async move { stop.run_until_cancelled(task.run()).await });
        let (queues, registers) = (Arc::<Copies>::default(), Arc::default());
        let watchman = Arc::new(Watchman::new());
        let (stop, watch) = (closing.clone(), watchman.clone());
        let followed = Followed { queues: Arc::clone(&queues), registers: Arc::clone(&registers) };
        let looking = core.clone();
        tokio::spawn(async move { stop.run_until_cancelled(watch.watch(looking, followed)).await });
        let (stop, kept) = (closing.clone(), core.clone());
        tokio::spawn(async move { stop.run_until_cancelled(departed::keep_away(&kept)).await });
        let (stop, renewed) = (closing.clone(), core.clone());
        tokio::spawn(async move {
            let session = RenewedSession { core: &renewed, patience };
            tokio::select! {
                () = stop.cancelled() => {}
                () = renewal::keep(&session, &renewed.liveness, renewed.ttl, &renew_now) => {}
                _ = renewed.liveness.lost() => {}
            }
            stop.cancel();
        });
        let means = Arc::new(Means { core: core.clone(), hub, watchman, closing: closing.clone() });
        Self { core, namespace, means, queues, registers, _stop: closing.drop_guard() }
    }
}

#[async_trait]
impl Session for RedisSession {
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
        Arc::new(RedisQueue::new(self.means.clone(), self.queues.clone(), path.clone()))
    }

    async fn queues(&self, kind: Kind) -> Result<Vec<KeyPath>, BackendError> {
        let (keys, args) = (self.core.keyspace.all(), self.core.args(&[kind.segment().as_bytes()]));
        let (what, script) = ("listing of queues", &scripts::QUEUES);
        let call = Call { what, effect: Effect::Read, script, keys: &keys, args: &args };
        let names = self.core.link.run(&call).await?;
        let mut paths: Vec<KeyPath> = names
            .iter()
            .filter_map(|name| KeyPath::from_listing(&self.namespace, kind, std::str::from_utf8(name).ok()?))
            .collect();
        paths.sort();
        Ok(paths)
    }

    async fn read(&self, register: &KeyPath) -> Result<Option<Versioned>, BackendError> {
        register::read(&self.core, register).await
    }

    async fn write(&self, register: &KeyPath, write: RegisterWrite) -> Result<RegisterWritten, BackendError> {
        self.core.check_alive("write of a register")?;
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

/// What a session that is to be opened was answered.
pub(crate) fn opened(reply: &Reply) -> Result<(), BackendError> {
    let refused = |kind, message| Err(BackendError::new(kind, message));
    match reply.first().map(Vec::as_slice) {
        Some(b"ok") => Ok(()),
        Some(b"denied") => {
            let message = "these are not the credentials of the session";
            refused(BackendErrorKind::Unauthenticated, message)
        }
        Some(b"lost") => refused(BackendErrorKind::SessionLost, "the session to resume is over"),
        _ => Err(crate::error::corrupt("opening of a session")),
    }
}

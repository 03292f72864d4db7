//! A session: a lease and what is tied to it.
//!
//! # Implementation
//!
//! [`EtcdSession`] owns two tasks, one for the lease's renewals and the watch over the session's key, and the hub of the watches, by a token that is cancelled when the session is
//! closed, dropped or lost; then whoever waits is told that it is in vain. Queues and registers hold what they need of the session in a [`Core`], not the session: a
//! handle that outlives it neither renews it nor keeps its tasks. Each queue and each watched register has one copy, found by
//! its path as long as somebody holds it.
//!
//! `close` ends the liveness first, so that nobody believes in a lock that the revocation is about to give away, and revokes
//! only what nobody else has resumed (see [`incarnation`](crate::incarnation)). If it is dropped meanwhile, the lease ends by itself.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use etcd_client::{Compare, Txn, TxnOp, TxnResponse};
use leasehold_core::mirror::ByPath;
use leasehold_core::{
    BackendError, BackendErrorKind, Credentials, KeyPath, Kind, LivenessCell, LossReason, Namespace, Queue,
    RegisterWrite, RegisterWritten, Session, Versioned,
};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::{Effect, session_over};
use crate::hub::Hub;
use crate::incarnation::Incarnation;
use crate::keys;
use crate::layout::Layout;
use crate::lease::{Lease, Stream};
use crate::link::Link;
use crate::listing;
use crate::mirror::{Means, QueueMirror, RegisterMirror};
use crate::queue::EtcdQueue;
use crate::register;

/// What the queues of a session share.
pub(crate) struct Core {
    pub(crate) link: Arc<Link>,
    pub(crate) lease: Lease,
    pub(crate) liveness: Arc<LivenessCell>,
    pub(crate) incarnation: Incarnation,
    pub(crate) namespace: Namespace,
}

impl Core {
    /// A transaction of the session's latest incarnation. What it reads if the conditions do not hold is answered only if the
    /// session is still ours; one more response follows.
    ///
    /// # Errors
    /// `SessionLost` if it is not, which is told to everybody, with the reason.
    pub(crate) async fn txn(
        &self,
        what: &str,
        mut conditions: Vec<Compare>,
        then: Vec<TxnOp>,
        mut otherwise: Vec<TxnOp>,
    ) -> Result<TxnResponse, BackendError> {
        conditions.push(self.incarnation.is_latest());
        otherwise.push(self.incarnation.look());
        let txn = Txn::new().when(conditions).and_then(then).or_else(otherwise);
        let answer = self
            .link
            .call(what, Effect::Write, |clients| {
                let (mut kv, txn) = (clients.kv.clone(), txn.clone());
                async move { kv.txn(txn).await }
            })
            .await;
        let answer = self.noticed(answer)?;
        if !answer.succeeded()
            && let Some(reason) = self.incarnation.loss_in(what, answer.op_responses().last())?
        {
            self.liveness.end(reason);
            return Err(BackendError::new(BackendErrorKind::SessionLost, format!("{what}: {reason}")));
        }
        Ok(answer)
    }

    /// An operation's outcome; that the service does not know the session any more is told to everybody.
    pub(crate) fn noticed<T>(&self, outcome: Result<T, BackendError>) -> Result<T, BackendError> {
        if let Err(error) = &outcome
            && error.kind() == BackendErrorKind::SessionLost
        {
            self.liveness.end(LossReason::SessionEnded);
        }
        outcome
    }
}

pub(crate) struct EtcdSession {
    core: Arc<Core>,
    means: Means,
    queues: ByPath<QueueMirror>,
    registers: ByPath<RegisterMirror>,
    _stop: DropGuard,
}

impl EtcdSession {
    /// Starts the tasks of a session whose lease was granted, or taken over; then there may be a stream already.
    pub(crate) fn start(core: Core, stream: Option<Stream>) -> Self {
        let Core { link, lease, liveness, incarnation, .. } = &core;
        let (link, closing) = (link.clone(), CancellationToken::new());
        let (hub, task) = Hub::new(link.clone());
        let stop = closing.clone();
        tokio::spawn(async move { stop.run_until_cancelled(task.run()).await });
        let means = Means { link: link.clone(), hub, closing: closing.clone() };
        let renewals = lease.keep(link, liveness.clone(), incarnation.clone(), stream);
        let key = Arc::new(means.register(incarnation.key()));
        let told = told(key, incarnation.version(), liveness.clone());
        let (stop, lost) = (closing.clone(), liveness.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = renewals => {}
                () = told => {}
                _ = lost.lost() => {}
            }
            stop.cancel();
        });
        Self {
            core: Arc::new(core),
            means,
            queues: ByPath::default(),
            registers: ByPath::default(),
            _stop: closing.drop_guard(),
        }
    }
}

/// Resolves once the session's key tells that the session is over for this incarnation, and the liveness says so.
async fn told(key: Arc<RegisterMirror>, incarnation: u64, liveness: Arc<LivenessCell>) {
    match key.using().changed(incarnation).await {
        Ok(0) => liveness.end(LossReason::SessionEnded),
        Ok(_) => liveness.end(LossReason::Superseded),
        // Without a watch the renewals find out.
        Err(_) => std::future::pending().await,
    }
}

#[async_trait]
impl Session for EtcdSession {
    fn id(&self) -> String {
        format!("{:x}", self.core.lease.id)
    }

    fn ttl(&self) -> Duration {
        self.core.lease.ttl
    }

    fn liveness(&self) -> &Arc<LivenessCell> {
        &self.core.liveness
    }

    fn credentials(&self) -> Option<Credentials> {
        Some(self.core.incarnation.credentials())
    }

    fn queue(&self, path: &KeyPath) -> Arc<dyn Queue> {
        let mirror = self.queues.get(path, || self.means.queue(Layout::of(&self.core.namespace, path)));
        Arc::new(EtcdQueue::new(self.core.clone(), mirror))
    }

    async fn queues(&self, kind: Kind) -> Result<Vec<KeyPath>, BackendError> {
        let namespace = &self.core.namespace;
        let prefix = KeyPath::prefix(namespace, kind);
        let listing = listing::list(&self.core.link, "listing of queues", &prefix).await?;
        let mut paths: Vec<KeyPath> = Vec::new();
        for kv in &listing.kvs {
            if let Some(path) = keys::queue_of(namespace, kind, kv.key())
                && paths.last() != Some(&path)
                && Layout::of(namespace, &path).read(kv).is_some()
            {
                paths.push(path);
            }
        }
        // By keys, `a/…` comes after `a-/…`; by their text, `a` comes first.
        paths.sort();
        paths.dedup();
        Ok(paths)
    }

    async fn read(&self, register: &KeyPath) -> Result<Option<Versioned>, BackendError> {
        register::read(&self.core.link, register).await
    }

    async fn write(&self, register: &KeyPath, write: RegisterWrite) -> Result<RegisterWritten, BackendError> {
        check_alive(&self.core, "write of a register")?;
        register::write(&self.core, register, write).await
    }

    async fn register_changed(&self, register: &KeyPath, seen: u64) -> Result<(), BackendError> {
        let copy = self.registers.get(register, || self.means.register(register.as_str()));
        copy.using().changed(seen).await.map(drop)
    }

    async fn close(&self) {
        self.core.liveness.end(LossReason::ShutDown);
        self.means.closing.cancel();
        let limit = self.core.link.request_timeout();
        let end = async {
            if self.core.incarnation.give_up(&self.core.link).await {
                self.core.lease.revoke(&self.core.link).await;
            }
        };
        // What is not revoked within it ends by itself.
        let _ = timeout(limit, end).await;
    }
}

/// The error of an operation on a session that is over here already.
pub(crate) fn check_alive(core: &Core, what: &str) -> Result<(), BackendError> {
    if core.liveness.is_alive() { Ok(()) } else { Err(session_over(what)) }
}

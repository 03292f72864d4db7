//! Whose a session is, now that it can be resumed.
//!
//! # Implementation
//!
//! Every session has a key of its own, `<namespace>/!sessions/<lease>`, attached to its lease, so that it goes when the lease
//! does. No path of a queue or register contains a `!`. The value is the secret of the [`Credentials`]; the revision of the
//! key's last change is the *incarnation*. To take a session over is to read the key, compare the secret, and put it again with the
//! same value and lease, on condition of the revision that was read. That gives it a new revision, which the successor learns
//! from the answer and nobody else has. So the incarnations of a session are ordered by the service, and the last one to
//! resume has it. A takeover whose answer was lost cannot land behind a later one, and take the session from everybody.
//!
//! What an incarnation can do to a session, and why nothing of an earlier one does anything after that transaction, also if it
//! was on its way:
//!
//! - Entries, tombstones and registers are written and removed by transactions alone, and each compares the incarnation
//!   ([`Core::txn`](crate::session::Core::txn)). One that fails reads the key too, which tells why.
//! - etcd revokes leases without conditions. So `close` first *gives the session up*: a transaction removes the key if the
//!   incarnation is still the same. Once that is done nobody can resume, and nobody has resumed; from then on the lease is ours to
//!   revoke. The key is also gone if an earlier try did it, or if the lease is: in both cases revoking takes nothing from anybody.
//! - Renewals have no conditions either. An earlier incarnation that renews lets the lease live longer, which takes nothing from the
//!   newer one, and the renewal does not count for itself: each reads the key after it was sent, and only a key that still shows the
//!   incarnation lets the local deadline move. So nobody believes longer than a TTL from a request that was sent before the takeover.
//!
//! An earlier incarnation is told by a watch over the key, at the latest by its next renewal or transaction. Both end
//! its liveness, which ends its tasks. A key that was removed by hand cannot be told from an ended session, and counts as one.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Compare, CompareOp, GetOptions, GetResponse, PutOptions, Txn, TxnOp, TxnOpResponse};
use leasehold_core::{BackendError, BackendErrorKind, Backoff, Credentials, LossReason, Namespace};
use tokio::time::sleep;

use crate::error::{Effect, corrupt};
use crate::keys;
use crate::link::Link;

/// What the credentials of an etcd session begin with; the lease's id and the secret follow.
const CREDENTIALS: &[u8] = b"etcd:";

const SECRET_BYTES: usize = 16;

/// One incarnation of a session.
#[derive(Clone)]
pub(crate) struct Incarnation {
    key: Arc<str>,
    revision: i64,
    credentials: Credentials,
}

impl Incarnation {
    /// The first one, of a lease that was just granted.
    pub(crate) async fn begin(
        link: &Link,
        namespace: &Namespace,
        lease: i64,
        limit: Duration,
    ) -> Result<Self, BackendError> {
        const WHAT: &str = "opening of a session";
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret).map_err(|error| {
            let message = "the operating system has no randomness to give";
            BackendError::new(BackendErrorKind::Unavailable, message).with_source(error)
        })?;
        let key = keys::session(namespace, lease);
        // Nobody misses a key whose creation went unanswered: it ends with the lease.
        let put = link
            .call_within(limit, WHAT, Effect::Read, |clients| {
                let (mut kv, key) = (clients.kv.clone(), key.clone());
                async move { kv.put(key, secret, Some(PutOptions::new().with_lease(lease))).await }
            })
            .await?;
        let revision = put.header().map(|header| header.revision()).ok_or_else(|| corrupt(WHAT))?;
        let credentials = self::credentials(lease, &secret);
        Ok(Self { key: key.into(), revision, credentials })
    }

    /// Takes over the session of these credentials; also answers its lease.
    pub(crate) async fn take_over(
        link: &Link,
        namespace: &Namespace,
        credentials: Credentials,
        limit: Duration,
    ) -> Result<(Self, i64), BackendError> {
        const WHAT: &str = "resumption of a session";
        let refused = |kind, why: &str| Err(BackendError::new(kind, format!("{WHAT}: {why}")));
        let Some((lease, secret)) = parse(&credentials) else {
            return refused(BackendErrorKind::InvalidConfig, "these are no credentials of an etcd session");
        };
        let key = keys::session(namespace, lease);
        loop {
            let got = link
                .call_within(limit, WHAT, Effect::Read, |clients| {
                    let (mut kv, key) = (clients.kv.clone(), key.clone());
                    async move { kv.get(key, None).await }
                })
                .await?;
            let Some(kv) = got.kvs().first() else {
                let why = "the session is gone, or it is of another namespace";
                return refused(BackendErrorKind::SessionLost, why);
            };
            if kv.value() != secret {
                let why = "these are not the credentials of the session";
                return refused(BackendErrorKind::Unauthenticated, why);
            }
            let txn = Txn::new()
                .when([Compare::mod_revision(key.as_str(), CompareOp::Equal, kv.mod_revision())])
                .and_then([TxnOp::put(key.as_str(), secret, Some(PutOptions::new().with_ignore_lease()))]);
            // Unanswered, it may have been done, or be done as long as nobody else does; whoever tries again does it anew.
            let answer = link
                .call_within(limit, WHAT, Effect::Read, |clients| {
                    let (mut kv, txn) = (clients.kv.clone(), txn.clone());
                    async move { kv.txn(txn).await }
                })
                .await?;
            if answer.succeeded() {
                let revision =
                    answer.header().map(|header| header.revision()).ok_or_else(|| corrupt(WHAT))?;
                return Ok((Self { key: key.into(), revision, credentials }, lease));
            }
            // Somebody else resumed it since the look, or it ended; the last one wins.
        }
    }

    pub(crate) fn credentials(&self) -> Credentials {
        self.credentials.clone()
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// As versions of registers are counted.
    pub(crate) fn version(&self) -> u64 {
        keys::revision(self.revision).unwrap_or_default()
    }

    /// The condition that the session is still this incarnation's.
    pub(crate) fn is_latest(&self) -> Compare {
        Compare::mod_revision(&*self.key, CompareOp::Equal, self.revision)
    }

    /// Reads why it is not; for [`Incarnation::loss_in`].
    pub(crate) fn look(&self) -> TxnOp {
        TxnOp::get(&*self.key, Some(GetOptions::new().with_keys_only()))
    }

    /// Why the session is over for this incarnation, if it is, by the answer to [`Incarnation::look`].
    pub(crate) fn loss_in(
        &self,
        what: &str,
        looked: Option<&TxnOpResponse>,
    ) -> Result<Option<LossReason>, BackendError> {
        match looked {
            Some(TxnOpResponse::Get(got)) => Ok(self.loss_by(got)),
            _ => Err(corrupt(what)),
        }
    }

    fn loss_by(&self, got: &GetResponse) -> Option<LossReason> {
        match got.kvs().first() {
            None => Some(LossReason::SessionEnded),
            Some(kv) if kv.mod_revision() != self.revision => Some(LossReason::Superseded),
            Some(_) => None,
        }
    }

    /// The same by asking the service.
    pub(crate) async fn loss(&self, link: &Link) -> Result<Option<LossReason>, BackendError> {
        let got = link
            .call("look at the session", Effect::Read, |clients| {
                let mut kv = clients.kv.clone();
                async move { kv.get(&*self.key, Some(GetOptions::new().with_keys_only())).await }
            })
            .await?;
        Ok(self.loss_by(&got))
    }

    /// Sees to it that nobody resumes the session any more; answers whether that is so, and nobody has. Tries until the service
    /// has answered, or the future is dropped.
    pub(crate) async fn give_up(&self, link: &Link) -> bool {
        const WHAT: &str = "closing of a session";
        let txn = Txn::new()
            .when([self.is_latest()])
            .and_then([TxnOp::delete(&*self.key, None)])
            .or_else([self.look()]);
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(500));
        loop {
            let answer = link
                .call(WHAT, Effect::Write, |clients| {
                    let (mut kv, txn) = (clients.kv.clone(), txn.clone());
                    async move { kv.txn(txn).await }
                })
                .await;
            match answer {
                Ok(answer) if answer.succeeded() => return true,
                Ok(answer) => {
                    let loss = self.loss_in(WHAT, answer.op_responses().first());
                    return matches!(loss, Ok(Some(LossReason::SessionEnded)));
                }
                Err(error) if error.is_transient() => sleep(backoff.next_delay()).await,
                Err(_) => return false,
            }
        }
    }
}

pub(crate) fn credentials(lease: i64, secret: &[u8; SECRET_BYTES]) -> Credentials {
    Credentials::from_bytes([CREDENTIALS, &lease.to_be_bytes(), secret].concat())
}

/// Reads back what [`credentials`] made.
pub(crate) fn parse(credentials: &Credentials) -> Option<(i64, [u8; SECRET_BYTES])> {
    let (lease, secret) = credentials.as_bytes().strip_prefix(CREDENTIALS)?.split_first_chunk()?;
    Some((i64::from_be_bytes(*lease), secret.try_into().ok()?))
}

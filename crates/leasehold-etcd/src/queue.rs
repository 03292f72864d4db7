//! A queue: the keys below its path.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use etcd_client::{Compare, CompareOp, GetOptions, KeyValue, PutOptions, TxnOp, TxnOpResponse};
use leasehold_core::{
    AttemptId, BackendError, BackendErrorKind, Certainty, Enqueued, Entry, Interest, Look, NewEntry, Publish,
    Published, Queue, Withdrawn,
};

use crate::enqueue;
use crate::error::{Effect, corrupt};
use crate::keys::{self, StoredEntry};
use crate::layout::Layout;
use crate::listing;
use crate::mirror::QueueMirror;
use crate::session::{Core, check_alive};

pub(crate) struct EtcdQueue {
    pub(crate) core: Arc<Core>,
    pub(crate) mirror: Arc<QueueMirror>,
}

impl EtcdQueue {
    pub(crate) fn new(core: Arc<Core>, mirror: Arc<QueueMirror>) -> Self {
        Self { core, mirror }
    }

    pub(crate) fn layout(&self) -> &Layout {
        self.mirror.source().layout()
    }

    /// The key of an attempt, given that this session made it, or that the layout does not tell sessions apart.
    pub(crate) fn own_key(&self, attempt: AttemptId) -> String {
        self.layout().entry(self.core.lease.id, attempt)
    }

    /// Removes the entry.
    async fn delete(&self, attempt: AttemptId) -> Result<(bool, Option<u64>), BackendError> {
        // The key is the attempt's alone.
        let own = self.remove(self.own_key(attempt), Vec::new(), Vec::new()).await?;
        if own.0 {
            return Ok(own);
        }
        let Some(other) = self.find(WITHDRAW, attempt).await? else { return Ok(own) };
        // Clients in Go use one key again and again.
        let same = Compare::create_revision(other.key(), CompareOp::Equal, other.create_revision());
        self.remove(other.key(), vec![same], Vec::new()).await
    }

    /// Removes the entry and leaves a tombstone that the attempt's enqueue looks for. If the lease is gone, etcd refuses the
    /// transaction, and the enqueue too.
    async fn bury(&self, attempt: AttemptId) -> Result<(bool, Option<u64>), BackendError> {
        let lease = PutOptions::new().with_lease(self.core.lease.id);
        let tombstone = TxnOp::put(self.layout().tombstone(attempt), "", Some(lease));
        self.remove(self.own_key(attempt), Vec::new(), vec![tombstone]).await
    }

    /// Whether the entry was there, and was as it is to be, and the revision of its removal.
    async fn remove(
        &self,
        key: impl Into<Vec<u8>>,
        conditions: Vec<Compare>,
        mut then: Vec<TxnOp>,
    ) -> Result<(bool, Option<u64>), BackendError> {
        then.push(TxnOp::delete(key, None));
        let answer = self.core.txn(WITHDRAW, conditions, then, Vec::new()).await?;
        if !answer.succeeded() {
            return Ok((false, None));
        }
        let deleted = match answer.op_responses().last() {
            Some(TxnOpResponse::Delete(delete)) => delete.deleted() > 0,
            _ => return Err(corrupt(WITHDRAW)),
        };
        Ok((deleted, answer.header().and_then(|header| keys::revision(header.revision()))))
    }

    /// The entry of an attempt that this session did not make, where its key does not follow from the attempt.
    async fn find(&self, what: &str, attempt: AttemptId) -> Result<Option<KeyValue>, BackendError> {
        let layout = self.layout();
        if !layout.is_wire() {
            return Ok(None);
        }
        let listing = listing::list(&self.core.link, what, layout.prefix()).await?;
        Ok(listing.kvs.into_iter().find(|kv| layout.attempt_of(kv) == Some(attempt)))
    }
}

fn as_entry(stored: StoredEntry<'_>) -> Entry {
    Entry {
        attempt: stored.attempt,
        order: stored.created,
        mode: stored.mode,
        value: Bytes::copy_from_slice(stored.value),
        version: stored.modified,
    }
}

const WITHDRAW: &str = "withdrawal of an entry";

#[async_trait]
impl Queue for EtcdQueue {
    async fn enqueue(&self, entry: NewEntry) -> Result<Enqueued, BackendError> {
        enqueue::enqueue(self, entry).await
    }

    async fn contenders(&self, look: Look<'_>) -> Result<(), BackendError> {
        let limit = self.core.link.request_timeout();
        tokio::time::timeout(limit, self.mirror.using().look(look)).await.unwrap_or_else(|_| {
            let endpoint = self.core.link.endpoint();
            let message = format!("look at a queue: etcd at {endpoint} did not show it within {limit:?}");
            Err(BackendError::new(BackendErrorKind::Unavailable, message))
        })
    }

    async fn changed(&self, interest: Interest) -> Result<(), BackendError> {
        self.mirror.using().changed(interest).await
    }

    async fn withdraw(&self, attempt: AttemptId, certainty: Certainty) -> Result<Withdrawn, BackendError> {
        let (deleted, revision) = match certainty {
            Certainty::Placed => self.delete(attempt).await?,
            Certainty::Ambiguous => self.bury(attempt).await?,
        };
        match (deleted, revision) {
            (true, Some(revision)) => self.mirror.replica().at_least(revision),
            _ => self.mirror.replica().is_gone(attempt),
        }
        Ok(if deleted { Withdrawn::Removed } else { Withdrawn::WasGone })
    }

    async fn publish(&self, change: Publish) -> Result<Published, BackendError> {
        const WHAT: &str = "change of an entry";
        check_alive(&self.core, WHAT)?;
        keys::check_value(WHAT, &change.value)?;
        let key = self.own_key(change.attempt);
        let mut conditions = vec![Compare::create_revision(key.as_str(), CompareOp::Greater, 0)];
        if let Some(version) = change.if_version {
            // A version beyond etcd's numbers is no entry's.
            let version = i64::try_from(version).unwrap_or(-1);
            conditions.push(Compare::mod_revision(key.as_str(), CompareOp::Equal, version));
        }
        let value = self.layout().encode(change.mode, &change.value);
        let then = vec![TxnOp::put(key.as_str(), value, Some(PutOptions::new().with_ignore_lease()))];
        let otherwise = vec![TxnOp::get(key.as_str(), Some(GetOptions::new().with_keys_only()))];
        let answer = self.core.txn(WHAT, conditions, then, otherwise).await?;
        if answer.succeeded() {
            let version = answer.header().and_then(|header| keys::revision(header.revision()));
            let version = version.ok_or_else(|| corrupt(WHAT))?;
            self.mirror.replica().at_least(version);
            return Ok(Published::Done { version });
        }
        match answer.op_responses().first() {
            Some(TxnOpResponse::Get(entry)) if entry.kvs().is_empty() => {
                if self.find(WHAT, change.attempt).await?.is_some() {
                    let message = format!("{WHAT}: in another client's layout only its maker changes it");
                    return Err(BackendError::new(BackendErrorKind::Unsupported, message));
                }
                self.mirror.replica().is_gone(change.attempt);
                Err(BackendError::new(BackendErrorKind::NoEntry, format!("{WHAT}: there is none")))
            }
            Some(TxnOpResponse::Get(_)) => Ok(Published::VersionDiffers),
            _ => Err(corrupt(WHAT)),
        }
    }

    async fn entry(&self, attempt: AttemptId) -> Result<Option<Entry>, BackendError> {
        const WHAT: &str = "read of an entry";
        let key = self.own_key(attempt);
        let answer = self
            .core
            .link
            .call(WHAT, Effect::Read, |clients| {
                let (mut kv, key) = (clients.kv.clone(), key.clone());
                async move { kv.get(key, None).await }
            })
            .await?;
        let found = match answer.kvs().first() {
            Some(own) => Some(own.clone()),
            None => self.find(WHAT, attempt).await?,
        };
        let entry = found.as_ref().and_then(|kv| self.layout().read(kv)).map(as_entry);
        match &entry {
            Some(entry) => self.mirror.replica().at_least(entry.version),
            None => self.mirror.replica().is_gone(attempt),
        }
        Ok(entry)
    }

    async fn entries(&self) -> Result<Vec<Entry>, BackendError> {
        let layout = self.layout();
        let listing = listing::list(&self.core.link, "listing of entries", layout.prefix()).await?;
        let mut entries: Vec<Entry> =
            listing.kvs.iter().filter_map(|kv| layout.read(kv)).map(as_entry).collect();
        entries.sort_by_key(|entry| (entry.order, entry.attempt));
        if let Some(newest) = entries.iter().map(|entry| entry.version).max() {
            self.mirror.replica().at_least(newest);
        }
        Ok(entries)
    }
}

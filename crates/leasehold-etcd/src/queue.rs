//! A queue: the keys below its path.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use etcd_client::{Compare, CompareOp, GetOptions, PutOptions, TxnOp, TxnOpResponse};
use leasehold_core::{
    AttemptId, BackendError, BackendErrorKind, Certainty, Enqueued, Entry, Interest, KeyPath, Look, NewEntry,
    Publish, Published, Queue, Withdrawn,
};

use crate::enqueue;
use crate::error::{Effect, corrupt};
use crate::keys::{self, StoredEntry};
use crate::listing;
use crate::mirror::QueueMirror;
use crate::session::{Core, check_alive};

pub(crate) struct EtcdQueue {
    pub(crate) core: Arc<Core>,
    pub(crate) path: KeyPath,
    pub(crate) mirror: Arc<QueueMirror>,
}

impl EtcdQueue {
    pub(crate) fn new(core: Arc<Core>, path: KeyPath, mirror: Arc<QueueMirror>) -> Self {
        Self { core, path, mirror }
    }

    /// Removes the entry. Its key is the attempt's alone.
    async fn delete(&self, attempt: AttemptId) -> Result<(bool, Option<u64>), BackendError> {
        self.remove(attempt, Vec::new()).await
    }

    /// Removes the entry and leaves a tombstone that the attempt's enqueue looks for. If the lease is gone, etcd refuses the
    /// transaction, and the enqueue too.
    async fn bury(&self, attempt: AttemptId) -> Result<(bool, Option<u64>), BackendError> {
        let lease = PutOptions::new().with_lease(self.core.lease.id);
        let tombstone = TxnOp::put(keys::tombstone(&self.path, attempt), "", Some(lease));
        self.remove(attempt, vec![tombstone]).await
    }

    /// Whether the entry was there, and the revision of its removal.
    async fn remove(
        &self,
        attempt: AttemptId,
        mut then: Vec<TxnOp>,
    ) -> Result<(bool, Option<u64>), BackendError> {
        then.push(TxnOp::delete(keys::entry(&self.path, attempt), None));
        let answer = self.core.txn(WITHDRAW, Vec::new(), then, Vec::new()).await?;
        let deleted = match answer.op_responses().last() {
            Some(TxnOpResponse::Delete(delete)) => delete.deleted() > 0,
            _ => return Err(corrupt(WITHDRAW)),
        };
        Ok((deleted, answer.header().and_then(|header| keys::revision(header.revision()))))
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
        let key = keys::entry(&self.path, change.attempt);
        let mut conditions = vec![Compare::create_revision(key.as_str(), CompareOp::Greater, 0)];
        if let Some(version) = change.if_version {
            // A version beyond etcd's numbers is no entry's.
            let version = i64::try_from(version).unwrap_or(-1);
            conditions.push(Compare::mod_revision(key.as_str(), CompareOp::Equal, version));
        }
        let value = keys::encode(change.mode, &change.value);
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
                self.mirror.replica().is_gone(change.attempt);
                Err(BackendError::new(BackendErrorKind::NoEntry, format!("{WHAT}: there is none")))
            }
            Some(TxnOpResponse::Get(_)) => Ok(Published::VersionDiffers),
            _ => Err(corrupt(WHAT)),
        }
    }

    async fn entry(&self, attempt: AttemptId) -> Result<Option<Entry>, BackendError> {
        let key = keys::entry(&self.path, attempt);
        let answer = self
            .core
            .link
            .call("read of an entry", Effect::Read, |clients| {
                let (mut kv, key) = (clients.kv.clone(), key.clone());
                async move { kv.get(key, None).await }
            })
            .await?;
        let prefix = self.mirror.source().prefix();
        let entry = answer.kvs().first().and_then(|kv| StoredEntry::read(prefix, kv)).map(as_entry);
        match &entry {
            Some(entry) => self.mirror.replica().at_least(entry.version),
            None => self.mirror.replica().is_gone(attempt),
        }
        Ok(entry)
    }

    async fn entries(&self) -> Result<Vec<Entry>, BackendError> {
        let prefix = self.mirror.source().prefix();
        let listing = listing::list(&self.core.link, "listing of entries", prefix).await?;
        let mut entries: Vec<Entry> =
            listing.kvs.iter().filter_map(|kv| StoredEntry::read(prefix, kv)).map(as_entry).collect();
        entries.sort_by_key(|entry| (entry.order, entry.attempt));
        if let Some(newest) = entries.iter().map(|entry| entry.version).max() {
            self.mirror.replica().at_least(newest);
        }
        Ok(entries)
    }
}

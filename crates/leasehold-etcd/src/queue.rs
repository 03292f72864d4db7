//! A queue: the keys below its path.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use etcd_client::{Compare, CompareOp, GetOptions, KeyValue, PutOptions, TxnOp, TxnOpResponse};
use leasehold_core::{
    AttemptId, BackendError, BackendErrorKind, Certainty, Contender, Contenders, Enqueued, Entry, Interest,
    Look, Mode, NewEntry, Publish, Published, Queue, Withdrawn,
};

use crate::enqueue;
use crate::entry_watch;
use crate::error::{Effect, corrupt};
use crate::keys::{self, StoredEntry};
use crate::layout::Layout;
use crate::listing;
use crate::mirror::QueueMirror;
use crate::session::{Core, check_alive};

/// How many keys a queue may have for each handle of it in this process, and be copied: the copy is told of each of them twice, and for
/// that handle once is enough (see [`crate::entry_watch`]).
const COPIED: i64 = 24;

pub(crate) struct EtcdQueue {
    pub(crate) core: Arc<Core>,
    /// All handles of the queue share it.
    pub(crate) mirror: Arc<QueueMirror>,
    /// How many keys the queue had when an exclusive entry was made by this handle, and nobody has asked for changes of the whole queue since.
    length: AtomicI64,
}

impl EtcdQueue {
    pub(crate) fn new(core: Arc<Core>, mirror: Arc<QueueMirror>) -> Self {
        Self { core, mirror, length: AtomicI64::new(0) }
    }

    /// Notes how many keys the queue has.
    pub(crate) fn note_length(&self, mode: Mode, keys: i64) {
        // What is not exclusive may depend on more than the one ahead.
        if mode == Mode::Exclusive && !self.layout().is_wire() {
            self.length.store(keys, Ordering::Relaxed);
        }
    }

    /// Whether it is cheaper for the service to be asked than to tell.
    fn asks(&self) -> bool {
        // One of them may be the task that follows the queue.
        let handles = i64::try_from(Arc::strong_count(&self.mirror)).unwrap_or(i64::MAX);
        self.length.load(Ordering::Relaxed) > handles.saturating_mul(COPIED)
    }

    /// The contenders as the service has them now.
    async fn list(&self) -> Result<Contenders, BackendError> {
        let layout = self.layout();
        let listing = listing::list(&self.core.link, LOOK, layout.prefix()).await?;
        let stored = listing.kvs.iter().filter_map(|kv| layout.read(kv));
        let contender = |entry: StoredEntry<'_>| Contender {
            attempt: entry.attempt,
            position: entry.created,
            mode: entry.mode,
        };
        let mut contenders: Contenders = stored.map(contender).collect();
        contenders.set_revision(keys::revision(listing.revision).unwrap_or_default());
        Ok(contenders)
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
const LOOK: &str = "look at a queue";

#[async_trait]
impl Queue for EtcdQueue {
    async fn enqueue(&self, entry: NewEntry) -> Result<Enqueued, BackendError> {
        enqueue::enqueue(self, entry).await
    }

    async fn contenders(&self, look: Look<'_>) -> Result<(), BackendError> {
        let limit = self.core.link.request_timeout();
        let looked = async {
            if self.asks() {
                look(&self.list().await?);
                return Ok(());
            }
            self.mirror.using().look(look).await
        };
        tokio::time::timeout(limit, looked).await.unwrap_or_else(|_| {
            let endpoint = self.core.link.endpoint();
            let message = format!("{LOOK}: etcd at {endpoint} did not show it within {limit:?}");
            Err(BackendError::new(BackendErrorKind::Unavailable, message))
        })
    }

    async fn changed(&self, interest: Interest) -> Result<(), BackendError> {
        match interest {
            Interest::Entry { attempt, mode, version } if self.asks() => {
                return entry_watch::changed(self, attempt, mode, version).await;
            }
            Interest::Entry { .. } => {}
            // By the copy's revisions, which are not the service's; and the next look is at the copy again.
            Interest::Queue { .. } => self.length.store(0, Ordering::Relaxed),
        }
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

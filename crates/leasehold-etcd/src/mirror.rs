//! Where the copies of queues and registers come from: watches over their keys, and listings.

use std::sync::Arc;

use etcd_client::{Event, EventType, GetOptions, WatchResponse};
use futures_util::{Stream, StreamExt};
use leasehold_core::mirror::{
    EntryChange, FeedEvent, Listed, Mirror, QueueReplica, QueueSnapshot, RegisterReplica, RegisterState,
    Source,
};
use leasehold_core::{BackendError, Contender};
use tokio_util::sync::CancellationToken;

use crate::error::{Effect, corrupt};
use crate::hub::{Hub, KeyRange};
use crate::keys::{self, StoredEntry};
use crate::layout::Layout;
use crate::link::Link;
use crate::listing;

pub(crate) type QueueMirror = Mirror<Entries>;
pub(crate) type RegisterMirror = Mirror<Register>;

/// What all copies of a session come over.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) link: Arc<Link>,
    pub(crate) hub: Hub,
    /// The session closes.
    pub(crate) closing: CancellationToken,
}

impl Means {
    pub(crate) fn queue(&self, layout: Layout) -> QueueMirror {
        let entries = Entries { means: self.clone(), layout };
        Mirror::new(entries, self.closing.clone())
    }

    /// The mirror of a register, or of a session's key.
    pub(crate) fn register(&self, key: &str) -> RegisterMirror {
        let register = Register { means: self.clone(), key: key.to_owned() };
        Mirror::new(register, self.closing.clone())
    }
}

/// The entries of one queue.
pub(crate) struct Entries {
    means: Means,
    layout: Layout,
}

impl Entries {
    /// What it is copied over.
    pub(crate) fn means(&self) -> &Means {
        &self.means
    }

    /// How the queue is laid out.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The changes of these events. Where a stranger's key was removed and nobody knows any more which one it was, because
    /// the history was compacted meanwhile, they are as good as a gap, after which the queue is listed anew.
    fn changes(&self, events: &[Event]) -> FeedEvent<Vec<EntryChange>> {
        let mut changes = Vec::new();
        for event in events {
            match self.change(event) {
                Ok(change) => changes.extend(change),
                Err(Forgotten) => return FeedEvent::Opened,
            }
        }
        FeedEvent::Changed(changes)
    }

    /// `None` if it is none of an entry.
    fn change(&self, event: &Event) -> Result<Option<EntryChange>, Forgotten> {
        let Some(kv) = event.kv() else { return Ok(None) };
        if event.event_type() == EventType::Put
            && let Some(entry) = self.layout.read(kv)
        {
            return Ok(Some(EntryChange::Put(entry.into())));
        }
        // A removal, which shows the key alone, or an entry that is not of our making any more.
        let gone = match event.prev_kv() {
            Some(before) => before,
            None if self.layout.is_wire() => return Err(Forgotten),
            None => kv,
        };
        let removed = self.layout.attempt_of(gone).zip(keys::revision(kv.mod_revision()));
        Ok(removed.map(|(attempt, revision)| EntryChange::Removed { attempt, revision }))
    }
}

/// A removal of which nothing is left but the key.
struct Forgotten;

impl Source for Entries {
    type Replica = QueueReplica;

    fn watch(&self) -> impl Stream<Item = FeedEvent<Vec<EntryChange>>> + Send {
        let (prefix, what_was) = (self.layout.prefix(), self.layout.is_wire());
        let range = KeyRange { from: prefix.to_owned(), to: Some(keys::end_of(prefix)), what_was };
        self.means.hub.watch(range).map(move |event| match event {
            FeedEvent::Changed(answer) => self.changes(answer.events()),
            event => event.map(|_| Vec::new()),
        })
    }

    async fn load(&self) -> Result<QueueSnapshot, BackendError> {
        let listing = listing::list(&self.means.link, "listing of a queue", self.layout.prefix()).await?;
        let stored = listing.kvs.iter().filter_map(|kv| self.layout.read(kv));
        let entries = stored.map(Listed::from).collect();
        Ok(QueueSnapshot { revision: keys::revision(listing.revision).unwrap_or_default(), entries })
    }
}

impl From<StoredEntry<'_>> for Listed {
    fn from(entry: StoredEntry<'_>) -> Self {
        let StoredEntry { attempt, mode, created, modified, .. } = entry;
        Self { contender: Contender { attempt, position: created, mode }, version: modified }
    }
}

/// The version of one key.
pub(crate) struct Register {
    means: Means,
    key: String,
}

impl Source for Register {
    type Replica = RegisterReplica;

    fn watch(&self) -> impl Stream<Item = FeedEvent<Vec<RegisterState>>> + Send {
        let changes = |answer: WatchResponse| answer.events().iter().filter_map(register_change).collect();
        let range = KeyRange { from: self.key.clone(), to: None, what_was: false };
        self.means.hub.watch(range).map(move |event| event.map(changes))
    }

    async fn load(&self) -> Result<RegisterState, BackendError> {
        const WHAT: &str = "read of a register";
        let answer = self
            .means
            .link
            .call(WHAT, Effect::Read, |clients| {
                let mut kv = clients.kv.clone();
                let key = self.key.as_str();
                async move { kv.get(key, Some(GetOptions::new().with_keys_only())).await }
            })
            .await?;
        let revision = answer.header().and_then(|header| keys::revision(header.revision()));
        let revision = revision.ok_or_else(|| corrupt(WHAT))?;
        let version = answer.kvs().first().and_then(|kv| keys::revision(kv.mod_revision())).unwrap_or(0);
        Ok(RegisterState { version, revision })
    }
}

fn register_change(event: &Event) -> Option<RegisterState> {
    let kv = event.kv()?;
    let revision = keys::revision(kv.mod_revision())?;
    // A removal shows the key alone.
    let version = if kv.version() > 0 { revision } else { 0 };
    Some(RegisterState { version, revision })
}

//! The queues of the service.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use leasehold_core::{
    AttemptId, BackendError, BackendErrorKind, Certainty, Contender, Contenders, Enqueued, Entry, KeyPath,
    Mode, NewEntry, Publish, Published, Withdrawn,
};

use crate::backend::MAX_VALUE_BYTES;
use crate::change::{Changed, Removal};
use crate::error::too_large;
use crate::state::{SessionRef, State, Topic};

/// A queue with contenders; an empty one has no record.
#[derive(Debug, Default)]
pub(crate) struct QueueRecord {
    pub(crate) contenders: Contenders,
    entries: HashMap<AttemptId, EntryRecord>,
}

#[derive(Debug)]
struct EntryRecord {
    session: u64,
    value: Bytes,
    version: u64,
}

impl QueueRecord {
    pub(crate) fn has(&self, attempt: AttemptId) -> bool {
        self.entries.contains_key(&attempt)
    }

    pub(crate) fn version(&self, attempt: AttemptId) -> Option<u64> {
        self.entries.get(&attempt).map(|entry| entry.version)
    }

    /// The entries in order.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.contenders.iter().filter_map(|contender| self.entry(contender.attempt)).collect()
    }

    pub(crate) fn entry(&self, attempt: AttemptId) -> Option<Entry> {
        let (contender, record) = (self.contenders.get(attempt)?, self.entries.get(&attempt)?);
        Some(Entry {
            attempt,
            order: contender.position,
            mode: contender.mode,
            value: record.value.clone(),
            version: record.version,
        })
    }
}

impl State {
    pub(crate) fn enqueue(
        &mut self,
        session: SessionRef,
        path: &Arc<KeyPath>,
        new: NewEntry,
    ) -> Result<Enqueued, BackendError> {
        self.session(session)?;
        check_size(&new.value)?;
        let key = (Arc::clone(path), new.attempt);
        if self.tombstones.contains_key(&key) {
            return Err(BackendError::new(BackendErrorKind::Withdrawn, "the attempt was withdrawn"));
        }
        if let Some(queue) = self.queues.get(path) {
            if let Some(record) = queue.entries.get(&new.attempt) {
                // A repetition must not make an entry look as if it lived as long as another session.
                if record.session != session.id {
                    let message = "the attempt has an entry in another session";
                    return Err(BackendError::new(BackendErrorKind::Corrupt, message));
                }
                let order = queue.contenders.get(new.attempt).map_or(0, |contender| contender.position);
                return Ok(Enqueued::Placed { order, contenders: None });
            }
            if new.only_if_free && !new.mode.is_admitted_behind(&queue.contenders) {
                // A long queue is not copied for who does not ask.
                let contenders = matches!(new.mode, Mode::Permits { .. }).then(|| queue.contenders.clone());
                return Ok(Enqueued::Busy { contenders });
            }
        }
        let order = self.tick();
        let before = self.contenders(path, Contenders::revision);
        self.session(session)?.entries.insert(key);
        let queue = self.queues.entry(Arc::clone(path)).or_default();
        queue.contenders.insert(Contender { attempt: new.attempt, position: order, mode: new.mode });
        queue.contenders.set_revision(order);
        queue
            .entries
            .insert(new.attempt, EntryRecord { session: session.id, value: new.value, version: order });
        // Who is alone learns so at once; a long queue is not copied for it.
        let contenders = (queue.contenders.len() == 1).then(|| queue.contenders.clone());
        self.remember(
            path,
            before,
            (new.attempt, Changed::Created { order, mode: new.mode, session: session.id }),
            None,
        );
        self.saw(session.id, path);
        self.touch(&Topic::Queue(Arc::clone(path)));
        Ok(Enqueued::Placed { order, contenders })
    }

    pub(crate) fn withdraw(
        &mut self,
        session: SessionRef,
        path: &Arc<KeyPath>,
        attempt: AttemptId,
        certainty: Certainty,
    ) -> Result<Withdrawn, BackendError> {
        self.session(session)?;
        let is_own = self.session(session)?.entries.contains(&(Arc::clone(path), attempt));
        let why = if is_own { Removal::Withdrawn } else { Removal::Forced };
        let owner = self.remove_entry(path, attempt, why);
        self.saw(session.id, path);
        if certainty == Certainty::Ambiguous {
            // Only the session that enqueued can have a request on its way, so it is kept until that one ends.
            let keeper = owner.unwrap_or(session.id);
            let key = (Arc::clone(path), attempt);
            if let Some(record) = self.sessions.get_mut(&keeper) {
                record.tombstones.insert(key.clone());
                self.tombstones.insert(key, keeper);
            }
        }
        Ok(if owner.is_some() { Withdrawn::Removed } else { Withdrawn::WasGone })
    }

    /// Removes an entry and its tie to its session, which it answers.
    pub(crate) fn remove_entry(
        &mut self,
        path: &Arc<KeyPath>,
        attempt: AttemptId,
        why: Removal,
    ) -> Option<u64> {
        let owner = self.remove_from_queue(path, attempt, why)?;
        if let Some(record) = self.sessions.get_mut(&owner) {
            record.entries.remove(&(Arc::clone(path), attempt));
        }
        Some(owner)
    }

    /// Removes an entry from its queue alone.
    pub(crate) fn remove_from_queue(
        &mut self,
        path: &Arc<KeyPath>,
        attempt: AttemptId,
        why: Removal,
    ) -> Option<u64> {
        let revision = self.tick();
        let queue = self.queues.get_mut(path)?;
        let record = queue.entries.remove(&attempt)?;
        let (before, was) = (queue.contenders.revision(), queue.contenders.get(attempt));
        queue.contenders.remove(attempt);
        queue.contenders.set_revision(revision);
        if queue.contenders.is_empty() {
            self.queues.remove(path);
            self.emptied_at = revision;
        }
        self.remember(path, before, (attempt, Changed::Removed(why)), was);
        self.touch(&Topic::Entry(Arc::clone(path), attempt));
        self.touch(&Topic::Queue(Arc::clone(path)));
        Some(record.session)
    }

    /// Removes all entries of a queue and all traces of withdrawn ones.
    pub(crate) fn remove_queue(&mut self, path: &Arc<KeyPath>) {
        let attempts: Vec<_> =
            self.contenders(path, |queue| queue.iter().map(|entry| entry.attempt).collect());
        for attempt in attempts {
            self.remove_entry(path, attempt, Removal::Forced);
        }
        let sessions = &mut self.sessions;
        self.tombstones.retain(|key, keeper| {
            let stays = key.0 != *path;
            if let (false, Some(record)) = (stays, sessions.get_mut(keeper)) {
                record.tombstones.remove(key);
            }
            stays
        });
    }

    pub(crate) fn publish(
        &mut self,
        session: SessionRef,
        path: &Arc<KeyPath>,
        change: Publish,
    ) -> Result<Published, BackendError> {
        self.session(session)?;
        check_size(&change.value)?;
        let no_entry = || BackendError::new(BackendErrorKind::NoEntry, "the attempt has no entry");
        let version = self.tick();
        let queue = self.queues.get_mut(path).ok_or_else(no_entry)?;
        let contender = queue.contenders.get(change.attempt).ok_or_else(no_entry)?;
        let record = queue.entries.get_mut(&change.attempt).ok_or_else(no_entry)?;
        if change.if_version.is_some_and(|expected| expected != record.version) {
            return Ok(Published::VersionDiffers);
        }
        record.value = change.value;
        record.version = version;
        let mode_changed = contender.mode != change.mode;
        let before = queue.contenders.revision();
        if mode_changed {
            queue.contenders.insert(Contender { mode: change.mode, ..contender });
            queue.contenders.set_revision(version);
        }
        self.touch(&Topic::Entry(Arc::clone(path), change.attempt));
        if mode_changed {
            self.remember(path, before, (change.attempt, Changed::Mode(change.mode)), Some(contender));
            self.touch(&Topic::Queue(Arc::clone(path)));
        }
        self.saw(session.id, path);
        Ok(Published::Done { version })
    }

    /// Shows the contenders of a queue.
    pub(crate) fn contenders<T>(&self, path: &KeyPath, look: impl FnOnce(&Contenders) -> T) -> T {
        match self.queues.get(path) {
            Some(queue) => look(&queue.contenders),
            None => {
                let mut empty = Contenders::default();
                empty.set_revision(self.emptied_at);
                look(&empty)
            }
        }
    }
}

pub(crate) fn check_size(value: &Bytes) -> Result<(), BackendError> {
    if value.len() > MAX_VALUE_BYTES { Err(too_large(value.len())) } else { Ok(()) }
}

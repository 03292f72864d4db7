//! The copy of one queue.
//!
//! # Implementation
//!
//! A [`QueueReplica`] is *opening* until it was loaded, then *synced*, or it has *failed*. While the watch is broken it
//! stays synced, at the revision it has; the next load shows what was missed, and wakes those whose entry it concerns.
//!
//! `revision` is how far the copy goes. `floor` is the revision of the newest change of this session's own, or of
//! the newest entry that it was shown by other means: a look at the copy waits until it goes that far, so that nobody
//! sees a state older than what he knows. Both only concern entries of this queue, so a watch that is in order reaches
//! the floor without further ado.
//!
//! A server that was restored, or took over from another one, may know less than we do. Then a load shows a revision
//! behind the floor that was known before it was asked, and the floor goes back to it: what is there now is all there
//! is.
//!
//! The contenders' revision is the copy's own. It follows the service's where that is known, and rises with every change
//! of membership or mode in any case, also from before a failure or a pause to the load after it; so no two states
//! have the same.
//!
//! All of it lives under one lock, which is held for O(log n) steps by anybody but the load, and never across an await.
//! Waiters register under the lock and are woken after it was released ([`Waiters`]); a future that is dropped takes its
//! registration back.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::futures::OwnedNotified;

use super::source::Replica;
use super::waiters::{Registration, Waiters, Woken};
use crate::attempt::AttemptId;
use crate::backend::{Interest, Look};
use crate::backend_error::BackendError;
use crate::contenders::{Contender, Contenders};

/// The contenders of a queue, and how to wait for a change of them.
///
/// It answers [`Queue::contenders`](crate::Queue::contenders) and [`Queue::changed`](crate::Queue::changed). For what they promise it must be
/// told of whatever the session learns by other means: of its own changes ([`QueueReplica::at_least`]), of entries that it reads (the same,
/// with their version) and of those that turn out not to exist ([`QueueReplica::is_gone`]).
#[derive(Debug, Default)]
pub struct QueueReplica(Mutex<State>);

/// One entry as a listing or an event shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// The entry.
    pub contender: Contender,
    /// The revision of its last change, of mode or value: [`Entry::version`](crate::Entry::version).
    pub version: u64,
}

/// A listing of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSnapshot {
    /// The revision that it shows.
    pub revision: u64,
    /// The entries, in any order.
    pub entries: Vec<Listed>,
}

/// A change of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryChange {
    /// It was created, or has another mode or value. Its version is the revision of that.
    Put(Listed),
    /// It was removed.
    Removed {
        /// Whose entry.
        attempt: AttemptId,
        /// The revision of the removal.
        revision: u64,
    },
    /// Which entry is next ahead of another one, for a copy that [does not show all](crate::Queue::near). Whatever the copy shows
    /// between the two, or ahead of the other one if there is none, is there no longer.
    Ahead {
        /// Of whose entry; nothing is concluded if the copy does not show that.
        of: AttemptId,
        /// The one next ahead of it.
        ahead: Option<Listed>,
        /// The revision as of which it is so.
        revision: u64,
    },
}

impl EntryChange {
    fn revision(&self) -> u64 {
        match self {
            Self::Put(listed) => listed.version,
            Self::Removed { revision, .. } | Self::Ahead { revision, .. } => *revision,
        }
    }
}

#[derive(Debug, Default)]
enum Phase {
    #[default]
    Opening,
    Synced,
    Failed(BackendError),
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Topic {
    /// The copy goes as far as this revision.
    Revision(u64),
    /// Membership or modes of the queue.
    Queue,
    /// The entry of an attempt.
    Entry(AttemptId),
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    contenders: Contenders,
    /// The modification of each entry that is known.
    versions: HashMap<AttemptId, u64>,
    /// Events up to here are part of what was loaded.
    loaded: u64,
    revision: u64,
    floor: u64,
    waiters: Waiters<Topic>,
}

/// What a look at the state decides.
enum Step {
    Done,
    Wait(Topic),
}

impl QueueReplica {
    /// From now on nobody is shown a state older than `revision`, at which an entry of this queue changed.
    pub fn at_least(&self, revision: u64) {
        let mut state = self.state();
        state.floor = state.floor.max(revision);
    }

    /// The service says that this attempt has no entry. If the copy still shows one, the copy is older than that, and
    /// later than the removal it cannot show it: the attempt has one entry at most.
    pub fn is_gone(&self, attempt: AttemptId) {
        self.change(|state, woken| state.remove(attempt, 0, woken));
    }

    /// Takes over what was listed apart from the watch, where the service does not tell of every removal; not if the copy goes further by
    /// now. Unlike [`QueueReplica::is_gone`] it also serves a copy that [does not show all](crate::Queue::near), which cannot know
    /// by itself who is ahead when an entry is gone.
    pub fn refresh(&self, snapshot: QueueSnapshot) {
        self.change(|state, woken| {
            if matches!(state.phase, Phase::Synced) && snapshot.revision >= state.revision {
                state.load(0, snapshot, woken);
            }
        });
    }

    /// Entries that are worth asking for where the service does not tell of every removal: at most `waited_for` that somebody
    /// waits for, and the `first` ones of the queue.
    pub fn watched(&self, waited_for: usize, first: usize) -> Vec<AttemptId> {
        let state = self.state();
        let topics = state.waiters.topics().filter_map(|topic| match topic {
            Topic::Entry(attempt) => Some(*attempt),
            Topic::Queue | Topic::Revision(_) => None,
        });
        let mut watched: Vec<AttemptId> = topics.take(waited_for).collect();
        watched.extend(state.contenders.iter().take(first).map(|contender| contender.attempt));
        watched.retain(|attempt| state.contenders.get(*attempt).is_some());
        watched.sort_unstable();
        watched.dedup();
        watched
    }

    /// Shows the contenders once they are as new as everything this session knows.
    ///
    /// # Errors
    /// Waiting for it is in vain: the session is over, or the service refused the watch.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind. `look` was called if and only if it answered `Ok`.
    pub async fn look(&self, look: Look<'_>) -> Result<(), BackendError> {
        let floor = self.state().floor;
        self.until(floor, |state| {
            look(&state.contenders);
            Step::Done
        })
        .await
    }

    /// Resolves once what the caller is interested in is no longer as it saw it.
    ///
    /// # Errors
    /// As [`QueueReplica::look`].
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind.
    pub async fn changed(&self, interest: Interest) -> Result<(), BackendError> {
        let floor = self.state().floor;
        self.until(floor, |state| match interest {
            Interest::Entry { attempt, mode, version } => match state.contenders.get(attempt) {
                Some(entry)
                    if entry.mode == mode
                        && version.is_none_or(|seen| state.versions.get(&attempt) == Some(&seen)) =>
                {
                    Step::Wait(Topic::Entry(attempt))
                }
                _ => Step::Done,
            },
            Interest::Queue { revision } if state.contenders.revision() == revision => {
                Step::Wait(Topic::Queue)
            }
            Interest::Queue { .. } => Step::Done,
        })
        .await
    }

    /// Looks at every state from `floor` on that is worth a look, until `check` is done.
    async fn until(&self, floor: u64, mut check: impl FnMut(&State) -> Step) -> Result<(), BackendError> {
        // Without it, whoever looks in a loop at what is there already would keep the feed from being read.
        tokio::task::coop::consume_budget().await;
        loop {
            let (_registered, changed) = {
                let mut state = self.state();
                let step = match &state.phase {
                    Phase::Failed(failure) => return Err(failure.duplicate()),
                    Phase::Synced if state.revision >= floor => check(&state),
                    Phase::Synced | Phase::Opening => Step::Wait(Topic::Revision(floor)),
                };
                match step {
                    Step::Done => return Ok(()),
                    Step::Wait(topic) => self.register(&mut state, topic),
                }
            };
            changed.await;
        }
    }

    fn register(&self, state: &mut State, topic: Topic) -> (Registered<'_>, OwnedNotified) {
        let (registration, changed) = state.waiters.register(topic);
        (Registered { replica: self, registration }, changed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, then wakes those whom it concerns.
    fn change(&self, change: impl FnOnce(&mut State, &mut Woken)) {
        let mut woken = Woken::default();
        change(&mut self.state(), &mut woken);
        woken.wake();
    }
}

/// A registered waiter.
struct Registered<'a> {
    replica: &'a QueueReplica,
    registration: Registration<Topic>,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.replica.state().waiters.unregister(&self.registration);
    }
}

impl State {
    fn apply(&mut self, change: EntryChange, woken: &mut Woken) {
        let revision = change.revision();
        if revision <= self.loaded {
            return;
        }
        self.revision = self.revision.max(revision);
        match change {
            EntryChange::Put(listed) => self.put(listed, woken),
            EntryChange::Removed { attempt, revision } => self.remove(attempt, revision, woken),
            EntryChange::Ahead { of, ahead, revision } => {
                let from = ahead.map_or(0, |listed| listed.contender.position);
                let between = self.contenders.ahead_of(of).take_while(|shown| shown.position > from);
                let gone: Vec<AttemptId> = between.map(|shown| shown.attempt).collect();
                gone.into_iter().for_each(|attempt| self.remove(attempt, revision, woken));
                if let Some(listed) = ahead
                    && self.contenders.get(of).is_some()
                    && self
                        .versions
                        .get(&listed.contender.attempt)
                        .is_none_or(|known| *known < listed.version)
                {
                    self.put(listed, woken);
                }
            }
        }
    }

    fn put(&mut self, listed: Listed, woken: &mut Woken) {
        let Listed { contender, version } = listed;
        self.versions.insert(contender.attempt, version);
        if self.contenders.get(contender.attempt) != Some(contender) {
            self.contenders.insert(contender);
            self.advance(version, woken);
        }
        self.waiters.changed(&Topic::Entry(contender.attempt), woken);
    }

    fn remove(&mut self, attempt: AttemptId, revision: u64, woken: &mut Woken) {
        self.versions.remove(&attempt);
        if self.contenders.remove(attempt) {
            self.advance(revision, woken);
            self.waiters.changed(&Topic::Entry(attempt), woken);
        }
    }

    /// Membership or modes changed at `revision`, or at an unknown one. No two states have the same number.
    fn advance(&mut self, revision: u64, woken: &mut Woken) {
        let next = self.contenders.revision() + 1;
        self.contenders.set_revision(revision.max(next));
        self.waiters.changed(&Topic::Queue, woken);
    }

    /// How far the copy goes now; whoever waits for less is woken.
    fn reached(&mut self, woken: &mut Woken) {
        self.waiters.changed_within(Topic::Revision(0)..=Topic::Revision(self.revision), woken);
    }

    /// Takes over what was listed after `known` had been the floor, and wakes those for whom it differs from what was known.
    fn load(&mut self, known: u64, snapshot: QueueSnapshot, woken: &mut Woken) {
        let QueueSnapshot { revision, entries } = snapshot;
        if revision < known && self.floor == known {
            self.floor = revision;
        }
        let before = std::mem::take(&mut self.contenders);
        let versions = std::mem::take(&mut self.versions);
        self.contenders = entries.iter().map(|listed| listed.contender).collect();
        self.versions = entries.iter().map(|listed| (listed.contender.attempt, listed.version)).collect();
        for (attempt, version) in versions {
            if self.versions.get(&attempt) != Some(&version) {
                self.waiters.changed(&Topic::Entry(attempt), woken);
            }
        }
        self.contenders.set_revision(before.revision());
        let is_first = !matches!(self.phase, Phase::Synced);
        if is_first || !before.iter().eq(self.contenders.iter()) {
            self.advance(revision, woken);
        }
        self.phase = Phase::Synced;
        self.loaded = revision;
        self.revision = revision;
        self.reached(woken);
    }
}

impl Replica for QueueReplica {
    type Snapshot = QueueSnapshot;
    type Change = Vec<EntryChange>;

    fn begin(&self) {
        let mut state = self.state();
        state.phase = Phase::Opening;
        let revision = state.contenders.revision();
        state.contenders = Contenders::default();
        state.contenders.set_revision(revision);
        state.versions = HashMap::new();
    }

    fn known(&self) -> u64 {
        self.state().floor
    }

    fn load(&self, known: u64, snapshot: QueueSnapshot) {
        self.change(|state, woken| state.load(known, snapshot, woken));
    }

    fn apply(&self, change: Vec<EntryChange>) {
        self.change(|state, woken| {
            change.into_iter().for_each(|change| state.apply(change, woken));
            state.reached(woken);
        });
    }

    fn fail(&self, error: &BackendError) {
        self.change(|state, woken| {
            state.phase = Phase::Failed(error.duplicate());
            state.waiters.changed_within(.., woken);
        });
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;

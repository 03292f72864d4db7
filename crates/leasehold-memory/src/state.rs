//! All that the service knows, and its sessions.
//!
//! # Implementation
//!
//! One [`State`] a service, behind one lock ([`Service::transact`](crate::service::Service::transact)). Every
//! transaction first ends the sessions whose TTL has passed, so nobody ever sees the entry of an expired session.
//! Orders, versions and revisions come from one counter that only grows: they survive queues that empty or are deleted.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use leasehold_core::mirror::{Waiters, Woken};
use leasehold_core::{AttemptId, BackendError, KeyPath, LossReason, Timestamp, Versioned};
use tokio::sync::watch;

use crate::change::{Change, Removal};
use crate::error::{session_lost, superseded};
use crate::past::Past;
use crate::queue_table::QueueRecord;

/// A session as its client refers to it. After a resumption only the newer incarnation is obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionRef {
    pub(crate) id: u64,
    pub(crate) incarnation: u32,
}

pub(crate) struct SessionRecord {
    pub(crate) ttl: Duration,
    pub(crate) secret: [u8; 16],
    deadline: Timestamp,
    incarnation: u32,
    /// Tells the client of the incarnation that it is over, and why.
    over: OverSender,
    pub(crate) entries: BTreeSet<(Arc<KeyPath>, AttemptId)>,
    pub(crate) tombstones: BTreeSet<(Arc<KeyPath>, AttemptId)>,
}

/// Tells a session's client why it is over.
type OverSender = watch::Sender<Option<LossReason>>;

/// Hears of it.
pub(crate) type Over = watch::Receiver<Option<LossReason>>;

/// What can change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    /// One entry of a queue: its existence, mode or value.
    Entry(Arc<KeyPath>, AttemptId),
    /// Membership or modes of a queue.
    Queue(Arc<KeyPath>),
    /// A register.
    Register(Arc<KeyPath>),
}

/// Who is to be told of what a transaction did, once the lock is released.
#[derive(Default)]
pub(crate) struct Wakes {
    waiters: Woken,
    sessions: Vec<(OverSender, LossReason)>,
}

impl Wakes {
    pub(crate) fn fire(self) {
        self.waiters.wake();
        for (over, reason) in self.sessions {
            over.send_replace(Some(reason));
        }
    }
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) waiters: Waiters<Topic>,
    pub(crate) wakes: Wakes,
    counter: u64,
    /// The revision at which a queue became empty last; an empty queue keeps no revision of its own.
    pub(crate) emptied_at: u64,
    last_session: u64,
    pub(crate) sessions: BTreeMap<u64, SessionRecord>,
    expiries: BTreeSet<(Timestamp, u64)>,
    pub(crate) queues: BTreeMap<Arc<KeyPath>, QueueRecord>,
    /// Attempts that may not enter a queue any more, and the sessions that they are kept for.
    pub(crate) tombstones: HashMap<(Arc<KeyPath>, AttemptId), u64>,
    pub(crate) registers: BTreeMap<Arc<KeyPath>, Versioned>,
    /// What has become of entries in this transaction, while somebody wants to know.
    pub(crate) changes: Option<Vec<Change>>,
    /// What queues looked like before, while that can be asked for.
    pub(crate) past: Option<Past>,
    /// Whether renewals are acknowledged and not carried out.
    pub(crate) renews_nothing: bool,
}

impl State {
    /// A number that was never given before.
    pub(crate) fn tick(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// Wakes who waits for `topic`.
    pub(crate) fn touch(&mut self, topic: &Topic) {
        self.waiters.changed(topic, &mut self.wakes.waiters);
    }

    pub(crate) fn open_session(
        &mut self,
        now: Timestamp,
        ttl: Duration,
        secret: [u8; 16],
    ) -> (SessionRef, Over) {
        self.last_session += 1;
        let id = self.last_session;
        let (deadline, (over, heard)) = (now + ttl, watch::channel(None));
        let record = SessionRecord {
            ttl,
            secret,
            deadline,
            incarnation: 0,
            over,
            entries: BTreeSet::new(),
            tombstones: BTreeSet::new(),
        };
        self.sessions.insert(id, record);
        self.expiries.insert((deadline, id));
        (SessionRef { id, incarnation: 0 }, heard)
    }

    /// The incarnation that a session has.
    pub(crate) fn incarnation(&self, id: u64) -> Result<SessionRef, BackendError> {
        let record = self.sessions.get(&id).ok_or_else(session_lost)?;
        Ok(SessionRef { id, incarnation: record.incarnation })
    }

    /// Hands the session to a new incarnation and tells the old one that it is over; `None` if it is not the one that was seen.
    pub(crate) fn take_over(
        &mut self,
        now: Timestamp,
        seen: SessionRef,
    ) -> Result<Option<(SessionRef, Duration, Over)>, BackendError> {
        let id = seen.id;
        let record = self.sessions.get_mut(&id).ok_or_else(session_lost)?;
        if record.incarnation != seen.incarnation {
            return Ok(None);
        }
        record.incarnation += 1;
        let session = SessionRef { id, incarnation: record.incarnation };
        let (over, heard) = watch::channel(None);
        let earlier = std::mem::replace(&mut record.over, over);
        self.wakes.sessions.push((earlier, LossReason::Superseded));
        let ttl = record.ttl;
        self.renew(now, session)?;
        Ok(Some((session, ttl, heard)))
    }

    /// The session, if it lives and the caller is its newest incarnation.
    pub(crate) fn session(&mut self, session: SessionRef) -> Result<&mut SessionRecord, BackendError> {
        match self.sessions.get_mut(&session.id) {
            Some(record) if record.incarnation == session.incarnation => Ok(record),
            Some(_) => Err(superseded()),
            None => Err(session_lost()),
        }
    }

    /// Why the session is over for that incarnation.
    pub(crate) fn loss(&self, session: SessionRef) -> LossReason {
        match self.sessions.get(&session.id) {
            Some(record) if record.incarnation != session.incarnation => LossReason::Superseded,
            _ => LossReason::SessionEnded,
        }
    }

    pub(crate) fn renew(&mut self, now: Timestamp, session: SessionRef) -> Result<(), BackendError> {
        let renews_nothing = self.renews_nothing;
        let record = self.session(session)?;
        if renews_nothing {
            return Ok(());
        }
        // One that a new leader gave more time keeps it.
        let (before, after) = (record.deadline, record.deadline.max(now + record.ttl));
        record.deadline = after;
        self.expiries.remove(&(before, session.id));
        self.expiries.insert((after, session.id));
        Ok(())
    }

    /// Gives every session its TTL anew, and `more`.
    pub(crate) fn extend_sessions(&mut self, now: Timestamp, more: Duration) {
        self.expiries.clear();
        for (id, record) in &mut self.sessions {
            record.deadline = record.deadline.max(now + record.ttl + more);
            self.expiries.insert((record.deadline, *id));
        }
    }

    /// Forgets all sessions, queues and registers. Orders and versions go on to rise.
    pub(crate) fn lose_data(&mut self) {
        let sessions: Vec<_> = self.sessions.keys().copied().collect();
        for id in sessions {
            self.end_session(id, Removal::Forced);
        }
        for register in std::mem::take(&mut self.registers).into_keys() {
            self.touch(&Topic::Register(register));
        }
    }

    /// Ends the session with all that is tied to it; whether there was one.
    pub(crate) fn end_session(&mut self, id: u64, why: Removal) -> bool {
        let Some(record) = self.sessions.remove(&id) else { return false };
        self.expiries.remove(&(record.deadline, id));
        for (path, attempt) in &record.entries {
            self.remove_from_queue(path, *attempt, why);
        }
        for tombstone in &record.tombstones {
            self.tombstones.remove(tombstone);
        }
        self.wakes.sessions.push((record.over, LossReason::SessionEnded));
        true
    }

    /// Ends every session whose TTL has passed at `now`.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        while let Some(&(deadline, id)) = self.expiries.first() {
            if deadline > now {
                return;
            }
            self.end_session(id, Removal::SessionEnded);
        }
    }

    /// When the next session expires, unless it is renewed.
    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.expiries.first().map(|(deadline, _)| *deadline)
    }
}

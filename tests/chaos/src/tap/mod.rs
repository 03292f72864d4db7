//! The service's own word: what it does to queues and sessions, told by itself and not by its clients.

pub(crate) mod etcd;
pub(crate) mod redis;
pub(crate) mod zookeeper;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leasehold_core::Mode;
use leasehold_testkit::history::{Recorder, Removal, What};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the tap has seen and writes down; cheap to clone.
#[derive(Debug, Clone)]
pub struct Tap {
    namespace: Arc<str>,
    recorder: Recorder,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    seen: Mutex<Seen>,
    /// Grows with every session that ends.
    ended: watch::Sender<usize>,
    readers: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Seen {
    /// By queue and entry.
    entries: BTreeMap<(String, String), TappedEntry>,
    /// When each session expired.
    expired: HashMap<String, u64>,
    /// The sessions that are over, for whatever reason.
    over: HashSet<String>,
    /// What somebody other than the owner is about to remove.
    forced_sessions: HashSet<String>,
    forced_keys: HashSet<String>,
}

/// An entry that is there.
#[derive(Debug, Clone)]
pub struct TappedEntry {
    /// The queue.
    pub lock: String,
    /// Whose entry.
    pub entry: String,
    /// What the service calls it.
    pub key: String,
    /// The session that it is tied to.
    pub session: String,
    /// The order in its fencing token.
    pub order: u64,
    /// Its place in the queue.
    pub position: u64,
    /// What it asks for.
    pub mode: Mode,
}

impl Tap {
    /// One that has seen nothing.
    pub fn new(namespace: &str, recorder: Recorder) -> Self {
        let shared =
            Shared { seen: Mutex::default(), ended: watch::Sender::new(0), readers: Mutex::default() };
        Self { namespace: namespace.into(), recorder, shared: Arc::new(shared) }
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Takes charge of a task that reads; it ends with the tap.
    pub(crate) fn reader(&self, task: JoinHandle<()>) {
        self.shared.readers.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }

    /// Ends the reading.
    pub fn close(&self) {
        let mut readers = self.shared.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.drain(..).for_each(|reader| reader.abort());
    }

    pub(crate) fn created(&self, entry: TappedEntry) {
        let TappedEntry { lock, entry: name, order, position, mode, .. } = entry.clone();
        self.lock().entries.insert((lock.clone(), name.clone()), entry);
        self.recorder.record(What::EntryCreated { lock, entry: name, order, position, mode });
    }

    pub(crate) fn changed(&self, lock: &str, entry: &str, mode: Mode) {
        let mut seen = self.lock();
        let Some(known) = seen.entries.get_mut(&(lock.to_owned(), entry.to_owned())) else { return };
        if std::mem::replace(&mut known.mode, mode) != mode {
            self.recorder.record(What::EntryChanged { lock: lock.into(), entry: entry.into(), mode });
        }
    }

    /// An entry goes on under another name of the service's, and in another mode.
    pub(crate) fn replaced(&self, lock: &str, entry: &str, key: &str, mode: Mode) {
        if let Some(known) = self.lock().entries.get_mut(&(lock.to_owned(), entry.to_owned())) {
            known.key = key.to_owned();
        }
        self.changed(lock, entry, mode);
    }

    /// An entry is gone while its session goes on.
    pub(crate) fn removed(&self, lock: &str, entry: &str) {
        let mut seen = self.lock();
        let Some(known) = seen.entries.remove(&(lock.to_owned(), entry.to_owned())) else { return };
        let forced = seen.forced_keys.remove(&known.key);
        let why = if forced { Removal::Forced } else { Removal::Withdrawn };
        self.recorder.record(What::EntryRemoved { lock: lock.into(), entry: entry.into(), why });
    }

    /// A session is over, and so are its entries. `by_owner` where the service tells that its owner closed it.
    pub(crate) fn session_ended(&self, session: &str, by_owner: bool) {
        let mut seen = self.lock();
        let why = match (seen.forced_sessions.contains(session), by_owner) {
            (true, _) => Removal::Forced,
            (false, true) => Removal::Withdrawn,
            (false, false) => Removal::Expired,
        };
        let of_it = seen.entries.iter().filter(|(_, entry)| entry.session == session);
        let gone: Vec<_> = of_it.map(|(name, _)| name.clone()).collect();
        for name in gone {
            seen.entries.remove(&name);
            let (lock, entry) = name;
            self.recorder.record(What::EntryRemoved { lock, entry, why });
        }
        let now = self.recorder.nanos(leasehold_core::Clock::system().now());
        if why == Removal::Expired {
            seen.expired.insert(session.to_owned(), now);
        }
        seen.over.insert(session.to_owned());
        drop(seen);
        self.shared.ended.send_modify(|ended| *ended += 1);
    }

    /// What happens to this session next is somebody else's doing.
    pub fn force_session(&self, session: &str) {
        self.lock().forced_sessions.insert(session.to_owned());
    }

    /// What happens to this entry next is somebody else's doing.
    pub fn force_entry(&self, entry: &TappedEntry) {
        self.lock().forced_keys.insert(entry.key.clone());
    }

    /// The entries that are there now.
    pub fn entries(&self) -> Vec<TappedEntry> {
        self.lock().entries.values().cloned().collect()
    }

    /// The session of the first in each queue that hands out a hold of its own: those who hold now, as a rule.
    pub fn first_sessions(&self) -> Vec<String> {
        let seen = self.lock();
        let mut firsts: BTreeMap<&str, &TappedEntry> = BTreeMap::new();
        for entry in seen.entries.values().filter(|entry| !matches!(entry.mode, Mode::Permits { .. })) {
            let first = firsts.entry(&entry.lock).or_insert(entry);
            if entry.position < first.position {
                *first = entry;
            }
        }
        firsts.into_values().map(|entry| entry.session.clone()).collect()
    }

    /// Returns once these sessions are over, or that time is.
    pub async fn until_over(&self, sessions: &[String], at_most: Duration) {
        let mut ended = self.shared.ended.subscribe();
        let all = ended.wait_for(|_| {
            let seen = self.lock();
            sessions.iter().all(|session| seen.over.contains(session))
        });
        let _ = tokio::time::timeout(at_most, all).await;
    }

    /// Whether a session is over.
    pub fn is_over(&self, session: &str) -> bool {
        self.lock().over.contains(session)
    }

    /// The sessions that the service has ended by itself, and when. Some of them were closed by their owners, where the service does not tell.
    pub fn expired(&self) -> HashMap<String, u64> {
        self.lock().expired.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

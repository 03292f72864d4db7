//! A backend that writes down what its sessions believe, and which session an entry is in.
//!
//! # Implementation
//!
//! A grant shows its token and not its session, whose deadlines are the hold's. So the answers of `enqueue` are looked at: they have the order
//! that the token has. A grant whose entry no answer told of (it was lost, and the entry found again in the queue) is one of the newest
//! session: nothing is granted in a session that is over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use leasehold_core::{
    AttemptId, BackendError, Capabilities, Certainty, Clock, Credentials, Enqueued, Entry, Interest, KeyPath,
    Kind, LivenessCell, LockBackend, Look, NewEntry, OpenSession, Publish, Published, Queue, RegisterWrite,
    RegisterWritten, Session, Versioned, Withdrawn,
};
use leasehold_testkit::history::{Recorder, What};

/// What is said of a session that its owner has closed.
pub(crate) const CLOSED: &str = "Closed";

/// The sessions that one coordinator has had, and what is in them.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    newest: Option<String>,
    /// By queue and order: the newest, and those before.
    entries: HashMap<(String, u64), String>,
    earlier: HashMap<(String, u64), String>,
}

/// So many entries are remembered at least; a grant comes soon after its entry.
const REMEMBERED: usize = 5000;

impl Sessions {
    /// The session that holds the entry of this order.
    pub(crate) fn of(&self, lock: &str, order: u64) -> Option<String> {
        let known = self.lock();
        let entry = (lock.to_owned(), order);
        known.entries.get(&entry).or(known.earlier.get(&entry)).or(known.newest.as_ref()).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(crate) struct Watched {
    inner: Arc<dyn LockBackend>,
    recorder: Recorder,
    sessions: Arc<Sessions>,
}

impl Watched {
    pub(crate) fn new(inner: Arc<dyn LockBackend>, recorder: Recorder) -> Self {
        Self { inner, recorder, sessions: Arc::default() }
    }

    pub(crate) fn sessions(&self) -> Arc<Sessions> {
        Arc::clone(&self.sessions)
    }
}

#[async_trait]
impl LockBackend for Watched {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn endpoint(&self) -> String {
        self.inner.endpoint()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn clock(&self) -> Clock {
        self.inner.clock()
    }

    async fn open_session(&self, options: OpenSession) -> Result<Arc<dyn Session>, BackendError> {
        let inner = self.inner.open_session(options).await?;
        let id = inner.id();
        println!("session {id}");
        self.sessions.lock().newest = Some(id.clone());
        tokio::spawn(self.recorder.clone().follow(id, Arc::clone(inner.liveness())));
        Ok(Arc::new(WatchedSession {
            inner,
            recorder: self.recorder.clone(),
            sessions: Arc::clone(&self.sessions),
        }))
    }
}

struct WatchedSession {
    inner: Arc<dyn Session>,
    recorder: Recorder,
    sessions: Arc<Sessions>,
}

#[async_trait]
impl Session for WatchedSession {
    fn id(&self) -> String {
        self.inner.id()
    }

    fn ttl(&self) -> Duration {
        self.inner.ttl()
    }

    fn liveness(&self) -> &Arc<LivenessCell> {
        self.inner.liveness()
    }

    fn credentials(&self) -> Option<Credentials> {
        self.inner.credentials()
    }

    fn queue(&self, path: &KeyPath) -> Arc<dyn Queue> {
        Arc::new(WatchedQueue {
            inner: self.inner.queue(path),
            lock: path.to_string(),
            session: self.inner.id(),
            sessions: Arc::clone(&self.sessions),
        })
    }

    async fn queues(&self, kind: Kind) -> Result<Vec<KeyPath>, BackendError> {
        self.inner.queues(kind).await
    }

    async fn read(&self, register: &KeyPath) -> Result<Option<Versioned>, BackendError> {
        self.inner.read(register).await
    }

    async fn write(&self, register: &KeyPath, write: RegisterWrite) -> Result<RegisterWritten, BackendError> {
        self.inner.write(register, write).await
    }

    async fn register_changed(&self, register: &KeyPath, seen: u64) -> Result<(), BackendError> {
        self.inner.register_changed(register, seen).await
    }

    async fn close(&self) {
        // Whoever closes it believes in nothing of it any more; and what the service removes then has not expired.
        self.recorder.record(What::SessionLost { session: self.inner.id(), reason: CLOSED.into() });
        self.inner.close().await;
    }
}

struct WatchedQueue {
    inner: Arc<dyn Queue>,
    lock: String,
    session: String,
    sessions: Arc<Sessions>,
}

impl WatchedQueue {
    fn is_here(&self, order: u64) {
        let mut known = self.sessions.lock();
        if known.entries.len() >= REMEMBERED {
            known.earlier = std::mem::take(&mut known.entries);
        }
        known.entries.insert((self.lock.clone(), order), self.session.clone());
    }
}

#[async_trait]
impl Queue for WatchedQueue {
    async fn enqueue(&self, entry: NewEntry) -> Result<Enqueued, BackendError> {
        let enqueued = self.inner.enqueue(entry).await?;
        if let Enqueued::Placed { order, .. } = &enqueued {
            self.is_here(*order);
        }
        Ok(enqueued)
    }

    async fn contenders(&self, look: Look<'_>) -> Result<(), BackendError> {
        self.inner.contenders(look).await
    }

    async fn changed(&self, interest: Interest) -> Result<(), BackendError> {
        self.inner.changed(interest).await
    }

    async fn withdraw(&self, attempt: AttemptId, certainty: Certainty) -> Result<Withdrawn, BackendError> {
        self.inner.withdraw(attempt, certainty).await
    }

    async fn publish(&self, change: Publish) -> Result<Published, BackendError> {
        self.inner.publish(change).await
    }

    async fn entry(&self, attempt: AttemptId) -> Result<Option<Entry>, BackendError> {
        self.inner.entry(attempt).await
    }

    async fn entries(&self) -> Result<Vec<Entry>, BackendError> {
        self.inner.entries().await
    }
}

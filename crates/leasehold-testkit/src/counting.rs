//! Counts what the engine asks of a backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use leasehold_core::{
    AttemptId, BackendError, Capabilities, Certainty, Clock, Credentials, Enqueued, Entry, Interest, KeyPath,
    Kind, LivenessCell, LockBackend, Look, NewEntry, OpenSession, Publish, Published, Queue, RegisterWrite,
    RegisterWritten, ServerReport, Session, Versioned, Withdrawn,
};

/// A backend that passes everything on to another one and counts the operations on queues.
#[derive(Debug, Clone)]
pub struct Counting {
    inner: Arc<dyn LockBackend>,
    counts: Arc<Counts>,
}

/// How often each operation was asked for.
#[derive(Debug, Default)]
pub struct Counts {
    enqueues: AtomicUsize,
    looks: AtomicUsize,
    wake_ups: AtomicUsize,
    withdrawals: AtomicUsize,
}

impl Counts {
    /// Calls of `enqueue`.
    pub fn enqueues(&self) -> usize {
        self.enqueues.load(Ordering::SeqCst)
    }

    /// Calls of `contenders`.
    pub fn looks(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }

    /// How often `changed` resolved: how many waiters were woken.
    pub fn wake_ups(&self) -> usize {
        self.wake_ups.load(Ordering::SeqCst)
    }

    /// Calls of `withdraw`.
    pub fn withdrawals(&self) -> usize {
        self.withdrawals.load(Ordering::SeqCst)
    }
}

impl Counting {
    /// Counts what is asked of `inner`.
    pub fn new(inner: Arc<dyn LockBackend>) -> Self {
        Self { inner, counts: Arc::default() }
    }

    /// The counts, over all sessions.
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }
}

#[async_trait]
impl LockBackend for Counting {
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

    async fn examine(&self, limit: Duration) -> Result<Vec<ServerReport>, BackendError> {
        self.inner.examine(limit).await
    }

    async fn open_session(&self, options: OpenSession) -> Result<Arc<dyn Session>, BackendError> {
        let inner = self.inner.open_session(options).await?;
        Ok(Arc::new(CountingSession { inner, counts: self.counts.clone() }))
    }
}

struct CountingSession {
    inner: Arc<dyn Session>,
    counts: Arc<Counts>,
}

#[async_trait]
impl Session for CountingSession {
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
        Arc::new(CountingQueue { inner: self.inner.queue(path), counts: self.counts.clone() })
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
        self.inner.close().await;
    }
}

struct CountingQueue {
    inner: Arc<dyn Queue>,
    counts: Arc<Counts>,
}

#[async_trait]
impl Queue for CountingQueue {
    async fn enqueue(&self, entry: NewEntry) -> Result<Enqueued, BackendError> {
        self.counts.enqueues.fetch_add(1, Ordering::SeqCst);
        self.inner.enqueue(entry).await
    }

    async fn contenders(&self, look: Look<'_>) -> Result<(), BackendError> {
        self.counts.looks.fetch_add(1, Ordering::SeqCst);
        self.inner.contenders(look).await
    }

    async fn changed(&self, interest: Interest) -> Result<(), BackendError> {
        let changed = self.inner.changed(interest).await;
        self.counts.wake_ups.fetch_add(1, Ordering::SeqCst);
        changed
    }

    async fn near(&self, look: Look<'_>) -> Result<(), BackendError> {
        self.counts.looks.fetch_add(1, Ordering::SeqCst);
        self.inner.near(look).await
    }

    async fn near_changed(&self, interest: Interest) -> Result<(), BackendError> {
        let changed = self.inner.near_changed(interest).await;
        self.counts.wake_ups.fetch_add(1, Ordering::SeqCst);
        changed
    }

    async fn withdraw(&self, attempt: AttemptId, certainty: Certainty) -> Result<Withdrawn, BackendError> {
        self.counts.withdrawals.fetch_add(1, Ordering::SeqCst);
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

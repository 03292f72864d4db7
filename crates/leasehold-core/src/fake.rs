//! A service for the engine's own tests: one queue, and a script of what happens to the changes of its entries.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::attempt::AttemptId;
use crate::backend::{
    Certainty, Credentials, Enqueued, Entry, Interest, LockBackend, Look, NewEntry, OpenSession, Publish,
    Published, Queue, RegisterWrite, RegisterWritten, Session, Versioned, Withdrawn,
};
use crate::backend_error::{BackendError, BackendErrorKind};
use crate::capabilities::Capabilities;
use crate::clock::Clock;
use crate::contenders::{Contender, Contenders};
use crate::coordinator::Coordinator;
use crate::liveness::LivenessCell;
use crate::name::{KeyPath, Kind};
use crate::wire::WireProfile;

/// Longer than any test, so that there are no renewals.
const TTL: Duration = Duration::from_secs(1 << 20);

/// What somebody else writes.
type Write = Box<dyn FnOnce(&mut Entry) + Send>;

/// What happens to a publication.
pub(crate) enum Script {
    /// It fails like that and is not applied.
    Fail(BackendErrorKind),
    /// It is applied, and its answer is lost.
    LoseReply,
    /// It is applied and its answer lost, and then somebody else writes.
    LoseReplyThen(Write),
    /// Somebody else writes before it arrives.
    First(Write),
    /// It is never answered.
    Stall,
}

#[derive(Clone)]
pub(crate) struct Fake(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// Sent to after each change.
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    order: u64,
    entries: Vec<Entry>,
    script: VecDeque<Script>,
}

impl Fake {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner { state: Mutex::default(), changed: watch::Sender::new(()) }))
    }

    pub(crate) async fn coordinator(&self) -> Coordinator {
        let builder = Coordinator::builder(self.clone()).ttl(TTL).runtime(Handle::current());
        builder.connect().await.unwrap()
    }

    /// What happens to the next publications, one after the other.
    pub(crate) fn script(&self, script: impl IntoIterator<Item = Script>) {
        self.state().script.extend(script);
    }

    pub(crate) fn first(&self) -> Option<Entry> {
        self.state().entries.first().cloned()
    }

    /// Somebody else writes into the first entry.
    pub(crate) fn write(&self, write: impl FnOnce(&mut Entry)) {
        self.state().write(None, write);
        self.0.changed.send_replace(());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Changes the entry of an attempt, or the first one.
    fn write(&mut self, attempt: Option<AttemptId>, write: impl FnOnce(&mut Entry)) {
        self.order += 1;
        let order = self.order;
        let mut entries = self.entries.iter_mut();
        if let Some(entry) = entries.find(|entry| attempt.is_none_or(|attempt| entry.attempt == attempt)) {
            write(entry);
            entry.version = order;
        }
    }

    fn publish(&mut self, change: Publish) -> Result<Published, BackendError> {
        let Some(entry) = self.entries.iter().find(|entry| entry.attempt == change.attempt) else {
            return Err(BackendError::new(BackendErrorKind::NoEntry, "there is no entry"));
        };
        if change.if_version.is_some_and(|version| version != entry.version) {
            return Ok(Published::VersionDiffers);
        }
        self.write(Some(change.attempt), |entry| (entry.mode, entry.value) = (change.mode, change.value));
        Ok(Published::Done { version: self.order })
    }

    fn contenders(&self) -> Contenders {
        let as_contender =
            |entry: &Entry| Contender { attempt: entry.attempt, position: entry.order, mode: entry.mode };
        self.entries.iter().map(as_contender).collect()
    }
}

impl std::fmt::Debug for Fake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fake")
    }
}

fn unsupported<T>() -> Result<T, BackendError> {
    Err(BackendError::new(BackendErrorKind::Unsupported, "not in this test"))
}

#[async_trait]
impl LockBackend for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn endpoint(&self) -> String {
        "fake".into()
    }

    fn capabilities(&self) -> Capabilities {
        let mut promised = Capabilities::full(TTL, usize::MAX);
        promised.wire = &[(WireProfile::EtcdV3, Kind::Lock), (WireProfile::EtcdV3, Kind::Election)];
        promised
    }

    fn clock(&self) -> Clock {
        Clock::tokio()
    }

    async fn open_session(&self, options: OpenSession) -> Result<Arc<dyn Session>, BackendError> {
        let (clock, now) = (options.clock.clone(), options.clock.now());
        let liveness = Arc::new(LivenessCell::new(clock, now, TTL));
        Ok(Arc::new(FakeSession { fake: self.clone(), liveness }))
    }
}

struct FakeSession {
    fake: Fake,
    liveness: Arc<LivenessCell>,
}

#[async_trait]
impl Session for FakeSession {
    fn id(&self) -> String {
        "fake".into()
    }

    fn ttl(&self) -> Duration {
        TTL
    }

    fn liveness(&self) -> &Arc<LivenessCell> {
        &self.liveness
    }

    fn credentials(&self) -> Option<Credentials> {
        None
    }

    fn queue(&self, _path: &KeyPath) -> Arc<dyn Queue> {
        Arc::new(self.fake.clone())
    }

    async fn queues(&self, _kind: Kind) -> Result<Vec<KeyPath>, BackendError> {
        unsupported()
    }

    async fn read(&self, _register: &KeyPath) -> Result<Option<Versioned>, BackendError> {
        unsupported()
    }

    async fn write(
        &self,
        _register: &KeyPath,
        _write: RegisterWrite,
    ) -> Result<RegisterWritten, BackendError> {
        unsupported()
    }

    async fn register_changed(&self, _register: &KeyPath, _seen: u64) -> Result<(), BackendError> {
        unsupported()
    }

    async fn close(&self) {}
}

#[async_trait]
impl Queue for Fake {
    async fn enqueue(&self, entry: NewEntry) -> Result<Enqueued, BackendError> {
        let mut state = self.state();
        state.order += 1;
        let (order, NewEntry { attempt, mode, value, .. }) = (state.order, entry);
        state.entries.push(Entry { attempt, order, mode, value, version: order });
        Ok(Enqueued::Placed { order, contenders: Some(state.contenders()) })
    }

    async fn contenders(&self, look: Look<'_>) -> Result<(), BackendError> {
        look(&self.state().contenders());
        Ok(())
    }

    async fn changed(&self, interest: Interest) -> Result<(), BackendError> {
        let Interest::Entry { attempt, mode, version } = interest else { return unsupported() };
        let mut changes = self.0.changed.subscribe();
        loop {
            changes.borrow_and_update();
            let seen = self.entry(attempt).await?;
            let same =
                |entry: Entry| entry.mode == mode && version.is_none_or(|version| version == entry.version);
            if !seen.is_some_and(same) {
                return Ok(());
            }
            // The sender is in `self`.
            let _ = changes.changed().await;
        }
    }

    async fn withdraw(&self, attempt: AttemptId, _certainty: Certainty) -> Result<Withdrawn, BackendError> {
        let mut state = self.state();
        let before = state.entries.len();
        state.entries.retain(|entry| entry.attempt != attempt);
        let removed = state.entries.len() < before;
        self.0.changed.send_replace(());
        Ok(if removed { Withdrawn::Removed } else { Withdrawn::WasGone })
    }

    async fn publish(&self, change: Publish) -> Result<Published, BackendError> {
        let attempt = Some(change.attempt);
        let next = self.state().script.pop_front();
        let lost = || Err(BackendError::new(BackendErrorKind::Indeterminate, "the reply was lost"));
        let published = match next {
            None => self.state().publish(change),
            Some(Script::Fail(kind)) => return Err(BackendError::new(kind, "as the script says")),
            Some(Script::LoseReply) => self.state().publish(change).and_then(|_| lost()),
            Some(Script::LoseReplyThen(write)) => {
                let mut state = self.state();
                let published = state.publish(change);
                state.write(attempt, write);
                published.and_then(|_| lost())
            }
            Some(Script::First(write)) => {
                let mut state = self.state();
                state.write(attempt, write);
                state.publish(change)
            }
            Some(Script::Stall) => std::future::pending().await,
        };
        self.0.changed.send_replace(());
        published
    }

    async fn entry(&self, attempt: AttemptId) -> Result<Option<Entry>, BackendError> {
        Ok(self.state().entries.iter().find(|entry| entry.attempt == attempt).cloned())
    }

    async fn entries(&self) -> Result<Vec<Entry>, BackendError> {
        Ok(self.state().entries.clone())
    }
}

/// Writes a value as it is.
pub(crate) fn raw(value: &'static [u8]) -> impl FnOnce(&mut Entry) + Send {
    move |entry| entry.value = Bytes::from_static(value)
}

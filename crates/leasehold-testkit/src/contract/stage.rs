//! What the cases stand on: a fresh namespace, sessions, short ways to look and to wait.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use leasehold_core::{
    AttemptId, AttemptIds, BackendError, Certainty, Contenders, Enqueued, Entry, Interest, KeyPath, Kind,
    LockBackend, Mode, Namespace, NewEntry, OpenSession, Publish, Published, Queue, RegisterWrite, Session,
    Withdrawn,
};
use tokio::time::{Instant, sleep, timeout};

use super::World;

/// How long anything may take that must happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// How long something is watched that must not happen.
pub(super) const QUIET: Duration = Duration::from_millis(500);

/// What a time limit may be exceeded by on a busy machine.
pub(super) const SLACK: Duration = Duration::from_secs(1);

/// Waits for what must happen.
pub(super) async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    timeout(PATIENCE, happens).await.unwrap_or_else(|_| panic!("within {PATIENCE:?}: {what}"))
}

/// Repeats an operation while the service is not reached.
pub(super) async fn until_reached<T>(what: &str, operation: impl AsyncFn() -> Result<T, BackendError>) -> T {
    soon(what, async {
        loop {
            match operation().await {
                Ok(answer) => return answer,
                Err(error) if error.is_transient() => sleep(Duration::from_millis(20)).await,
                Err(error) => panic!("{what}: {error:?}"),
            }
        }
    })
    .await
}

/// A namespace of its own in a world.
pub(super) struct Stage {
    pub(super) world: Arc<dyn World>,
    pub(super) namespace: Namespace,
    ids: AttemptIds,
}

impl Stage {
    pub(super) fn new(world: Arc<dyn World>) -> Self {
        let ids = AttemptIds::new().expect("randomness");
        let namespace = Namespace::parse(&format!("contract/{}", ids.next())).expect("a sound namespace");
        Self { world, namespace, ids }
    }

    pub(super) fn attempt(&self) -> AttemptId {
        self.ids.next()
    }

    pub(super) fn path(&self, name: &str) -> KeyPath {
        KeyPath::new(&self.namespace, Kind::Lock, name).expect("a sound name")
    }

    pub(super) fn register(&self, name: &str) -> KeyPath {
        KeyPath::new(&self.namespace, Kind::Register, name).expect("a sound name")
    }

    pub(super) fn options(&self, backend: &Arc<dyn LockBackend>) -> OpenSession {
        OpenSession {
            namespace: self.namespace.clone(),
            ttl: self.world.ttl(),
            connect_timeout: PATIENCE,
            request_timeout: self.world.ttl() / 2,
            clock: backend.clock(),
            resume: None,
        }
    }

    pub(super) async fn open_over(&self, backend: Arc<dyn LockBackend>) -> Arc<dyn Session> {
        let options = self.options(&backend);
        soon("a session is opened", backend.open_session(options)).await.expect("the service is reached")
    }

    /// A session over the network that the world can cut.
    pub(super) async fn open(&self) -> Arc<dyn Session> {
        self.open_over(self.world.backend()).await
    }

    /// A session that cuts do not concern.
    pub(super) async fn open_direct(&self) -> Arc<dyn Session> {
        self.open_over(self.world.direct()).await
    }

    /// The queue named `q`, in a session of its own.
    pub(super) async fn seat(&self) -> Seat {
        Seat::new(self.open().await, &self.path("q"))
    }

    /// The same over a connection that cuts do not concern.
    pub(super) async fn direct_seat(&self) -> Seat {
        Seat::new(self.open_direct().await, &self.path("q"))
    }

    /// The keys of this stage that carry something of `attempt`.
    pub(super) async fn traces_of(&self, attempt: AttemptId) -> Vec<String> {
        let mut keys = self.world.listing(self.namespace.as_str()).await;
        keys.retain(|key| key.contains(&attempt.to_string()));
        keys
    }

    /// Waits until the service keeps no trace of `attempt`, which an independent client finds out by asking.
    pub(super) async fn no_trace_of(&self, attempt: AttemptId) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = self.traces_of(attempt).await;
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "still there after {PATIENCE:?}: {left:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A session and one queue of it.
#[derive(Clone)]
pub(super) struct Seat {
    pub(super) session: Arc<dyn Session>,
    pub(super) queue: Arc<dyn Queue>,
}

impl Seat {
    pub(super) fn new(session: Arc<dyn Session>, path: &KeyPath) -> Self {
        let queue = session.queue(path);
        Self { session, queue }
    }

    pub(super) async fn try_enqueue(&self, new: NewEntry) -> Result<Enqueued, BackendError> {
        soon("an enqueue ends", self.queue.enqueue(new)).await
    }

    /// Enters; the order.
    pub(super) async fn enter(&self, attempt: AttemptId, mode: Mode) -> u64 {
        let placed = self.try_enqueue(entry(attempt, mode)).await.expect("an enqueue succeeds");
        order_of(&placed)
    }

    pub(super) async fn exclusive(&self, attempt: AttemptId) -> u64 {
        self.enter(attempt, Mode::Exclusive).await
    }

    /// Enters if it is granted at once; the order.
    pub(super) async fn enter_if_free(&self, attempt: AttemptId, mode: Mode) -> Option<u64> {
        let new = NewEntry { only_if_free: true, ..entry(attempt, mode) };
        match self.try_enqueue(new).await.expect("an enqueue succeeds") {
            Enqueued::Placed { order, .. } => Some(order),
            Enqueued::Busy { .. } => None,
        }
    }

    pub(super) async fn try_look(&self) -> Result<Contenders, BackendError> {
        let mut looks = Vec::new();
        soon("contenders ends", self.queue.contenders(&mut |queue| looks.push(queue.clone()))).await?;
        assert_eq!(looks.len(), 1, "Ok means that it was looked exactly once");
        Ok(looks.remove(0))
    }

    pub(super) async fn look(&self) -> Contenders {
        self.try_look().await.expect("contenders are shown")
    }

    /// The attempts in order, as this session sees them now.
    pub(super) async fn attempts(&self) -> Vec<AttemptId> {
        self.look().await.iter().map(|entry| entry.attempt).collect()
    }

    /// Waits until this session sees exactly these attempts.
    pub(super) async fn until(&self, what: &str, attempts: &[AttemptId]) {
        soon(what, async {
            loop {
                let seen = self.look().await;
                if seen.iter().map(|entry| entry.attempt).eq(attempts.iter().copied()) {
                    return;
                }
                self.changed(Interest::Queue { revision: seen.revision() }).await;
            }
        })
        .await;
    }

    pub(super) async fn changed(&self, interest: Interest) {
        let waited = soon(&format!("{interest:?} resolves"), self.queue.changed(interest)).await;
        waited.unwrap_or_else(|error| panic!("{interest:?}: {error:?}"));
    }

    /// Waits for what is `changed` only when `is_so`; a wait may end early.
    pub(super) async fn until_entry(
        &self,
        attempt: AttemptId,
        what: &str,
        is_so: impl Fn(Option<Mode>) -> bool,
    ) {
        soon(what, async {
            loop {
                let seen = self.look().await;
                let mode = seen.get(attempt).map(|entry| entry.mode);
                if is_so(mode) {
                    return;
                }
                // An entry that is not there yet is no entry to wait for: it may come between the look and the wait.
                let interest = match mode {
                    Some(mode) => Interest::Entry { attempt, mode, version: None },
                    None => Interest::Queue { revision: seen.revision() },
                };
                self.changed(interest).await;
            }
        })
        .await;
    }

    pub(super) async fn gone(&self, attempt: AttemptId) {
        self.until_entry(attempt, "an entry is gone", |mode| mode.is_none()).await;
    }

    pub(super) async fn withdraw(&self, attempt: AttemptId) -> Withdrawn {
        self.withdraw_as(attempt, Certainty::Placed).await
    }

    pub(super) async fn withdraw_as(&self, attempt: AttemptId, certainty: Certainty) -> Withdrawn {
        soon("a withdrawal ends", self.queue.withdraw(attempt, certainty))
            .await
            .expect("a withdrawal succeeds")
    }

    pub(super) async fn try_publish(&self, change: Publish) -> Result<Published, BackendError> {
        soon("a publication ends", self.queue.publish(change)).await
    }

    /// Changes an entry whatever it is; the version.
    pub(super) async fn publish(&self, attempt: AttemptId, mode: Mode, value: impl Into<Bytes>) -> u64 {
        let change = Publish { attempt, mode, value: value.into(), if_version: None };
        match self.try_publish(change).await.expect("a publication succeeds") {
            Published::Done { version } => version,
            Published::VersionDiffers => panic!("no version was asked for"),
        }
    }

    pub(super) async fn entries(&self) -> Vec<Entry> {
        soon("entries ends", self.queue.entries()).await.expect("the entries are read")
    }

    pub(super) async fn entry(&self, attempt: AttemptId) -> Entry {
        let entries = self.entries().await;
        entries.into_iter().find(|entry| entry.attempt == attempt).expect("the entry exists")
    }
}

pub(super) fn entry(attempt: AttemptId, mode: Mode) -> NewEntry {
    NewEntry { attempt, mode, value: Bytes::from_static(b"value"), only_if_free: false }
}

pub(super) fn order_of(placed: &Enqueued) -> u64 {
    match placed {
        Enqueued::Placed { order, .. } => *order,
        Enqueued::Busy { .. } => panic!("nobody asked whether it is free"),
    }
}

pub(super) fn is_gone(attempt: AttemptId) -> Interest {
    Interest::Entry { attempt, mode: Mode::Exclusive, version: None }
}

pub(super) fn write(value: impl Into<Bytes>, if_version: Option<u64>) -> RegisterWrite {
    RegisterWrite { value: value.into(), if_version, if_held: None }
}

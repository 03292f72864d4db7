//! What the cases stand on: fresh names, coordinators, an observer of the queue, a record of tenures.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use leasehold_core::{
    Clock, Coordinator, CoordinatorBuilder, FencingToken, Held, Interest, KeyPath, Kind, LockBackend,
    Namespace, OpenSession, Queue, Session,
};
use tokio::time::{Instant, sleep, timeout};

use crate::contract::World;

/// How long anything in a case may take before the case has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for what must happen.
pub(crate) async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    timeout(PATIENCE, happens).await.unwrap_or_else(|_| panic!("within {PATIENCE:?}: {what}"))
}

/// A patience that is to run out: longer than the answers of a service on a busy machine, which would be another outcome.
pub(crate) const BRIEF: Duration = Duration::from_secs(2);

/// How long something is watched that must not happen.
pub(crate) const QUIET: Duration = Duration::from_millis(300);

/// Watches what must not happen yet.
pub(crate) async fn not_yet<T>(what: &str, happens: impl Future<Output = T>) {
    assert!(timeout(QUIET, happens).await.is_err(), "too early: {what}");
}

/// A namespace of its own in a world.
pub(crate) struct Scene {
    pub(crate) world: Arc<dyn World>,
    namespace: Namespace,
    /// Of the locks that it is about.
    kind: Kind,
}

impl Scene {
    pub(crate) fn new(world: &Arc<dyn World>) -> Self {
        Self::of_kind(world, Kind::Lock)
    }

    /// A scene about what takes the place of the mutexes.
    pub(crate) fn of_kind(world: &Arc<dyn World>, kind: Kind) -> Self {
        let nonce = leasehold_core::AttemptIds::new().expect("randomness").next();
        let namespace = Namespace::parse(&format!("conformance/{nonce}")).expect("a sound namespace");
        Self { world: world.clone(), namespace, kind }
    }

    pub(crate) fn builder(&self) -> CoordinatorBuilder {
        self.builder_over(self.world.backend())
    }

    pub(crate) fn builder_over(&self, backend: impl LockBackend) -> CoordinatorBuilder {
        Coordinator::builder(backend)
            .namespace(self.namespace.clone())
            .ttl(self.world.ttl())
            .request_timeout(self.world.ttl() / 2)
    }

    /// A coordinator with a session of its own.
    pub(crate) async fn node(&self) -> Coordinator {
        soon("a session is opened", self.builder().connect()).await.expect("the service is reached")
    }

    /// The same over a connection that cuts do not concern.
    pub(crate) async fn direct_node(&self) -> Coordinator {
        let builder = self.builder_over(self.world.direct());
        soon("a session is opened", builder.connect()).await.expect("the service is reached")
    }

    /// A coordinator that can die like a process: its driver's runtime is its own.
    pub(crate) async fn mortal(&self) -> Mortal {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let builder = self.builder().runtime(runtime.handle().clone());
        let coordinator =
            soon("a session is opened", builder.connect()).await.expect("the service is reached");
        Mortal { coordinator, runtime: Some(runtime) }
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The path of a lock.
    pub(crate) fn path(&self, name: &str) -> KeyPath {
        self.path_of(self.kind, name)
    }

    pub(crate) fn path_of(&self, kind: Kind, name: &str) -> KeyPath {
        KeyPath::new(&self.namespace, kind, name).expect("a sound name")
    }

    pub(crate) async fn observer(&self) -> Observer {
        let session = self.session_over(self.world.backend()).await;
        Observer { session, namespace: self.namespace.clone(), kind: self.kind }
    }

    /// A session that no coordinator is over and cuts do not concern, to look at registers as they are and to write them as
    /// a stranger would.
    pub(crate) async fn stranger(&self) -> Arc<dyn Session> {
        self.session_over(self.world.direct()).await
    }

    async fn session_over(&self, backend: Arc<dyn LockBackend>) -> Arc<dyn Session> {
        let options = OpenSession {
            namespace: self.namespace.clone(),
            ttl: self.world.ttl(),
            connect_timeout: PATIENCE,
            request_timeout: self.world.ttl() / 2,
            clock: Clock::system(),
            resume: None,
        };
        backend.open_session(options).await.expect("the service is reached")
    }

    /// What the service keeps of this scene: entries and tombstones. The directories that some services have above them
    /// go by themselves when they have been empty for a while.
    pub(crate) async fn listing(&self) -> Vec<String> {
        let mut keys = self.world.listing(self.namespace.as_str()).await;
        let directories = self.namespace.as_str().matches('/').count() + 2;
        keys.retain(|key| key.contains('!') || key.matches('/').count() > directories);
        keys.sort_unstable();
        keys
    }

    /// Waits until the service keeps nothing of this scene.
    pub(crate) async fn nothing_is_left(&self) {
        self.nothing_is_left_within(PATIENCE).await;
    }

    /// Shuts the coordinator down, and waits until the service keeps nothing of this scene: what keeps a withdrawn
    /// enqueue out that may still be on its way goes with the session.
    pub(crate) async fn nothing_is_left_of(&self, node: &Coordinator) {
        node.shutdown(PATIENCE).await.expect("nothing is held");
        self.nothing_is_left().await;
    }

    /// Waits until the service keeps nothing of this scene, which an independent client can only find out by asking.
    pub(crate) async fn nothing_is_left_within(&self, patience: Duration) {
        self.is_left_within(patience, &[]).await;
    }

    /// Returns when the listing is `expected` again: what is withdrawn goes within a round trip, not before the answer.
    pub(crate) async fn only_is_left(&self, expected: &[String]) {
        self.is_left_within(PATIENCE, expected).await;
    }

    async fn is_left_within(&self, patience: Duration, expected: &[String]) {
        let deadline = Instant::now() + patience;
        loop {
            let left = self.listing().await;
            if left == expected {
                return;
            }
            assert!(Instant::now() < deadline, "there after {patience:?}: {left:?} instead of {expected:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends a coordinator's session at the service.
    pub(crate) async fn expire(&self, node: &Coordinator) {
        let session = node.status().borrow().session.clone().expect("the coordinator has a session");
        self.world.expire_session(&session).await;
    }
}

/// See [`Scene::mortal`].
pub(crate) struct Mortal {
    pub(crate) coordinator: Coordinator,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Mortal {
    /// Nothing of it runs any more.
    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Looks at queues through a session of its own.
pub(crate) struct Observer {
    session: Arc<dyn Session>,
    namespace: Namespace,
    kind: Kind,
}

impl Observer {
    /// The queue of the lock `name`, for what only another service's client would do.
    pub(crate) fn queue(&self, name: &str) -> Arc<dyn Queue> {
        self.queue_of(self.kind, name)
    }

    /// Waits until the queue of the lock `name` is seen to have exactly `count` contenders. What is seen may be older than what other
    /// sessions have done, so a count that the queue had before tells nothing.
    pub(crate) async fn contenders(&self, name: &str, count: usize) {
        self.contenders_of(self.kind, name, count).await;
    }

    /// A queue, to be handled by the primitives.
    pub(crate) fn queue_of(&self, kind: Kind, name: &str) -> Arc<dyn Queue> {
        self.session.queue(&KeyPath::new(&self.namespace, kind, name).expect("a sound name"))
    }

    /// The same for a queue of any kind.
    pub(crate) async fn contenders_of(&self, kind: Kind, name: &str, count: usize) {
        let queue = self.queue_of(kind, name);
        soon(&format!("{name:?} has {count} contenders"), async {
            loop {
                let mut seen = (0, 0);
                let looked = queue.contenders(&mut |queue| seen = (queue.len(), queue.revision())).await;
                if looked.is_ok() && seen.0 == count {
                    return;
                }
                // An error means that the way to the service is disturbed; `changed` waits for its end.
                let _ =
                    timeout(Duration::from_millis(500), queue.changed(Interest::Queue { revision: seen.1 }))
                        .await;
            }
        })
        .await;
    }
}

/// Records who held when, and fails as soon as two do at once or a token does not rise.
#[derive(Clone, Default)]
pub(crate) struct Record {
    inside: Arc<AtomicUsize>,
    tokens: Arc<StdMutex<Vec<FencingToken>>>,
}

impl Record {
    /// Works under `guard` for a moment.
    pub(crate) async fn tenure(&self, guard: &Held) {
        self.enter(guard);
        tokio::task::yield_now().await;
        self.leave();
    }

    pub(crate) fn enter(&self, guard: &Held) {
        assert!(guard.is_held(), "a grant is held");
        assert_eq!(self.inside.fetch_add(1, Ordering::SeqCst), 0, "two hold at once");
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = tokens.last() {
            assert!(guard.fencing_token() > *last, "{:?} after {last:?}", guard.fencing_token());
        }
        tokens.push(guard.fencing_token());
    }

    pub(crate) fn leave(&self) {
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }

    pub(crate) fn tenures(&self) -> usize {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

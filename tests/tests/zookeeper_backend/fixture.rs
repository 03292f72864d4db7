//! Sessions against a server, and short ways to use them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use leasehold_core::{
    AttemptId, AttemptIds, BackendErrorKind, Certainty, Clock, Contender, Enqueued, KeyPath, Kind,
    LockBackend, Mode, Namespace, NewEntry, OpenSession, Queue, Session, WireLayout, WireProfile,
};
use leasehold_testkit::servers::{ServerOptions, ZooKeeperServer};
use leasehold_zookeeper::{ZooKeeperBackend, ZooKeeperConfig};
use tokio::sync::OnceCell;
use zookeeper_client::Client;

pub(crate) const TTL: Duration = Duration::from_secs(4);
pub(crate) const TICK: Duration = Duration::from_millis(500);

/// A server for tests that do it no harm.
pub(crate) async fn server() -> &'static ZooKeeperServer {
    static SERVER: OnceCell<ZooKeeperServer> = OnceCell::const_new();
    SERVER.get_or_init(|| ZooKeeperServer::start(ServerOptions::default())).await
}

pub(crate) fn backend(endpoint: &str) -> ZooKeeperBackend {
    ZooKeeperBackend::new(ZooKeeperConfig::new([endpoint]).tick(TICK)).unwrap()
}

pub(crate) fn options(namespace: &Namespace) -> OpenSession {
    OpenSession {
        namespace: namespace.clone(),
        ttl: TTL,
        connect_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(5),
        clock: Clock::system(),
        resume: None,
    }
}

pub(crate) async fn open(endpoint: &str, namespace: &Namespace) -> Arc<dyn Session> {
    backend(endpoint).open_session(options(namespace)).await.unwrap()
}

/// A namespace that no other test uses.
pub(crate) fn namespace() -> Namespace {
    Namespace::parse(&format!("test-{}", AttemptIds::new().unwrap().next())).unwrap()
}

pub(crate) fn lock(namespace: &Namespace, name: &str) -> KeyPath {
    KeyPath::new(namespace, Kind::Lock, name).unwrap()
}

/// The paths of one mutex in each layout that a directory can have.
pub(crate) fn lock_in_each_layout(namespace: &Namespace, name: &str) -> [KeyPath; 3] {
    let verbatim = |profile| {
        let path = format!("/app-{}/{profile}/{name}", namespace.as_str());
        KeyPath::verbatim(namespace, WireLayout::new(profile, Kind::Lock), &path).unwrap()
    };
    [lock(namespace, name), verbatim(WireProfile::Curator), verbatim(WireProfile::Kazoo)]
}

/// A client that looks at the server from outside.
pub(crate) async fn observer(endpoint: &str) -> Client {
    Client::connect(endpoint).await.unwrap()
}

pub(crate) fn entry(attempt: AttemptId, mode: Mode) -> NewEntry {
    NewEntry { attempt, mode, value: Bytes::from_static(b"value"), only_if_free: false }
}

pub(crate) fn try_entry(attempt: AttemptId, mode: Mode) -> NewEntry {
    NewEntry { only_if_free: true, ..entry(attempt, mode) }
}

/// Enters the queue; the order.
pub(crate) async fn enter(queue: &dyn Queue, attempt: AttemptId) -> u64 {
    match queue.enqueue(entry(attempt, Mode::Exclusive)).await.unwrap() {
        Enqueued::Placed { order, .. } => order,
        Enqueued::Busy { .. } => panic!("busy without being asked"),
    }
}

pub(crate) async fn leave(queue: &dyn Queue, attempt: AttemptId) {
    queue.withdraw(attempt, Certainty::Placed).await.unwrap();
}

/// The contenders in order and their revision, as the server has them now.
pub(crate) async fn look(queue: &dyn Queue) -> (Vec<Contender>, u64) {
    // No queue has this revision, so it has changed; what is shown after that may not be older.
    queue.changed(leasehold_core::Interest::Queue { revision: u64::MAX }).await.unwrap();
    let mut seen = None;
    queue
        .contenders(&mut |contenders| seen = Some((contenders.iter().collect(), contenders.revision())))
        .await
        .unwrap();
    seen.unwrap()
}

pub(crate) async fn attempts(queue: &dyn Queue) -> Vec<AttemptId> {
    look(queue).await.0.into_iter().map(|contender| contender.attempt).collect()
}

pub(crate) fn kind<T: std::fmt::Debug>(outcome: Result<T, leasehold_core::BackendError>) -> BackendErrorKind {
    outcome.unwrap_err().kind()
}

/// Fails a test that waits for what never comes.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it never came")
}

/// Whether a future stays pending for a while in which its news would have come.
pub(crate) async fn is_pending(future: &mut (impl Future + Unpin)) -> bool {
    tokio::time::timeout(Duration::from_millis(300), future).await.is_err()
}

/// How many watches there are, but for those by which sessions hear that another process resumed them.
pub(crate) async fn watches(server: &ZooKeeperServer) -> usize {
    let answer = server.four_letter("wchp").await;
    let mut own = false;
    let counted = answer.lines().filter(|line| {
        // Each path is followed by the sessions that watch it, indented.
        if line.starts_with('/') {
            own = line.contains("/!sessions/");
        }
        line.starts_with('\t') && !own
    });
    counted.count()
}

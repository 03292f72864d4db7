//! Sessions against a server, and short ways to use them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use leasehold_core::{
    AttemptId, AttemptIds, BackendError, BackendErrorKind, Clock, Coordinator, Enqueued, Interest, KeyPath,
    Kind, Liveness, LockBackend, Mode, Namespace, NewEntry, OpenSession, Queue, RegisterWrite, Session,
};
use leasehold_redis::{RedisBackend, RedisConfig};
use leasehold_testkit::servers::{RedisServer, ServerOptions};

pub(crate) const TTL: Duration = Duration::from_secs(5);

/// Long enough for no renewal to fall into a count.
pub(crate) const LONG_TTL: Duration = Duration::from_secs(600);

pub(crate) async fn server() -> RedisServer {
    RedisServer::start(ServerOptions::default()).await
}

pub(crate) async fn server_with(args: &[&str]) -> RedisServer {
    let options = args.iter().fold(ServerOptions::default(), |options, arg| options.arg(arg));
    RedisServer::start(options).await
}

pub(crate) fn options(ttl: Duration) -> OpenSession {
    OpenSession {
        namespace: Namespace::default(),
        ttl,
        connect_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(2),
        clock: Clock::system(),
        resume: None,
    }
}

pub(crate) async fn try_open(config: RedisConfig) -> Result<Arc<dyn Session>, BackendError> {
    RedisBackend::new(config).unwrap().open_session(options(TTL)).await
}

pub(crate) async fn open(endpoint: &str, ttl: Duration) -> Arc<dyn Session> {
    let backend = RedisBackend::new(RedisConfig::new(endpoint)).unwrap();
    backend.open_session(options(ttl)).await.unwrap()
}

pub(crate) async fn coordinator(endpoint: &str, ttl: Duration) -> Coordinator {
    coordinator_over(RedisConfig::new(endpoint), ttl).await
}

pub(crate) async fn coordinator_over(config: RedisConfig, ttl: Duration) -> Coordinator {
    Coordinator::builder(RedisBackend::new(config).unwrap()).ttl(ttl).connect().await.unwrap()
}

pub(crate) fn lock(name: &str) -> KeyPath {
    KeyPath::new(&Namespace::default(), Kind::Lock, name).unwrap()
}

pub(crate) fn register(name: &str) -> KeyPath {
    KeyPath::new(&Namespace::default(), Kind::Register, name).unwrap()
}

pub(crate) fn write(value: &'static str) -> RegisterWrite {
    RegisterWrite { value: value.into(), if_version: None, if_held: None }
}

pub(crate) fn entry(attempt: AttemptId) -> NewEntry {
    NewEntry { attempt, mode: Mode::Exclusive, value: Bytes::from_static(b"value"), only_if_free: false }
}

pub(crate) async fn try_enter(queue: &dyn Queue, attempt: AttemptId) -> Result<u64, BackendError> {
    match queue.enqueue(entry(attempt)).await? {
        Enqueued::Placed { order, .. } => Ok(order),
        Enqueued::Busy { .. } => panic!("busy without being asked"),
    }
}

pub(crate) async fn place(queue: &dyn Queue, ids: &AttemptIds) -> AttemptId {
    let attempt = ids.next();
    try_enter(queue, attempt).await.unwrap();
    attempt
}

pub(crate) fn gone(attempt: AttemptId) -> Interest {
    Interest::Entry { attempt, mode: Mode::Exclusive, version: None }
}

pub(crate) async fn contenders(queue: &dyn Queue) -> Vec<AttemptId> {
    let mut seen = Vec::new();
    queue.contenders(&mut |contenders| seen = contenders.iter().map(|c| c.attempt).collect()).await.unwrap();
    seen
}

pub(crate) fn kind<T>(outcome: Result<T, BackendError>) -> BackendErrorKind {
    outcome.map(drop).unwrap_err().kind()
}

pub(crate) async fn until_suspect(session: &dyn Session) {
    let mut states = session.liveness().subscribe();
    soon(states.wait_for(|state| matches!(state, Liveness::Suspect { .. }))).await.unwrap();
}

/// Fails a test that waits for what never comes.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it never came")
}

/// The keys of the default namespace that do not belong to it for ever.
pub(crate) async fn passing_keys(server: &RedisServer) -> Vec<String> {
    let mut keys = server.keys("*").await;
    keys.retain(|key| !key.ends_with(":seq"));
    keys
}

/// The key of that name in the shard that `path` is in, once something was written there.
pub(crate) async fn key_beside(server: &RedisServer, path: &KeyPath, name: &str) -> String {
    let queue = path.as_str().strip_prefix("leasehold/").unwrap();
    for index in server.keys("{*}:?:index").await {
        let (from, to) = (format!("[{queue}/"), format!("({queue}0"));
        let found = server.command(&["ZLEXCOUNT", &index, &from, &to]).await.text();
        if found != "0" {
            return index.replace(":index", &format!(":{name}"));
        }
    }
    panic!("nothing of {path} is there");
}

//! What the tests of the etcd backend share.
#![allow(dead_code)] // each test crate uses a part of it

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Client, CompactionOptions, GetOptions};
use leasehold_core::{
    AttemptId, AttemptIds, Clock, Coordinator, Interest, KeyPath, Kind, Liveness, LockBackend, Mode,
    Namespace, NewEntry, OpenSession, Queue, Session,
};
use leasehold_etcd::{EtcdBackend, EtcdConfig};
use leasehold_testkit::servers::EtcdServer;

pub(crate) const TTL: Duration = Duration::from_secs(15);
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) fn backend(endpoint: &str) -> EtcdBackend {
    EtcdBackend::new(EtcdConfig::new([endpoint])).unwrap()
}

pub(crate) fn options(ttl: Duration) -> OpenSession {
    OpenSession {
        namespace: Namespace::default(),
        ttl,
        connect_timeout: Duration::from_secs(5),
        request_timeout: REQUEST_TIMEOUT,
        clock: Clock::system(),
        resume: None,
    }
}

pub(crate) async fn open(endpoint: &str, ttl: Duration) -> Arc<dyn Session> {
    backend(endpoint).open_session(options(ttl)).await.unwrap()
}

pub(crate) async fn coordinator(endpoint: &str) -> Coordinator {
    Coordinator::builder(backend(endpoint)).ttl(TTL).connect().await.unwrap()
}

pub(crate) fn path(kind: Kind, name: &str) -> KeyPath {
    KeyPath::new(&Namespace::default(), kind, name).unwrap()
}

pub(crate) fn entry(attempt: AttemptId) -> NewEntry {
    NewEntry { attempt, mode: Mode::Exclusive, value: "value".into(), only_if_free: false }
}

pub(crate) async fn place(queue: &dyn Queue, ids: &AttemptIds) -> AttemptId {
    let attempt = ids.next();
    queue.enqueue(entry(attempt)).await.unwrap();
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

/// How many requests of a method the server has handled.
pub(crate) async fn handled(server: &EtcdServer, method: &str) -> u64 {
    server.metrics().await.with("grpc_server_handled_total", &[("grpc_method", method)]) as u64
}

/// A client of its own, for what administrators do behind a backend's back.
pub(crate) async fn admin(server: &EtcdServer) -> Client {
    Client::connect([server.endpoint()], None).await.unwrap()
}

/// How many keys there are.
pub(crate) async fn keys(server: &EtcdServer) -> i64 {
    let all = GetOptions::new().with_all_keys().with_count_only();
    admin(server).await.get("", Some(all)).await.unwrap().count()
}

/// Forgets all history.
pub(crate) async fn compact(server: &EtcdServer) {
    let mut admin = admin(server).await;
    let now = admin.put("elsewhere", "", None).await.unwrap().header().unwrap().revision();
    admin.compact(now, Some(CompactionOptions::new().with_physical())).await.unwrap();
    admin.delete("elsewhere", None).await.unwrap();
}

/// Ends a session at the service.
pub(crate) async fn revoke(server: &EtcdServer, session: &dyn Session) {
    let lease = i64::from_str_radix(&session.id(), 16).unwrap();
    admin(server).await.lease_revoke(lease).await.unwrap();
}

pub(crate) async fn until_live(session: &dyn Session) {
    let mut states = session.liveness().subscribe();
    states.wait_for(|state| matches!(state, Liveness::Live { .. })).await.unwrap();
}

pub(crate) async fn until_suspect(session: &dyn Session) {
    let mut states = session.liveness().subscribe();
    states.wait_for(|state| matches!(state, Liveness::Suspect { .. })).await.unwrap();
}

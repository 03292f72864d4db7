//! Shorthands of these tests.

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{
    AttemptId, AttemptIds, BackendError, Certainty, Contenders, Enqueued, Interest, KeyPath, Kind,
    LockBackend, Mode, Namespace, NewEntry, OpenSession, Queue, Session,
};
use leasehold_memory::{Call, Fault, MemoryBackend, MemoryService, Operation};

pub(crate) const TTL: Duration = Duration::from_secs(10);
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) fn path(name: &str) -> KeyPath {
    KeyPath::new(&Namespace::default(), Kind::Lock, name).unwrap()
}

pub(crate) fn options(backend: &MemoryBackend) -> OpenSession {
    OpenSession {
        namespace: Namespace::default(),
        ttl: TTL,
        connect_timeout: REQUEST_TIMEOUT,
        request_timeout: REQUEST_TIMEOUT,
        clock: backend.clock(),
        resume: None,
    }
}

pub(crate) async fn open(service: &MemoryService) -> Arc<dyn Session> {
    let backend = service.backend();
    backend.open_session(options(&backend)).await.unwrap()
}

pub(crate) fn exclusive(attempt: AttemptId) -> NewEntry {
    NewEntry { attempt, mode: Mode::Exclusive, value: "me".into(), only_if_free: false }
}

pub(crate) async fn enqueue(queue: &Arc<dyn Queue>, attempt: AttemptId) -> Result<u64, BackendError> {
    match queue.enqueue(exclusive(attempt)).await? {
        Enqueued::Placed { order, .. } => Ok(order),
        Enqueued::Busy { .. } => unreachable!("nobody asked whether it is free"),
    }
}

pub(crate) async fn snapshot(queue: &Arc<dyn Queue>) -> Contenders {
    let mut seen = None;
    queue.contenders(&mut |contenders| seen = Some(contenders.clone())).await.unwrap();
    seen.unwrap()
}

pub(crate) fn gone(attempt: AttemptId) -> Interest {
    Interest::Entry { attempt, mode: Mode::Exclusive, version: None }
}

pub(crate) fn attempts<const N: usize>() -> [AttemptId; N] {
    let ids = AttemptIds::new().unwrap();
    std::array::from_fn(|_| ids.next())
}

/// A hook that does `fault` to every call of `operation`.
pub(crate) fn each(operation: Operation, fault: Fault) -> impl Fn(&Call) -> Fault + Send + Sync {
    move |call| if call.operation == operation { fault } else { Fault::None }
}

pub(crate) async fn withdraw(queue: &Arc<dyn Queue>, attempt: AttemptId) -> leasehold_core::Withdrawn {
    queue.withdraw(attempt, Certainty::Placed).await.unwrap()
}

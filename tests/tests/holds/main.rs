//! How holds begin and end, on paused time, over the memory service with injected faults: limits, breaking, what is counted.

mod breaking;
mod limits;

use std::future::Future;
use std::time::Duration;

use leasehold::memory::MemoryService;
use leasehold::{Coordinator, CoordinatorBuilder, ErrorKind, LossReason, ReleaseError};
use leasehold_core::{KeyPath, Kind, Namespace};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

const TTL: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// What timers and yields may add on paused time.
const TICK: Duration = Duration::from_millis(2);

fn builder(service: &MemoryService) -> CoordinatorBuilder {
    Coordinator::builder(service.backend())
        .ttl(TTL)
        .request_timeout(REQUEST_TIMEOUT)
        .runtime(Handle::current())
}

async fn node(service: &MemoryService) -> Coordinator {
    builder(service).connect().await.unwrap()
}

fn path(name: &str) -> KeyPath {
    KeyPath::new(&Namespace::default(), Kind::Lock, name).unwrap()
}

fn entries(service: &MemoryService) -> usize {
    service.entries(&path("one")).len()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[track_caller]
fn about(took: Duration, expected: Duration) {
    assert!(took >= expected && took <= expected + TICK, "{took:?} instead of {expected:?}");
}

async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    (future.await, start.elapsed())
}

/// The reason of a release that came too late.
#[track_caller]
fn lost(released: Result<(), ReleaseError>) -> Option<LossReason> {
    match released {
        Err(ReleaseError::Lost(error)) => error.loss_reason(),
        other => panic!("not lost: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn waits_holds_and_their_ends_are_counted() {
    let service = MemoryService::with_tokio_time();
    let (node, other) = (node(&service).await, node(&service).await);
    let (mutex, same, anew) = (node.mutex("one"), node.mutex("one"), node.mutex("one").max_hold(secs(7)));
    let mutex = {
        drop(same);
        mutex
    };
    let clone = mutex.clone();

    let guard = clone.lock().await.unwrap();
    assert_eq!((mutex.stats().acquisitions(), mutex.stats().holds.count()), (1, 0), "shared by clones");
    assert!(mutex.try_lock().await.unwrap().is_none());
    assert!(mutex.try_lock_for(secs(3)).await.unwrap().is_none());
    assert!(mutex.try_lock_for(Duration::ZERO).await.unwrap().is_none());
    assert!(tokio::time::timeout(secs(2), mutex.lock()).await.is_err());
    sleep(TICK).await;
    let waiting = tokio::spawn({
        let mutex = mutex.clone();
        async move { mutex.lock().await.unwrap() }
    });
    sleep(secs(15)).await;
    guard.release().await.unwrap();
    let second = waiting.await.unwrap();
    let session = node.status().borrow().session.clone().unwrap();
    sleep(secs(1)).await;
    service.expire_session(&session);
    second.lost().await;
    drop(second);
    drop(other.mutex("one").lock().await.unwrap());

    let stats = mutex.stats();
    assert_eq!((stats.acquisitions(), stats.holds.count()), (2, 2));
    assert_eq!((stats.contended, stats.timed_out, stats.cancelled), (2, 1, 1));
    assert_eq!((stats.failed, stats.losses), (0, 1));
    about(stats.waits.max(), secs(15));
    about(stats.waits.p50(), Duration::ZERO);
    about(stats.holds.max(), secs(20) + TICK);

    let guard = anew.lock().await.unwrap();
    guard.lost().await;
    sleep(secs(100)).await;
    drop(guard);
    let counted = anew.stats();
    assert_eq!((counted.acquisitions(), counted.losses), (1, 1), "a handle counts for itself");
    about(counted.holds.max(), secs(7));
    let mut both = counted.clone();
    both.merge(&stats);
    assert_eq!((both.acquisitions(), both.losses, both.holds.count()), (3, 2, 3));

    node.shutdown(secs(1)).await.unwrap();
    assert_eq!(mutex.lock().await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(mutex.stats().failed, 1);
}

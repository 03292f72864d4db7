//! How holds begin and end, on paused time, over the memory service with injected faults: limits, breaking, what is counted.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use leasehold::memory::{Fault, MemoryService, Operation};
use leasehold::{
    Coordinator, CoordinatorBuilder, Error, ErrorKind, LossReason, Recipe, ReleaseError, Released,
};
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
async fn a_maximum_hold_is_lost_on_time_and_handed_over() {
    let service = MemoryService::with_tokio_time();
    let (holder, other) = (node(&service).await, node(&service).await);
    let mutex = holder.mutex("one").max_hold(secs(60));
    let guard = mutex.lock().await.unwrap();
    let next = tokio::spawn(async move { other.mutex("one").lock().await.unwrap() });
    let (worked, took) = timed(guard.while_held(std::future::pending::<()>())).await;
    about(took, secs(60));
    assert_eq!(worked.unwrap_err().loss_reason(), Some(LossReason::MaxHoldPassed));
    assert!(!guard.is_held() && guard.cancellation_token().is_cancelled());
    let (next, took) = timed(next).await;
    about(took, Duration::ZERO);
    let next = next.unwrap();
    assert!(next.fencing_token() > guard.fencing_token());
    assert_eq!(guard.lost().await, LossReason::MaxHoldPassed);
    assert_eq!(lost(guard.release().await), Some(LossReason::MaxHoldPassed));
    assert!(next.is_held() && entries(&service) == 1);
    assert_eq!((mutex.stats().losses, mutex.stats().holds.count()), (1, 1));
}

/// The maximum is over while the service does not answer: the holder is told all the same, and the entry goes as soon as it can.
#[tokio::test(start_paused = true)]
async fn a_maximum_hold_needs_no_service_to_be_told() {
    let service = MemoryService::with_tokio_time();
    let backend = service.backend();
    let holder =
        Coordinator::builder(backend.clone()).ttl(TTL).runtime(Handle::current()).connect().await.unwrap();
    let guard = holder.mutex("one").max_hold(secs(3)).lock().await.unwrap();
    sleep(secs(1)).await;
    backend.cut();
    let (reason, took) = timed(guard.lost()).await;
    about(took, secs(2));
    assert_eq!(reason, LossReason::MaxHoldPassed);
    assert_eq!(entries(&service), 1);
    backend.heal();
    sleep(secs(2)).await;
    assert_eq!(entries(&service), 0);
}

/// Whichever of release and maximum is first, the other one agrees, and the entry goes once.
#[tokio::test(start_paused = true)]
async fn a_release_that_races_the_maximum() {
    let at = secs(5);
    let (mut released, mut passed) = (0, 0);
    for offset in 0..=40_u64 {
        let service = MemoryService::with_tokio_time();
        let node = node(&service).await;
        let mutex = node.mutex("one").max_hold(at);
        let guard = mutex.lock().await.unwrap();
        let held = guard.held();
        sleep(at - Duration::from_millis(2) + Duration::from_micros(offset * 100)).await;
        let outcome = guard.release().await;
        let reason = held.lost().await;
        match outcome {
            Ok(()) => {
                released += 1;
                assert_eq!(reason, LossReason::Released);
            }
            Err(ReleaseError::Lost(error)) => {
                passed += 1;
                assert_eq!((reason, error.loss_reason()), (LossReason::MaxHoldPassed, Some(reason)));
            }
            other => panic!("{offset}: {other:?}"),
        }
        node.shutdown(secs(1)).await.unwrap();
        assert!(service.is_empty());
        assert_eq!(mutex.stats().holds.count(), 1);
    }
    assert!(released > 0 && passed > 0, "both were seen: {released} and {passed}");
}

#[tokio::test(start_paused = true)]
async fn a_minimum_hold_keeps_the_entry() {
    let service = MemoryService::with_tokio_time();
    let (holder, other) = (node(&service).await, node(&service).await);
    for dropped in [false, true] {
        let mutex = holder.mutex("one").min_hold(secs(30));
        let guard = mutex.lock().await.unwrap();
        let held = guard.held();
        let next = tokio::spawn({
            let mutex = other.mutex("one");
            async move { mutex.lock().await.unwrap() }
        });
        sleep(secs(10)).await;
        let start = Instant::now();
        if dropped {
            drop(guard);
        } else {
            let (outcome, took) = timed(guard.release()).await;
            outcome.unwrap();
            about(took, secs(20));
        }
        assert!(!held.is_held(), "the hold is over, the rest is the entry's");
        assert_eq!(held.lost().await, LossReason::Released);
        let next = next.await.unwrap();
        about(start.elapsed(), secs(20));
        about(mutex.stats().holds.max(), secs(10));
        drop(next);
        sleep(TICK).await;
        // A hold that was longer than that is released at once.
        let guard = mutex.lock().await.unwrap();
        sleep(secs(31)).await;
        let (outcome, took) = timed(guard.release()).await;
        outcome.unwrap();
        about(took, Duration::ZERO);
        assert_eq!(entries(&service), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_ends_the_rest_of_a_minimum_hold() {
    let service = MemoryService::with_tokio_time();
    let other = node(&service).await;
    for ending in ["expiry", "removal", "force"] {
        let holder = node(&service).await;
        let guard = holder.mutex("one").min_hold(secs(3600)).lock().await.unwrap();
        sleep(secs(1)).await;
        let releasing = tokio::spawn(guard.release());
        sleep(secs(1)).await;
        assert!(!releasing.is_finished() && entries(&service) == 1);
        let start = Instant::now();
        match ending {
            "expiry" => {
                let session = holder.status().borrow().session.clone().unwrap();
                assert!(service.expire_session(&session));
            }
            "removal" => service.remove_queue(&path("one")),
            _ => {
                let released = other.mutex("one").force_release("a test").await.unwrap();
                assert_eq!(released, Released::ByHolder, "the rest is attended to");
            }
        }
        let reason = lost(releasing.await.unwrap());
        about(start.elapsed(), Duration::ZERO);
        match ending {
            // Whichever is noticed first.
            "expiry" => assert!(
                [Some(LossReason::SessionEnded), Some(LossReason::EntryRemoved)].contains(&reason),
                "{reason:?}"
            ),
            "removal" => assert_eq!(reason, Some(LossReason::EntryRemoved)),
            _ => assert_eq!(reason, Some(LossReason::ForceReleased)),
        }
        let next = other.mutex("one").try_lock().await.unwrap().expect("free");
        next.release().await.unwrap();
        assert_eq!(entries(&service), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn asking_does_not_cut_the_rest_of_a_minimum_hold() {
    let service = MemoryService::with_tokio_time();
    let holder = node(&service).await;
    let mutex = holder.mutex("one");
    let guard = mutex.clone().min_hold(secs(30)).lock().await.unwrap();
    sleep(secs(1)).await;
    let releasing = tokio::spawn(guard.release());
    sleep(secs(1)).await;
    assert!(mutex.ask_to_release("a test").await.unwrap());
    let (outcome, took) = timed(releasing).await;
    outcome.unwrap().unwrap();
    about(took, secs(28));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_a_minimum_hold_within_its_grace() {
    let service = MemoryService::with_tokio_time();
    let holder = node(&service).await;
    drop(holder.mutex("one").min_hold(secs(30)).lock().await.unwrap());
    let (outcome, took) = timed(holder.shutdown(secs(60))).await;
    outcome.unwrap();
    about(took, secs(30));
    assert!(service.is_empty());

    let holder = node(&service).await;
    let guard = holder.mutex("one").min_hold(secs(3600)).lock().await.unwrap();
    let releasing = tokio::spawn(guard.release());
    let (outcome, took) = timed(holder.shutdown(secs(5))).await;
    about(took, secs(5));
    assert_eq!(outcome.unwrap_err().unfinished, 1);
    let (released, took) = timed(releasing).await;
    about(took, Duration::ZERO);
    let unknown = released.unwrap();
    assert!(matches!(&unknown, Err(ReleaseError::Unknown(_))), "{unknown:?}");
    assert_eq!(entries(&service), 1, "as much of the minimum as there can be");
    sleep(TTL + TICK).await;
    assert!(service.is_empty(), "it goes with the session");
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_does_not_cut_a_minimum_hold() {
    let service = MemoryService::with_tokio_time();
    let holder = node(&service).await;
    let guard = holder.mutex("one").min_hold(secs(60)).lock().await.unwrap();
    drop(holder);
    drop(guard);
    sleep(secs(60) - TICK).await;
    assert_eq!(entries(&service), 1);
    sleep(TICK * 2).await;
    assert!(service.is_empty(), "and it keeps the session no longer than that");
}

#[tokio::test(start_paused = true)]
async fn limits_that_cannot_work_are_refused() {
    let service = MemoryService::with_tokio_time();
    let node = node(&service).await;
    let mutex = node.mutex("one");
    let refused = |outcome: Result<_, Error>| outcome.map(drop).unwrap_err();
    for (limited, says) in [
        (mutex.clone().max_hold(Duration::ZERO), "zero"),
        (mutex.clone().min_hold(secs(2)).max_hold(secs(1)), "shorter than the minimum"),
    ] {
        let errors = [
            refused(limited.lock().await.map(Some)),
            refused(limited.try_lock().await),
            refused(limited.try_lock_for(secs(1)).await),
        ];
        for error in errors {
            assert_eq!((error.kind(), error.name()), (ErrorKind::InvalidArgument, Some("one")), "{error}");
            assert!(error.to_string().contains(says), "{error}");
        }
    }
    assert_eq!(entries(&service), 0);
    let same = mutex.min_hold(secs(2)).max_hold(secs(2)).lock().await.unwrap();
    let (outcome, took) = timed(same.release()).await;
    outcome.unwrap();
    about(took, secs(2));
}

#[tokio::test(start_paused = true)]
async fn limits_beyond_every_clock_are_no_limits() {
    let service = MemoryService::with_tokio_time();
    let node = node(&service).await;
    let guard = node.mutex("one").max_hold(Duration::MAX).lock().await.unwrap();
    sleep(secs(10_000)).await;
    guard.release().await.unwrap();
    drop(node.mutex("one").min_hold(Duration::MAX).lock().await.unwrap());
    sleep(secs(10_000)).await;
    assert_eq!(entries(&service), 1);
    node.shutdown(secs(1)).await.unwrap_err();
    sleep(TTL + TICK).await;
    assert!(service.is_empty());
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

/// Each reply, request and connection of a release by force is disturbed, one by one.
#[tokio::test(start_paused = true)]
async fn a_release_by_force_bears_every_lost_reply() {
    let faults = [Fault::LoseReply, Fault::LoseRequest, Fault::Refuse, Fault::DeliverLate(secs(1))];
    for hanging in [false, true] {
        for disturb in faults {
            for nth in 1.. {
                let service = MemoryService::with_tokio_time();
                let backend = service.backend();
                let holder = builder(&service).connect().await.unwrap();
                let holder = if hanging {
                    Coordinator::builder(backend.clone())
                        .ttl(TTL)
                        .runtime(Handle::current())
                        .connect()
                        .await
                        .unwrap()
                } else {
                    holder
                };
                let (admin, next) = (node(&service).await, node(&service).await);
                let guard = holder.mutex("one").lock().await.unwrap();
                let waiting = tokio::spawn(async move { next.mutex("one").lock().await.unwrap() });
                sleep(Duration::from_millis(100)).await;
                if hanging {
                    backend.cut();
                }
                let session = admin.status().borrow().session.clone();
                let calls = Arc::new(AtomicU64::new(0));
                let counted = calls.clone();
                service.on_call(move |call| {
                    if call.session != session || call.operation == Operation::Renew {
                        return Fault::None;
                    }
                    if counted.fetch_add(1, Ordering::SeqCst) + 1 == nth { disturb } else { Fault::None }
                });
                let label = format!("{disturb:?} of call {nth}, hanging: {hanging}");
                let released = admin.mutex("one").force_release("a test").await.expect(&label);
                match hanging {
                    true => assert_eq!(released, Released::ByForce, "{label}"),
                    false => assert_eq!(released, Released::ByHolder, "{label}"),
                }
                let fresh = waiting.await.unwrap();
                assert!(fresh.fencing_token() > guard.fencing_token(), "{label}");
                // Beyond what arrives late, and the holder's TTL.
                sleep(TTL * 2).await;
                assert!(fresh.is_held() && entries(&service) == 1, "{label}: the next one is not touched");
                let reason = guard.lost().await;
                match hanging {
                    true => assert_eq!(reason, LossReason::DeadlinePassed, "{label}"),
                    false => assert_eq!(reason, LossReason::ForceReleased, "{label}"),
                }
                if calls.load(Ordering::SeqCst) < nth {
                    assert!(nth > 3, "{label}: all calls were disturbed");
                    break;
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_by_force_goes_on_without_its_caller() {
    let service = MemoryService::with_tokio_time();
    let backend = service.backend();
    let holder =
        Coordinator::builder(backend.clone()).ttl(TTL).runtime(Handle::current()).connect().await.unwrap();
    let admin = node(&service).await;
    let guard = holder.mutex("one").lock().await.unwrap();
    sleep(secs(1)).await;
    backend.cut();
    let mutex = admin.mutex("one");
    {
        let breaking = mutex.force_release("a test");
        tokio::pin!(breaking);
        assert!(futures::poll!(breaking.as_mut()).is_pending());
    }
    assert_eq!(entries(&service), 1);
    sleep(secs(1) + TICK).await;
    assert_eq!(entries(&service), 0, "after the grace");
    assert!(guard.is_held(), "a holder that is cut off is told by its deadline");
    assert_eq!(guard.lost().await, LossReason::DeadlinePassed);
}

#[tokio::test(start_paused = true)]
async fn a_grace_is_given_and_not_more() {
    let service = MemoryService::with_tokio_time();
    let backend = service.backend();
    for grace in [Duration::ZERO, secs(3)] {
        let holder = Coordinator::builder(backend.clone())
            .ttl(TTL)
            .runtime(Handle::current())
            .connect()
            .await
            .unwrap();
        let guard = holder.mutex("one").lock().await.unwrap();
        sleep(secs(1)).await;
        backend.cut();
        let admin = node(&service).await.admin().grace(grace);
        let (released, took) = timed(admin.force_release(Recipe::Mutex, "one", "a test")).await;
        assert_eq!(released.unwrap(), Released::ByForce);
        about(took, grace);
        drop(guard);
        backend.heal();
    }
}

#[tokio::test(start_paused = true)]
async fn administration_of_a_service_that_does_not_answer() {
    let service = MemoryService::with_tokio_time();
    let node = node(&service).await;
    let guard = node.mutex("one").lock().await.unwrap();
    service.on_call(|call| match call.operation {
        Operation::Entries | Operation::Queues => Fault::LoseRequest,
        _ => Fault::None,
    });
    let admin = node.admin();
    let kind = |outcome: Result<(), Error>| outcome.unwrap_err().kind();
    let outcomes = [
        kind(admin.contenders(Recipe::Mutex, "one").await.map(drop)),
        kind(admin.names(Recipe::Mutex, "").await.map(drop)),
        kind(admin.ask_to_release(Recipe::Mutex, "one", "a test").await.map(drop)),
        kind(admin.force_release(Recipe::Mutex, "one", "a test").await.map(drop)),
    ];
    assert_eq!(outcomes, [ErrorKind::Unavailable; 4]);
    assert!(guard.is_held() && !guard.is_asked_to_release());
    service.on_call(|call| match call.operation {
        Operation::Publish => Fault::LoseRequest,
        _ => Fault::None,
    });
    let asked = kind(admin.ask_to_release(Recipe::Mutex, "one", "a test").await.map(drop));
    assert_eq!(asked, ErrorKind::Indeterminate, "sent, and nobody knows");
    let released = admin.force_release(Recipe::Mutex, "one", "a test").await.unwrap();
    assert_eq!(released, Released::ByForce, "without a mark");
    assert_eq!(guard.lost().await, LossReason::EntryRemoved);
    service.clear_on_call();
    let guard = node.mutex("one").lock().await.unwrap();
    node.shutdown(Duration::ZERO).await.unwrap_err();
    assert_eq!(kind(admin.contenders(Recipe::Mutex, "one").await.map(drop)), ErrorKind::Closed);
    drop(guard);
}

//! A minimum and a maximum hold.

use std::time::Duration;

use leasehold::memory::MemoryService;
use leasehold::{Coordinator, Error, ErrorKind, LossReason, ReleaseError, Released};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use super::{TICK, TTL, about, entries, lost, node, path, secs, timed};

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

//! The engine on paused time, over the memory service with injected faults: exact times, every order of events.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use leasehold::memory::{Fault, MemoryService, Operation};
use leasehold::{Coordinator, CoordinatorBuilder, Credentials, ErrorKind, LossReason, ReleaseError};
use leasehold_core::{KeyPath, Kind, LockBackend, Mode, Namespace, OpenSession, Publish};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

const TTL: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

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

/// On paused time a sleep ends when everything else is idle.
async fn everything_settles() {
    sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn one_budget_covers_everything() {
    let service = MemoryService::with_tokio_time();
    let (holder, waiter) = (node(&service).await, node(&service).await);
    let held = holder.mutex("one").lock().await.unwrap();
    let patience = Duration::from_millis(1234);
    let start = Instant::now();
    assert!(waiter.mutex("one").try_lock_for(patience).await.unwrap().is_none());
    let took = start.elapsed();
    assert!(took >= patience && took <= patience + Duration::from_millis(1), "{took:?}");
    everything_settles().await;
    assert_eq!(service.entries(&path("one")).len(), 1);
    assert!(held.is_held());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_answer_is_no_contention() {
    let service = MemoryService::with_tokio_time();
    let node = node(&service).await;
    service.on_call(|call| match call.operation {
        Operation::Enqueue => Fault::LoseRequest,
        _ => Fault::None,
    });
    let start = Instant::now();
    let error = node.mutex("one").try_lock_for(Duration::from_secs(3)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(start.elapsed() <= Duration::from_secs(3) + Duration::from_millis(1), "{:?}", start.elapsed());
    let start = Instant::now();
    assert_eq!(node.mutex("one").try_lock().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(start.elapsed() <= REQUEST_TIMEOUT + Duration::from_millis(1), "{:?}", start.elapsed());
}

/// Each reply of an acquisition and its release is lost once, one by one, until a run needs no more calls than were
/// disturbed.
#[tokio::test(start_paused = true)]
async fn every_lost_reply_is_made_good() {
    for disturb in
        [Fault::LoseReply, Fault::LoseRequest, Fault::Refuse, Fault::DeliverLate(Duration::from_secs(1))]
    {
        for nth in 1.. {
            let service = MemoryService::with_tokio_time();
            let node = node(&service).await;
            let calls = Arc::new(AtomicU64::new(0));
            let counted = calls.clone();
            service.on_call(move |call| {
                counted.fetch_max(call.nth, Ordering::SeqCst);
                if call.nth == nth { disturb } else { Fault::None }
            });
            let guard = node.mutex("one").lock().await.unwrap();
            assert_eq!(service.entries(&path("one")).len(), 1, "{disturb:?} of call {nth}");
            guard.release().await.unwrap();
            // Beyond the late delivery: nothing may come of it any more.
            sleep(Duration::from_secs(3)).await;
            assert!(service.entries(&path("one")).is_empty(), "{disturb:?} of call {nth}");
            let again = node.mutex("one").lock().await.unwrap();
            drop(again);
            node.shutdown(Duration::from_secs(1)).await.unwrap();
            assert!(service.is_empty(), "{disturb:?} of call {nth}");
            // The calls of the renewals in those seconds come after those of the lock.
            if nth > 3 {
                assert!(
                    calls.load(Ordering::SeqCst) >= nth,
                    "the lock and its release were disturbed in all their calls"
                );
                break;
            }
        }
    }
}

/// For every k: the caller is gone at the moment of the k-th call, whatever happens to that call.
#[tokio::test(start_paused = true)]
async fn cancelled_at_every_call() {
    let faults = [
        Fault::None,
        Fault::LoseReply,
        Fault::LoseRequest,
        Fault::Refuse,
        Fault::Delay(Duration::from_millis(700)),
        Fault::DeliverLate(Duration::from_secs(1)),
        Fault::DeliverLate(Duration::from_secs(5)),
    ];
    for contended in [false, true] {
        for fault in faults {
            for nth in 1..=6 {
                let service = MemoryService::with_tokio_time();
                let (holder, node) = (node(&service).await, node(&service).await);
                let held = if contended { Some(holder.mutex("one").lock().await.unwrap()) } else { None };
                let session = node.status().borrow().session.clone();
                let (reached, mut reaching) = tokio::sync::mpsc::unbounded_channel();
                let count = AtomicU64::new(0);
                service.on_call(move |call| {
                    let renews = matches!(call.operation, Operation::Renew);
                    if call.session != session || renews || count.fetch_add(1, Ordering::SeqCst) + 1 != nth {
                        return Fault::None;
                    }
                    let _ = reached.send(());
                    fault
                });
                let mutex = node.mutex("one");
                let mut locking = tokio::spawn(async move { mutex.lock().await.map(drop) });
                tokio::select! {
                    _ = reaching.recv() => locking.abort(),
                    _ = &mut locking => {}
                    // Fewer calls than that: it waits in the queue.
                    () = sleep(Duration::from_millis(500)) => locking.abort(),
                }
                service.clear_on_call();
                sleep(Duration::from_secs(8)).await;
                let left = service.entries(&path("one")).len();
                assert_eq!(left, usize::from(contended), "{fault:?} of call {nth}, contended: {contended}");
                drop(held);
                let next = holder.mutex("one").lock().await.unwrap();
                next.release().await.unwrap();
                node.shutdown(Duration::from_secs(1)).await.unwrap();
                holder.shutdown(Duration::from_secs(1)).await.unwrap();
                assert!(service.is_empty(), "{fault:?} of call {nth}, contended: {contended}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_grant_is_never_born_stale() {
    let service = MemoryService::with_tokio_time();
    let slow = builder(&service).request_timeout(TTL * 3).connect().await.unwrap();
    let first = slow.status().borrow().session.clone();
    let (session, count) = (first.clone(), AtomicU64::new(0));
    service.on_call(move |call| match call.operation {
        // The entry is made at once, alone in its queue; the reply that says so arrives after the session has ended.
        Operation::Enqueue if count.fetch_add(1, Ordering::SeqCst) == 0 => Fault::DelayReply(TTL + TTL / 2),
        Operation::Renew if call.session == session => Fault::LoseRequest,
        _ => Fault::None,
    });
    let guard = slow.mutex("one").lock().await.unwrap();
    assert!(guard.is_held());
    assert_ne!(slow.status().borrow().session, first, "granted in a session that lives");
    assert_eq!(service.entries(&path("one")).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_holder_is_told_before_the_service_forgets_it() {
    let service = MemoryService::with_tokio_time();
    let node = node(&service).await;
    let guard = node.mutex("one").lock().await.unwrap();
    let session = node.status().borrow().session.clone();
    service.on_call(move |call| match call.operation {
        Operation::Renew if call.session == session => Fault::LoseRequest,
        Operation::CloseSession => Fault::LoseRequest,
        _ => Fault::None,
    });
    let start = Instant::now();
    assert_eq!(guard.lost().await, LossReason::DeadlinePassed);
    let told = start.elapsed();
    assert!(!service.entries(&path("one")).is_empty(), "the service still has the entry");
    while !service.entries(&path("one")).is_empty() {
        sleep(Duration::from_millis(5)).await;
    }
    let margin = start.elapsed() - told;
    assert!(
        margin >= Duration::from_millis(50) && margin <= Duration::from_millis(150),
        "{margin:?} of {TTL:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_keeps_to_its_grace() {
    let service = MemoryService::with_tokio_time();
    let node = node(&service).await;
    let stubborn = node.mutex("one").lock().await.unwrap();
    let grace = Duration::from_secs(3);
    let start = Instant::now();
    let error = node.shutdown(grace).await.unwrap_err();
    assert_eq!(error.unfinished, 1);
    assert!(
        start.elapsed() >= grace && start.elapsed() <= grace + Duration::from_millis(2),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(stubborn.lost().await, LossReason::ShutDown);
    assert_eq!(service.entries(&path("one")).len(), 1, "not taken from work that may go on");
    sleep(TTL + Duration::from_millis(1)).await;
    assert!(service.is_empty(), "but closed a TTL later");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_good_is_told_while_waiting_for_a_session() {
    let service = MemoryService::with_tokio_time();
    let refused = builder(&service).resume(Credentials::from_bytes(*b"bad")).connect_lazy().unwrap();
    let error = refused.mutex("one").lock().await.unwrap_err();
    assert_eq!((error.kind(), error.backend()), (ErrorKind::InvalidConfig, Some("memory")));
    assert!(service.is_empty());

    let lazy = builder(&service).ttl(Duration::from_secs(1)).connect_lazy().unwrap();
    lazy.mutex("one").lock().await.unwrap().release().await.unwrap();
    lazy.shutdown(Duration::ZERO).await.unwrap();
    let error = lazy.mutex("one").lock().await.unwrap_err();
    assert_eq!((error.kind(), error.backend()), (ErrorKind::Closed, Some("memory")));
}

#[tokio::test(start_paused = true)]
async fn an_entry_removed_while_its_enqueue_was_ambiguous_stays_away() {
    let service = MemoryService::with_tokio_time();
    let node = node(&service).await;
    let count = AtomicU64::new(0);
    service.on_call(move |call| match call.operation {
        Operation::Enqueue if count.fetch_add(1, Ordering::SeqCst) == 0 => {
            Fault::DeliverLate(Duration::from_secs(4))
        }
        _ => Fault::None,
    });
    let guard = node.mutex("one").lock().await.unwrap();
    sleep(Duration::from_millis(100)).await;
    for entry in service.entries(&path("one")) {
        assert!(service.remove_entry(&path("one"), entry.attempt));
    }
    assert_eq!(guard.lost().await, LossReason::EntryRemoved);
    sleep(Duration::from_secs(8)).await;
    assert!(service.entries(&path("one")).is_empty(), "the first enqueue arrived late and came to nothing");
    assert!(node.mutex("one").try_lock().await.unwrap().is_some());
}

/// A waiter's entry that somebody has made something else of is no ground for a grant, and looking at it again would not help.
#[tokio::test(start_paused = true)]
async fn an_entry_whose_mode_a_stranger_has_changed_is_queued_anew() {
    let service = MemoryService::with_tokio_time();
    let (holder, waiter) = (node(&service).await, node(&service).await);
    let held = holder.mutex("one").lock().await.unwrap();
    let waiting = tokio::spawn({
        let mutex = waiter.mutex("one");
        async move { mutex.lock().await }
    });
    sleep(Duration::from_secs(1)).await;
    let entry = service.entries(&path("one"))[1].clone();
    let stranger = service.backend();
    let options = OpenSession {
        namespace: Namespace::default(),
        ttl: TTL,
        connect_timeout: REQUEST_TIMEOUT,
        request_timeout: REQUEST_TIMEOUT,
        clock: stranger.clock(),
        resume: None,
    };
    let session = stranger.open_session(options).await.unwrap();
    let change = Publish { attempt: entry.attempt, mode: Mode::Shared, value: entry.value, if_version: None };
    session.queue(&path("one")).publish(change).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let now = service.entries(&path("one"));
    assert_eq!(now.len(), 2);
    assert!(now[1].attempt != entry.attempt && now[1].mode == Mode::Exclusive, "{now:?}");
    assert!(held.is_held() && !waiting.is_finished());
    held.release().await.unwrap();
    waiting.await.unwrap().unwrap().release().await.unwrap();
    session.close().await;
}

/// Of those who wait in a semaphore's queue for a neighbour that says nothing, each looks again by itself: soon, and then slowly.
#[tokio::test(start_paused = true)]
async fn a_waiter_for_a_hint_looks_again_by_itself_and_does_not_poll() {
    let service = MemoryService::with_tokio_time();
    let node = node(&service).await;
    let held = node.semaphore("one", 1).acquire().await.unwrap();
    let looks = Arc::new(AtomicU64::new(0));
    let counted = looks.clone();
    service.on_call(move |call| {
        if call.operation == Operation::Contenders {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        Fault::None
    });
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let semaphore = node.semaphore("one", 1);
        waiting.push(tokio::spawn(async move { semaphore.acquire().await }));
        everything_settles().await;
    }
    // The first in line, at its enqueue and at the newcomer's; the newcomer at its own.
    assert_eq!(looks.load(Ordering::SeqCst), 3);
    sleep(Duration::from_millis(250)).await;
    assert_eq!(looks.load(Ordering::SeqCst), 4, "the newcomer once more, soon after its enqueue");
    sleep(TTL * 10).await;
    let slowly = looks.load(Ordering::SeqCst) - 4;
    assert!((19..=40).contains(&slowly), "every quarter to half of a TTL: {slowly}");
    held.release().await.unwrap();
    for waiter in waiting {
        waiter.await.unwrap().unwrap().release().await.unwrap();
    }
}

/// What one release makes room for comes in at once, each told by the one ahead of it.
#[tokio::test(start_paused = true)]
async fn a_run_is_granted_by_announcements_and_not_by_looking_again() {
    const LIMIT: u32 = 6;
    let service = MemoryService::with_tokio_time();
    let nodes = [node(&service).await, node(&service).await];
    let held = nodes[0].semaphore("one", LIMIT).acquire_many(LIMIT).await.unwrap();
    let mut waiting = Vec::new();
    for (place, count) in [1, 2, 1, 2, 1].into_iter().enumerate() {
        let semaphore = nodes[place % 2].semaphore("one", LIMIT);
        waiting.push(tokio::spawn(async move { semaphore.acquire_many(count).await }));
        everything_settles().await;
    }
    // Long after every first look by itself.
    sleep(TTL * 3).await;
    let start = Instant::now();
    held.release().await.unwrap();
    let last = waiting.pop().unwrap();
    let mut permits = Vec::new();
    for waiter in waiting {
        permits.push(waiter.await.unwrap().unwrap());
    }
    assert!(start.elapsed() <= Duration::from_millis(1), "{:?}", start.elapsed());
    everything_settles().await;
    assert!(!last.is_finished(), "there is nothing left for it");
    let start = Instant::now();
    permits.pop().unwrap().release().await.unwrap();
    assert_eq!(last.await.unwrap().unwrap().count(), 1);
    assert!(start.elapsed() <= Duration::from_millis(1), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_takes_over_the_session_of_another() {
    let service = MemoryService::with_tokio_time();
    let older = node(&service).await;
    let guard = older.mutex("one").lock().await.unwrap();
    let kept = older.credentials().unwrap().as_bytes().to_vec();
    let newer = builder(&service).resume(Credentials::from_bytes(kept.clone())).connect().await.unwrap();
    assert_eq!(guard.lost().await, LossReason::Superseded);
    assert_eq!(newer.credentials().unwrap().as_bytes(), kept);
    // The older one goes on in a session of its own, and what it does to its guard does not concern the entry.
    assert!(matches!(guard.release().await, Err(ReleaseError::Lost(_))));
    let sessions = async |count| {
        while service.sessions().len() != count {
            sleep(Duration::from_millis(1)).await;
        }
    };
    sessions(2).await;
    older.shutdown(TTL).await.unwrap();
    sleep(TTL * 3).await;
    assert_eq!((service.sessions().len(), service.entries(&path("one")).len()), (1, 1));
    assert!(older.credentials().is_none());
    newer.shutdown(TTL).await.unwrap();
    assert!(service.is_empty());

    // What is gone is said at once, or waited for in vain and given up.
    let gone = builder(&service).resume(Credentials::from_bytes(kept.clone()));
    assert_eq!(gone.clone().connect().await.unwrap_err().kind(), ErrorKind::Lost);
    let fresh = gone.connect_lazy().unwrap();
    fresh.mutex("one").lock().await.unwrap().release().await.unwrap();
    let bad = builder(&service).resume(Credentials::from_bytes(*b"bad")).connect().await.unwrap_err();
    assert_eq!(bad.kind(), ErrorKind::InvalidConfig);
    // A later session is a fresh one.
    let first = fresh.credentials().unwrap();
    service.expire_session(&service.sessions()[0]);
    sessions(1).await;
    everything_settles().await;
    assert_ne!(fresh.credentials(), Some(first));
}

#[tokio::test(start_paused = true)]
async fn a_session_is_resumed_as_soon_as_the_service_is_reached() {
    let service = MemoryService::with_tokio_time();
    let older = node(&service).await;
    let guard = older.mutex("one").lock().await.unwrap();
    let kept = older.credentials().unwrap();
    service.on_call(|call| match call.operation {
        Operation::OpenSession if call.nth < 4 => Fault::LoseReply,
        _ => Fault::None,
    });
    let newer = builder(&service).resume(kept.clone()).connect_lazy().unwrap();
    assert_eq!(guard.lost().await, LossReason::Superseded);
    let mut status = newer.status();
    status.wait_for(|status| status.is_healthy()).await.unwrap();
    assert_eq!(service.entries(&path("one")).len(), 1);
    assert_eq!(newer.credentials(), Some(kept));
}

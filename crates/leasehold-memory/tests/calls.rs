//! What faults, pauses and cuts do to calls.

#[allow(dead_code)]
mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::*;
use leasehold_core::{
    AttemptIds, BackendErrorKind, Certainty, Interest, LockBackend, Mode, RegisterWrite, RegisterWritten,
    Withdrawn,
};
use leasehold_memory::{Fault, MemoryService, Operation};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn each_fault_does_what_it_says() {
    use BackendErrorKind::{Indeterminate, PermissionDenied, Unavailable};
    // fault, the caller's answer, after how long, applied by then, applied in the end
    let cases = [
        (Fault::None, None, 0, true, true),
        (Fault::Refuse, Some(Unavailable), 0, false, false),
        (Fault::Deny, Some(PermissionDenied), 0, false, false),
        (Fault::Delay(SECOND), None, 1, true, true),
        (Fault::Delay(SECOND * 3), Some(Indeterminate), 2, false, true),
        (Fault::LoseRequest, Some(Indeterminate), 0, false, false),
        (Fault::LoseReply, Some(Indeterminate), 0, true, true),
        (Fault::DeliverLate(SECOND), Some(Indeterminate), 0, false, true),
    ];
    for (fault, error, seconds, at_once, in_the_end) in cases {
        let service = MemoryService::with_tokio_time();
        let session = open(&service).await;
        let [attempt] = attempts();
        service.on_call(each(Operation::Enqueue, fault));
        let start = Instant::now();
        let answer = enqueue(&session.queue(&path("q")), attempt).await;
        assert_eq!(answer.err().map(|error| error.kind()), error, "{fault:?}");
        assert_eq!(start.elapsed().as_secs(), seconds, "{fault:?}");
        assert_eq!(service.entries(&path("q")).len(), usize::from(at_once), "{fault:?}");
        tokio::time::sleep(SECOND * 4).await;
        assert_eq!(service.entries(&path("q")).len(), usize::from(in_the_end), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stale_look_shows_what_was_and_never_less_than_was_known() {
    let service = MemoryService::with_tokio_time();
    let (one, other) = (open(&service).await, open(&service).await);
    let (mine, others) = (one.queue(&path("q")), other.queue(&path("q")));
    let ([first], [second]) = (attempts(), attempts());
    service.on_call(each(Operation::Contenders, Fault::Stale));
    let entries = async || snapshot(&mine).await.iter().count();
    enqueue(&mine, first).await.unwrap();
    assert_eq!((entries().await, service.stale_looks()), (1, 0), "its own change is known");
    enqueue(&others, second).await.unwrap();
    assert_eq!((entries().await, service.stale_looks()), (1, 1), "another's is not");
    service.on_call(|_| Fault::None);
    assert_eq!((entries().await, service.stale_looks()), (2, 0), "a look that is not stale shows all");
}

#[tokio::test(start_paused = true)]
async fn a_ghost_has_no_effect_after_an_ambiguous_withdrawal() {
    let service = MemoryService::with_tokio_time();
    let session = open(&service).await;
    let queue = session.queue(&path("q"));
    let [attempt] = attempts();
    service.on_call(each(Operation::Enqueue, Fault::DeliverLate(SECOND)));
    enqueue(&queue, attempt).await.unwrap_err();
    assert_eq!(queue.withdraw(attempt, Certainty::Ambiguous).await.unwrap(), Withdrawn::WasGone);
    tokio::time::sleep(SECOND * 2).await;
    assert!(service.entries(&path("q")).is_empty());
    service.clear_on_call();
    let repeated = enqueue(&queue, attempt).await.unwrap_err();
    assert_eq!(repeated.kind(), BackendErrorKind::Withdrawn);
    assert_eq!(service.keys(path("q").as_str()).len(), 1, "the tombstone");
    session.close().await;
    assert!(service.is_empty() && service.keys("").is_empty(), "it goes with its session");
}

#[tokio::test(start_paused = true)]
async fn a_ghost_of_an_ended_session_has_no_effect() {
    let service = MemoryService::with_tokio_time();
    let session = open(&service).await;
    let [attempt] = attempts();
    service.on_call(each(Operation::Enqueue, Fault::DeliverLate(SECOND)));
    enqueue(&session.queue(&path("q")), attempt).await.unwrap_err();
    session.close().await;
    tokio::time::sleep(SECOND * 2).await;
    assert!(service.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_tombstone_stays_with_the_session_that_enqueued() {
    let service = MemoryService::with_tokio_time();
    let (owner, breaker) = (open(&service).await, open(&service).await);
    let [attempt] = attempts();
    let queue = owner.queue(&path("q"));
    enqueue(&queue, attempt).await.unwrap();
    let broken = breaker.queue(&path("q")).withdraw(attempt, Certainty::Ambiguous).await.unwrap();
    assert_eq!(broken, Withdrawn::Removed);
    breaker.close().await;
    assert_eq!(enqueue(&queue, attempt).await.unwrap_err().kind(), BackendErrorKind::Withdrawn);
}

#[tokio::test(start_paused = true)]
async fn the_hook_sees_every_call_and_counts_from_when_it_was_set() {
    let service = MemoryService::with_tokio_time();
    let session = open(&service).await;
    let queue = session.queue(&path("q"));
    let [attempt] = attempts();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&calls);
    service.on_call(move |call| {
        log.lock().unwrap().push(call.clone());
        Fault::None
    });
    enqueue(&queue, attempt).await.unwrap();
    snapshot(&queue).await;
    withdraw(&queue, attempt).await;
    queue.changed(gone(attempt)).await.unwrap();
    session.close().await;
    let calls = calls.lock().unwrap();
    let seen: Vec<_> = calls.iter().map(|call| (call.nth, call.operation)).collect();
    let expected = [
        (1, Operation::Enqueue),
        (2, Operation::Contenders),
        (3, Operation::Withdraw),
        (4, Operation::Changed),
        (5, Operation::CloseSession),
    ];
    assert_eq!(seen, expected);
    assert!(calls.iter().all(|call| call.session == Some(session.id())));
    assert_eq!((calls[0].attempt, calls[0].path.clone()), (Some(attempt), Some(path("q"))));
}

#[tokio::test(start_paused = true)]
async fn a_paused_service_answers_nobody_and_applies_everything_when_it_goes_on() {
    let service = MemoryService::with_tokio_time();
    let session = open(&service).await;
    let queue = session.queue(&path("q"));
    let [first, second] = attempts();
    service.pause();
    let start = Instant::now();
    assert_eq!(enqueue(&queue, first).await.unwrap_err().kind(), BackendErrorKind::Indeterminate);
    assert_eq!(queue.contenders(&mut |_| {}).await.unwrap_err().kind(), BackendErrorKind::Indeterminate);
    assert_eq!(start.elapsed(), REQUEST_TIMEOUT * 2);
    let resumed = async {
        tokio::time::sleep(SECOND).await;
        service.resume();
    };
    let (answer, ()) = tokio::join!(enqueue(&queue, second), resumed);
    assert!(answer.unwrap() > 0);
    assert_eq!(snapshot(&queue).await.len(), 2);
    assert!(session.liveness().is_alive());
}

#[tokio::test(start_paused = true)]
async fn a_cut_ends_requests_at_once_and_waits_survive_it() {
    let service = MemoryService::with_tokio_time();
    let backend = service.backend();
    let session = backend.open_session(options(&backend)).await.unwrap();
    let other = open(&service).await;
    let queue = session.queue(&path("q"));
    let [theirs, mine] = attempts();
    enqueue(&other.queue(&path("q")), theirs).await.unwrap();

    service.pause();
    let cut = async {
        tokio::time::sleep(SECOND).await;
        backend.cut();
    };
    let (under_way, ()) = tokio::join!(enqueue(&queue, mine), cut);
    assert_eq!(under_way.unwrap_err().kind(), BackendErrorKind::Indeterminate);
    service.resume();
    assert_eq!(enqueue(&queue, mine).await.unwrap_err().kind(), BackendErrorKind::Unavailable);

    let start = Instant::now();
    let waited = async {
        queue.changed(gone(theirs)).await.unwrap();
        start.elapsed()
    };
    let meanwhile = async {
        withdraw(&other.queue(&path("q")), theirs).await;
        tokio::time::sleep(SECOND).await;
        backend.heal();
    };
    let (woken, ()) = tokio::join!(waited, meanwhile);
    assert_eq!(woken.as_secs(), 1, "no news over a cut connection, and none lost");
    assert_eq!(snapshot(&queue).await.first().unwrap().attempt, mine, "the request under way arrived");
}

#[tokio::test(start_paused = true)]
async fn lost_replies_are_indeterminate_and_kill_the_session_by_its_deadline() {
    let service = MemoryService::with_tokio_time();
    let backend = service.backend();
    let session = backend.open_session(options(&backend)).await.unwrap();
    let [attempt] = attempts();
    backend.cut_replies();
    let error = enqueue(&session.queue(&path("q")), attempt).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Indeterminate);
    assert_eq!(service.entries(&path("q")).len(), 1);
    session.liveness().lost().await;
    assert_eq!(service.sessions(), [session.id()], "its renewals still arrive");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_is_still_delivered() {
    let service = MemoryService::with_tokio_time();
    let session = open(&service).await;
    let queue = session.queue(&path("q"));
    let [attempt] = attempts();
    service.on_call(each(Operation::Enqueue, Fault::Delay(SECOND)));
    tokio::time::timeout(SECOND / 2, enqueue(&queue, attempt)).await.unwrap_err();
    assert!(service.entries(&path("q")).is_empty());
    queue.changed(Interest::Queue { revision: snapshot(&queue).await.revision() }).await.unwrap();
    assert_eq!(service.entries(&path("q")).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn faults_of_waits_are_early_and_late_reports_and_refusals() {
    let service = MemoryService::with_tokio_time();
    let session = open(&service).await;
    let queue = session.queue(&path("q"));
    let [attempt] = attempts();
    enqueue(&queue, attempt).await.unwrap();
    service.on_call(each(Operation::Changed, Fault::Refuse));
    queue.changed(gone(attempt)).await.unwrap();
    service.on_call(each(Operation::Changed, Fault::Deny));
    let denied = queue.changed(gone(attempt)).await.unwrap_err();
    assert_eq!(denied.kind(), BackendErrorKind::PermissionDenied);
    service.on_call(each(Operation::Changed, Fault::Delay(SECOND)));
    withdraw(&queue, attempt).await;
    let start = Instant::now();
    queue.changed(gone(attempt)).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_release_wakes_one_of_ten_thousand_waiters() {
    let service = MemoryService::with_tokio_time();
    let session = open(&service).await;
    let queue = session.queue(&path("q"));
    let ids = AttemptIds::new().unwrap();
    let all: Vec<_> = (0..10_001).map(|_| ids.next()).collect();
    for attempt in &all {
        enqueue(&queue, *attempt).await.unwrap();
    }
    let woken = Arc::new(Mutex::new(Vec::new()));
    let mut waiters = tokio::task::JoinSet::new();
    for (place, attempt) in all.iter().copied().take(10_000).enumerate() {
        let (queue, woken) = (session.queue(&path("q")), Arc::clone(&woken));
        waiters.spawn(async move {
            queue.changed(gone(attempt)).await.unwrap();
            woken.lock().unwrap().push(place);
        });
    }
    tokio::time::sleep(SECOND).await;
    for place in [0, 5_000, 9_999] {
        withdraw(&queue, all[place]).await;
        tokio::time::sleep(SECOND).await;
        assert_eq!(std::mem::take(&mut *woken.lock().unwrap()), [place]);
    }
    waiters.shutdown().await;
    session.close().await;
    assert!(service.is_empty(), "dropped waits take their registrations back");
}

#[tokio::test(start_paused = true)]
async fn orders_and_revisions_grow_over_emptied_and_removed_queues() {
    let service = MemoryService::with_tokio_time();
    let session = open(&service).await;
    let queue = session.queue(&path("q"));
    let (mut order, mut revision) = (0, snapshot(&queue).await.revision());
    for (round, attempt) in attempts::<6>().into_iter().enumerate() {
        let next = enqueue(&queue, attempt).await.unwrap();
        let (before, now) = (std::mem::replace(&mut order, next), snapshot(&queue).await.revision());
        assert!(next > before && now > revision);
        match round % 3 {
            0 => assert_eq!(withdraw(&queue, attempt).await, Withdrawn::Removed),
            1 => assert!(service.remove_entry(&path("q"), attempt)),
            _ => service.remove_queue(&path("q")),
        }
        revision = snapshot(&queue).await.revision();
        assert!(revision > now);
        assert_eq!(withdraw(&queue, attempt).await, Withdrawn::WasGone);
    }
    assert!(session.liveness().is_alive());
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_too_large_is_refused() {
    let service = MemoryService::with_tokio_time();
    let session = open(&service).await;
    let largest = service.backend().capabilities().max_value_bytes;
    let write = |bytes| RegisterWrite { value: vec![0; bytes].into(), if_version: None, if_held: None };
    let written = session.write(&path("r"), write(largest)).await.unwrap();
    assert!(matches!(written, RegisterWritten::Written { .. }));
    let refused = session.write(&path("r"), write(largest + 1)).await.unwrap_err();
    assert_eq!(refused.kind(), BackendErrorKind::TooLarge);
    let [attempt] = attempts();
    let mut entry = exclusive(attempt);
    entry.value = vec![0; largest + 1].into();
    let refused = session.queue(&path("q")).enqueue(entry).await.unwrap_err();
    assert_eq!(refused.kind(), BackendErrorKind::TooLarge);
    assert_eq!(service.registers().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_of_another_session_is_not_taken_for_a_repetition() {
    let service = MemoryService::with_tokio_time();
    let (a, b) = (open(&service).await, open(&service).await);
    let [attempt] = attempts();
    enqueue(&a.queue(&path("q")), attempt).await.unwrap();
    let error = enqueue(&b.queue(&path("q")), attempt).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Corrupt);
    assert_eq!(
        snapshot(&b.queue(&path("q"))).await.get(attempt).map(|entry| entry.mode),
        Some(Mode::Exclusive)
    );
}

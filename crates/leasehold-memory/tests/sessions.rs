//! Sessions: renewal, expiry, loss, close, resumption.

#[allow(dead_code)]
mod common;

use std::time::Duration;

use common::*;
use leasehold_core::{
    BackendErrorKind, Credentials, Liveness, LivenessCell, LockBackend, LossReason, OpenSession,
};
use leasehold_memory::{Fault, MemoryService, Operation};
use tokio::time::Instant;

/// Lets the tasks that are ready run.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_lives_as_long_as_it_is_renewed() {
    let service = MemoryService::with_tokio_time();
    let session = open(&service).await;
    tokio::time::sleep(TTL * 20).await;
    assert!(session.liveness().is_alive());
    assert_eq!(service.sessions(), [session.id()]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_session_expires_exactly_a_ttl_after_its_last_renewal() {
    let service = MemoryService::with_tokio_time();
    let (a, b) = (open(&service).await, open(&service).await);
    let [attempt] = attempts();
    enqueue(&a.queue(&path("q")), attempt).await.unwrap();
    let renewed = Instant::now();
    drop(a);
    b.queue(&path("q")).changed(gone(attempt)).await.unwrap();
    let late = renewed.elapsed() - TTL;
    assert!(late <= Duration::from_millis(2), "{late:?}");
    assert_eq!(service.sessions(), [b.id()]);
}

#[tokio::test(start_paused = true)]
async fn the_owner_believes_it_lost_before_the_service_gives_away() {
    let service = MemoryService::with_tokio_time();
    let backend = service.backend();
    let a = backend.open_session(options(&backend)).await.unwrap();
    let b = open(&service).await;
    let [attempt] = attempts();
    enqueue(&a.queue(&path("q")), attempt).await.unwrap();
    tokio::time::sleep(TTL * 2 + TTL / 7).await;
    backend.cut();
    settle().await;
    assert!(matches!(a.liveness().current(), Liveness::Suspect { .. }));
    let (b_queue, seen) = (b.queue(&path("q")), gone(attempt));
    let handed_on = async {
        b_queue.changed(seen).await.unwrap();
        assert!(!a.liveness().is_alive());
        Instant::now()
    };
    let lost = async {
        assert_eq!(a.liveness().lost().await, LossReason::DeadlinePassed);
        Instant::now()
    };
    let (handed_on, lost) = tokio::join!(handed_on, lost);
    let margin = handed_on - lost;
    assert!(margin >= TTL / 100 && margin <= TTL / 100 + Duration::from_millis(15), "{margin:?}");
}

#[tokio::test]
async fn a_waiter_hears_of_the_expiry_when_the_holder_s_runtime_is_gone() {
    let service = MemoryService::new();
    let [attempt] = attempts();
    let holder = service.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let session = runtime.block_on(async {
            let backend = holder.backend();
            let options = OpenSession { ttl: Duration::from_millis(300), ..options(&backend) };
            let session = backend.open_session(options).await.unwrap();
            enqueue(&session.queue(&path("q")), attempt).await.unwrap();
            session
        });
        drop(runtime);
        session
    })
    .join()
    .unwrap();
    let session = open(&service).await;
    let queue = session.queue(&path("q"));
    let waited = tokio::time::timeout(Duration::from_secs(5), queue.changed(gone(attempt)));
    waited.await.expect("woken by the expiry").unwrap();
    assert!(service.entries(&path("q")).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_ended_session_is_reported_at_once_and_its_waits_fail() {
    let service = MemoryService::with_tokio_time();
    let (a, b) = (open(&service).await, open(&service).await);
    let [mine, theirs] = attempts();
    let queue = a.queue(&path("q"));
    enqueue(&b.queue(&path("q")), theirs).await.unwrap();
    enqueue(&queue, mine).await.unwrap();
    let waiting = queue.changed(gone(theirs));
    let ended = async {
        settle().await;
        assert!(service.expire_session(&a.id()) && !service.expire_session(&a.id()));
        let before = Instant::now();
        assert_eq!(a.liveness().lost().await, LossReason::SessionEnded);
        assert_eq!(Instant::now(), before);
    };
    let (waited, ()) = tokio::join!(waiting, ended);
    assert_eq!(waited.unwrap_err().kind(), BackendErrorKind::SessionLost);
    let late = enqueue(&queue, mine).await.unwrap_err();
    assert_eq!(late.kind(), BackendErrorKind::SessionLost);
    assert!(!service.expire_session("17") && !service.expire_session("nonsense"));
    assert_eq!(service.entries(&path("q")).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_after_a_close_even_if_its_replies_are_lost() {
    let service = MemoryService::with_tokio_time();
    for fault in [Fault::None, Fault::LoseReply] {
        let session = open(&service).await;
        let [attempt] = attempts();
        enqueue(&session.queue(&path("q")), attempt).await.unwrap();
        assert!(!service.is_empty());
        service.on_call(each(Operation::CloseSession, fault));
        session.close().await;
        assert!(service.is_empty(), "{fault:?}");
        assert_eq!(session.liveness().lost().await, LossReason::ShutDown);
    }
}

#[tokio::test(start_paused = true)]
async fn refused_renewals_make_it_suspect_and_the_next_one_live() {
    let is_live = |cell: &LivenessCell| matches!(cell.current(), Liveness::Live { .. });
    for fault in [Fault::Refuse, Fault::LoseRequest, Fault::LoseReply, Fault::Delay(TTL)] {
        let service = MemoryService::with_tokio_time();
        let session = open(&service).await;
        service.on_call(each(Operation::Renew, fault));
        tokio::time::sleep(TTL * 6 / 10).await;
        assert!(!is_live(session.liveness()) && session.liveness().is_alive(), "{fault:?}");
        service.clear_on_call();
        tokio::time::sleep(TTL * 3 / 10).await;
        assert!(is_live(session.liveness()), "{fault:?}");
        tokio::time::sleep(TTL * 2).await;
        assert!(is_live(session.liveness()), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_breaks_the_connections_and_loses_nothing() {
    let service = MemoryService::with_tokio_time();
    let session = open(&service).await;
    let [attempt] = attempts();
    enqueue(&session.queue(&path("q")), attempt).await.unwrap();
    let mut states = session.liveness().subscribe();
    // A renewal that takes no time at all leaves nothing to be seen in between.
    service.on_call(each(Operation::Renew, Fault::Delay(Duration::from_millis(1))));
    service.restart();
    states.wait_for(|state| matches!(state, Liveness::Suspect { .. })).await.unwrap();
    states.wait_for(|state| matches!(state, Liveness::Live { .. })).await.unwrap();
    assert_eq!(service.entries(&path("q")).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_newer_incarnation_wins_and_keeps_the_entries() {
    let service = MemoryService::with_tokio_time();
    let backend = service.backend();
    let old = backend.open_session(options(&backend)).await.unwrap();
    let [attempt, ghost] = attempts();
    let order = enqueue(&old.queue(&path("q")), attempt).await.unwrap();
    service.on_call(each(Operation::Enqueue, Fault::DeliverLate(TTL)));
    enqueue(&old.queue(&path("q")), ghost).await.unwrap_err();
    service.clear_on_call();

    let resume = OpenSession { resume: old.credentials(), ..options(&backend) };
    let new = backend.open_session(resume).await.unwrap();
    assert_eq!((new.id(), new.ttl()), (old.id(), old.ttl()));
    assert_eq!(old.liveness().lost().await, LossReason::Superseded);
    let stale = old.read(&path("r")).await.unwrap_err();
    assert_eq!(stale.kind(), BackendErrorKind::SessionLost);
    assert_eq!(enqueue(&new.queue(&path("q")), attempt).await.unwrap(), order);
    old.close().await;
    tokio::time::sleep(TTL * 3).await;
    assert!(new.liveness().is_alive());
    assert_eq!(service.entries(&path("q")).len(), 1, "the old incarnation's late request has no effect");
}

#[tokio::test(start_paused = true)]
async fn a_takeover_that_arrives_late_undoes_no_later_one() {
    let service = MemoryService::with_tokio_time();
    let backend = service.backend();
    let first = backend.open_session(options(&backend)).await.unwrap();
    let resume = OpenSession { resume: first.credentials(), ..options(&backend) };
    service.on_call(|call| match (call.operation, call.nth) {
        (Operation::OpenSession, 2) => Fault::DeliverLate(TTL / 2),
        _ => Fault::None,
    });
    let unheard = backend.open_session(resume.clone()).await.map(drop).unwrap_err();
    assert_eq!(unheard.kind(), BackendErrorKind::Unavailable);
    assert!(first.liveness().is_alive());
    let second = backend.open_session(resume).await.unwrap();
    assert_eq!(first.liveness().lost().await, LossReason::Superseded);
    tokio::time::sleep(TTL * 3).await;
    assert!(second.liveness().is_alive());
}

#[tokio::test(start_paused = true)]
async fn who_has_not_the_credentials_cannot_resume() {
    let service = MemoryService::with_tokio_time();
    let backend = service.backend();
    let session = backend.open_session(options(&backend)).await.unwrap();
    let right = session.credentials().unwrap();
    assert_eq!(format!("{right:?}"), "Credentials(…)");
    let mut wrong = right.as_bytes().to_vec();
    *wrong.last_mut().unwrap() ^= 1;
    let try_with = async |bytes: Vec<u8>| {
        let resume = Some(Credentials::from_bytes(bytes));
        backend.open_session(OpenSession { resume, ..options(&backend) }).await.map(drop).unwrap_err().kind()
    };
    assert_eq!(try_with(wrong).await, BackendErrorKind::Unauthenticated);
    assert_eq!(try_with(vec![1, 2, 3]).await, BackendErrorKind::InvalidConfig);
    session.close().await;
    assert_eq!(try_with(right.as_bytes().to_vec()).await, BackendErrorKind::SessionLost);
}

#[tokio::test(start_paused = true)]
async fn opening_fails_within_the_connect_timeout() {
    let service = MemoryService::with_tokio_time();
    let backend = service.backend();
    let kind = async || backend.open_session(options(&backend)).await.map(drop).unwrap_err().kind();
    backend.cut();
    assert_eq!(kind().await, BackendErrorKind::Unavailable);
    backend.heal();
    service.pause();
    let start = Instant::now();
    assert_eq!(kind().await, BackendErrorKind::Unavailable);
    assert_eq!(start.elapsed(), REQUEST_TIMEOUT);
    service.resume();
    tokio::time::sleep(TTL + Duration::from_millis(10)).await;
    assert!(service.is_empty(), "what was opened unheard has expired");
}

#[tokio::test]
async fn services_of_one_name_are_one_and_others_apart() {
    let [one, two, other] = ["meet", "meet", "elsewhere"].map(MemoryService::named);
    let session = open(&one).await;
    assert_eq!(two.sessions(), [session.id()]);
    assert!(other.is_empty() && MemoryService::new().is_empty());
    assert_eq!(two.backend().endpoint(), "memory://meet");
    session.close().await;
}

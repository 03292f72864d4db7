//! A release by force.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use leasehold::memory::{Fault, MemoryService, Operation};
use leasehold::{Coordinator, Error, ErrorKind, LossReason, Recipe, Released};
use tokio::runtime::Handle;
use tokio::time::sleep;

use super::{TICK, TTL, about, builder, entries, node, secs, timed};

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

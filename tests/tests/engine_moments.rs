//! The engine in single moments that other tests meet by chance at most, made to happen: over the memory service, on paused time unless it is
//! about a thread that does not come to run.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::poll;
use leasehold::memory::{Fault, MemoryService, Operation};
use leasehold::{Coordinator, CoordinatorBuilder, ErrorKind, LossReason, ReleaseError};
use leasehold_core::{KeyPath, Kind, Namespace};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

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

fn session(node: &Coordinator) -> Option<String> {
    node.status().borrow().session.clone()
}

fn entries(service: &MemoryService) -> usize {
    service.entries(&KeyPath::new(&Namespace::default(), Kind::Lock, "one").unwrap()).len()
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// On paused time a sleep ends when everything else is idle.
async fn everything_settles() {
    sleep(millis(1)).await;
}

/// A removal whose reply was lost is made again when the next one already holds: that one's entry is none of its business.
#[tokio::test(start_paused = true)]
async fn a_removal_that_is_repeated_takes_nothing_from_the_next() {
    let service = MemoryService::with_tokio_time();
    let (holder, next) = (node(&service).await, node(&service).await);
    let held = holder.mutex("one").lock().await.unwrap();
    let waiting = tokio::spawn(async move { next.mutex("one").lock().await.unwrap() });
    sleep(millis(100)).await;
    let removals = Arc::new(AtomicU64::new(0));
    let counted = removals.clone();
    service.on_call(move |call| match call.operation {
        Operation::Withdraw if counted.fetch_add(1, Ordering::SeqCst) == 0 => Fault::LoseReply,
        _ => Fault::None,
    });
    held.release().await.unwrap();
    let fresh = waiting.await.unwrap();
    sleep(TTL).await;
    assert_eq!(removals.load(Ordering::SeqCst), 2, "it was made again");
    assert!(fresh.is_held() && entries(&service) == 1);
}

/// A release has one waiter look at the queue, however many there are.
#[tokio::test(start_paused = true)]
async fn a_release_makes_one_waiter_look() {
    const WAITERS: u64 = 20;
    let service = MemoryService::with_tokio_time();
    let (holder, node) = (node(&service).await, node(&service).await);
    let mut held = holder.mutex("one").lock().await.unwrap();
    let (granted, mut grants) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..WAITERS {
        let (mutex, granted) = (node.mutex("one"), granted.clone());
        tokio::spawn(async move { granted.send(mutex.lock().await.unwrap()).ok() });
    }
    sleep(millis(100)).await;
    let looks = Arc::new(AtomicU64::new(0));
    let counted = looks.clone();
    service.on_call(move |call| {
        if call.operation == Operation::Contenders {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        Fault::None
    });
    for handover in 1..=WAITERS {
        held.release().await.unwrap();
        held = grants.recv().await.unwrap();
        everything_settles().await;
        assert_eq!(looks.load(Ordering::SeqCst), handover);
    }
}

/// A try that meets somebody is over at once, whatever the recipe.
#[tokio::test(start_paused = true)]
async fn a_try_waits_for_nobody() {
    let service = MemoryService::with_tokio_time();
    let (holder, node) = (node(&service).await, node(&service).await);
    let _held = holder.mutex("one").lock().await.unwrap();
    let _written = holder.rw_lock("one").write().await.unwrap();
    let _taken = holder.semaphore("one", 2).acquire_many(2).await.unwrap();
    let _led = holder.election("one").campaign("leader").await.unwrap();
    let start = Instant::now();
    assert!(node.mutex("one").try_lock().await.unwrap().is_none());
    assert!(node.mutex("one").try_lock_for(Duration::ZERO).await.unwrap().is_none());
    assert!(node.rw_lock("one").try_read().await.unwrap().is_none());
    assert!(node.rw_lock("one").try_write().await.unwrap().is_none());
    assert!(node.semaphore("one", 2).try_acquire().await.unwrap().is_none());
    assert!(node.election("one").try_campaign("candidate").await.unwrap().is_none());
    assert_eq!(start.elapsed(), Duration::ZERO);
}

/// A release that nobody confirms is over when the request time-out is, and the removal goes on.
#[tokio::test(start_paused = true)]
async fn a_release_is_answered_in_time() {
    let service = MemoryService::with_tokio_time();
    let node = node(&service).await;
    let guard = node.mutex("one").lock().await.unwrap();
    service.on_call(|call| match call.operation {
        Operation::Withdraw => Fault::LoseRequest,
        _ => Fault::None,
    });
    let start = Instant::now();
    let released = timeout(REQUEST_TIMEOUT + millis(2), guard.release()).await;
    assert!(
        matches!(released, Ok(Err(ReleaseError::Unknown(_)))),
        "{released:?} after {:?}",
        start.elapsed()
    );
    assert_eq!(entries(&service), 1);
    service.clear_on_call();
    sleep(REQUEST_TIMEOUT).await;
    assert_eq!(entries(&service), 0, "the removal went on");
}

/// A question that is put several times has one budget for all of them.
#[tokio::test(start_paused = true)]
async fn a_read_is_over_in_time() {
    let service = MemoryService::with_tokio_time();
    let node = node(&service).await;
    service.on_call(|call| match call.operation {
        Operation::Read if call.nth == 1 => Fault::LoseRequest,
        Operation::Read => Fault::Delay(REQUEST_TIMEOUT - millis(1)),
        _ => Fault::None,
    });
    let start = Instant::now();
    let error = node.register("one").read().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(start.elapsed() <= REQUEST_TIMEOUT + millis(2), "{:?}", start.elapsed());
}

/// The caller goes in the very moment in which its acquisition is granted: by the enqueue, or by a look after a wait.
#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_at_the_moment_of_the_grant_holds_nothing() {
    for (contended, moment) in [(false, Operation::Enqueue), (true, Operation::Contenders)] {
        let service = MemoryService::with_tokio_time();
        let (holder, node) = (node(&service).await, node(&service).await);
        let held = if contended { Some(holder.mutex("one").lock().await.unwrap()) } else { None };
        let mutex = node.mutex("one");
        let mut locking: Pin<Box<dyn Future<Output = _> + Send>> =
            Box::pin(async move { mutex.lock().await.map(drop) });
        if contended {
            assert!(poll!(locking.as_mut()).is_pending());
            sleep(millis(100)).await;
        }
        let caller = Arc::new(Mutex::new(None));
        let (leaving, session) = (caller.clone(), session(&node));
        let refused = AtomicBool::new(false);
        service.on_call(move |call| {
            if call.session == session && call.operation == moment {
                // The driver makes it once more, as nobody polls the caller.
                if !contended && !refused.swap(true, Ordering::SeqCst) {
                    return Fault::Refuse;
                }
                drop(leaving.lock().unwrap().take());
            }
            Fault::None
        });
        if contended {
            *caller.lock().unwrap() = Some(locking);
            held.unwrap().release().await.unwrap();
        } else {
            assert!(poll!(locking.as_mut()).is_pending());
            *caller.lock().unwrap() = Some(locking);
        }
        sleep(millis(200)).await;
        assert!(caller.lock().unwrap().is_none(), "gone at {moment}");
        assert_eq!(entries(&service), 0, "gone at {moment}");
        assert!(holder.mutex("one").try_lock().await.unwrap().is_some());
    }
}

/// A try whose caller is gone before the answer, or before the request has arrived, keeps nothing, however long its session lives.
#[tokio::test(start_paused = true)]
async fn a_cancelled_try_keeps_nothing() {
    for fault in [Fault::Delay(millis(700)), Fault::DelayReply(millis(700)), Fault::DeliverLate(millis(700))]
    {
        let service = MemoryService::with_tokio_time();
        let (node, other) = (node(&service).await, node(&service).await);
        service.on_call(move |call| match call.operation {
            Operation::Enqueue => fault,
            _ => Fault::None,
        });
        let mutex = node.mutex("one");
        let trying = tokio::spawn(async move { mutex.try_lock().await.map(drop) });
        sleep(millis(100)).await;
        trying.abort();
        service.clear_on_call();
        sleep(TTL * 3).await;
        assert!(node.status().borrow().is_healthy());
        assert_eq!(entries(&service), 0, "{fault:?}");
        assert!(other.mutex("one").try_lock().await.unwrap().is_some(), "{fault:?}");
    }
}

/// The session is lost here while the service goes on to have it, with the entry of an enqueue that went unanswered. The next session has to wait
/// for the end of that entry, and may not take it for its own: it does not live as long.
#[tokio::test(start_paused = true)]
async fn an_entry_of_a_dying_session_is_not_adopted() {
    let service = MemoryService::with_tokio_time();
    let node = node(&service).await;
    let first = session(&node);
    let dying = first.clone();
    service.on_call(move |call| match call.operation {
        Operation::Enqueue | Operation::Renew if call.session == dying => Fault::LoseReply,
        Operation::CloseSession => Fault::LoseRequest,
        _ => Fault::None,
    });
    let guard = node.mutex("one").lock().await.unwrap();
    assert_ne!(session(&node), first);
    for _ in 0..30 {
        sleep(TTL / 10).await;
        assert!(guard.is_held() && entries(&service) == 1);
    }
}

/// A wait that the service refuses for good is over, and so is its entry.
#[tokio::test(start_paused = true)]
async fn a_wait_that_is_refused_leaves_nothing() {
    for refused in [Operation::Contenders, Operation::Changed] {
        let service = MemoryService::with_tokio_time();
        let (holder, node) = (node(&service).await, node(&service).await);
        let held = holder.mutex("one").lock().await.unwrap();
        let session = session(&node);
        service.on_call(move |call| match call.operation {
            of if of == refused && call.session == session => Fault::Deny,
            _ => Fault::None,
        });
        let error = node.mutex("one").lock().await.unwrap_err();
        assert_eq!((error.kind(), error.name()), (ErrorKind::PermissionDenied, Some("one")), "{error}");
        everything_settles().await;
        assert_eq!(entries(&service), 1, "refused: {refused}");
        assert!(held.is_held());
    }
}

/// The service counts from when a renewal arrives. So what a slow reply tells is old.
#[tokio::test(start_paused = true)]
async fn a_renewal_counts_from_its_sending() {
    let service = MemoryService::with_tokio_time();
    let node = node(&service).await;
    let guard = node.mutex("one").lock().await.unwrap();
    let (session, renewals) = (session(&node), AtomicU64::new(0));
    service.on_call(move |call| match call.operation {
        Operation::Renew if call.session == session && renewals.fetch_add(1, Ordering::SeqCst) == 0 => {
            Fault::DelayReply(millis(1900))
        }
        Operation::Renew if call.session == session => Fault::LoseRequest,
        Operation::CloseSession => Fault::LoseRequest,
        _ => Fault::None,
    });
    let start = Instant::now();
    assert_eq!(guard.lost().await, LossReason::DeadlinePassed);
    assert!(start.elapsed() > TTL, "renewed once: {:?}", start.elapsed());
    assert_eq!(entries(&service), 1, "the service still has the entry");
}

/// The driver does not come to run between the enqueue's application and its reply, for longer than the session lives: the reply is there
/// before anybody has told of the loss.
#[test]
fn a_grant_after_a_blocked_driver_is_not_born_stale() {
    let driver = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let service = MemoryService::new();
    let builder = Coordinator::builder(service.backend()).ttl(millis(200)).runtime(driver.handle().clone());
    driver.block_on(async {
        let node = builder.connect().await.unwrap();
        let (first, enqueues) = (session(&node), AtomicU64::new(0));
        service.on_call(move |call| match call.operation {
            Operation::Enqueue if enqueues.fetch_add(1, Ordering::SeqCst) == 0 => {
                tokio::spawn(async { std::thread::sleep(millis(300)) });
                Fault::DelayReply(millis(1))
            }
            _ => Fault::None,
        });
        let guard = node.mutex("one").lock().await.unwrap();
        assert!(guard.is_held(), "granted, and lost already");
        assert_ne!(session(&node), first, "in a session that lives");
        assert_eq!(entries(&service), 1);
    });
}

/// Work that ends when the deadline has passed, and nobody has been told yet, was not done under the lock.
#[test]
fn work_that_ends_in_the_moment_of_the_loss_is_lost() {
    let driver = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let service = MemoryService::new();
    let builder = Coordinator::builder(service.backend()).ttl(millis(100)).runtime(driver.handle().clone());
    driver.block_on(async {
        let node = builder.connect().await.unwrap();
        let guard = node.mutex("one").lock().await.unwrap();
        // Nothing else of the thread's runs meanwhile.
        let worked = guard.while_held(async { std::thread::sleep(millis(150)) }).await;
        assert_eq!(worked.unwrap_err().kind(), ErrorKind::Lost);
    });
}

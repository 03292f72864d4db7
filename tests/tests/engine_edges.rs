//! The engine at its edges, on paused time over the memory service with injected faults: requests that arrive late, callers that go at the
//! wrong moment, times without an end.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures::poll;
use leasehold::memory::{Fault, MemoryBackend, MemoryService, Operation};
use leasehold::{
    Coordinator, CoordinatorBuilder, ErrorKind, LossReason, MultiLock, Recipe, Released, ShutdownError,
};
use leasehold_core::{KeyPath, Kind, Namespace};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

const TTL: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// What timers and yields may add on paused time.
const TICK: Duration = Duration::from_millis(2);

fn over(backend: MemoryBackend) -> CoordinatorBuilder {
    Coordinator::builder(backend).ttl(TTL).request_timeout(REQUEST_TIMEOUT).runtime(Handle::current())
}

async fn node(service: &MemoryService) -> Coordinator {
    over(service.backend()).connect().await.unwrap()
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

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// On paused time a sleep ends when everything else is idle.
async fn everything_settles() {
    sleep(millis(1)).await;
}

#[track_caller]
fn about(since: Instant, expected: Duration) {
    let took = since.elapsed();
    assert!(took >= expected && took <= expected + TICK, "{took:?} instead of {expected:?}");
}

/// The first enqueue of the coordinator arrives after four seconds, once more made good by then, and its watches tell everything a second
/// late.
fn send_the_first_enqueue_late(service: &MemoryService, node: &Coordinator) {
    let (session, enqueues) = (node.status().borrow().session.clone(), AtomicU64::new(0));
    service.on_call(move |call| match call.operation {
        _ if call.session != session => Fault::None,
        Operation::Enqueue if enqueues.fetch_add(1, Ordering::SeqCst) == 0 => Fault::DeliverLate(secs(4)),
        Operation::Changed => Fault::Delay(secs(1)),
        _ => Fault::None,
    });
}

fn remove_entry(service: &MemoryService, place: usize) {
    let entry = service.entries(&path("one"))[place].clone();
    assert!(service.remove_entry(&path("one"), entry.attempt));
}

/// A holder's entry is removed, and before the holder hears of it an enqueue that went unanswered brings another one of the same attempt, at
/// the queue's end: that is not what was granted.
#[tokio::test(start_paused = true)]
async fn an_entry_that_came_back_is_not_the_one_that_is_held() {
    let service = MemoryService::with_tokio_time();
    let (holder, next) = (node(&service).await, node(&service).await);
    send_the_first_enqueue_late(&service, &holder);
    let guard = holder.mutex("one").lock().await.unwrap();
    let waiting = tokio::spawn(async move { next.mutex("one").lock().await.unwrap() });
    sleep(millis(3900)).await;
    remove_entry(&service, 0);
    let fresh = waiting.await.unwrap();
    sleep(millis(300)).await;
    assert_eq!(entries(&service), 2, "the late one has arrived");
    sleep(secs(2)).await;
    assert!(fresh.is_held() && !guard.is_held(), "two believe that they hold");
    assert_eq!(guard.lost().await, LossReason::EntryRemoved);
    assert_eq!(entries(&service), 1, "and it was withdrawn");
}

/// The same while waiting: who is granted by the entry that came back has not waited with it from the beginning.
#[tokio::test(start_paused = true)]
async fn a_token_is_that_of_the_entry_that_is_granted() {
    let service = MemoryService::with_tokio_time();
    let (holder, waiter, other) = (node(&service).await, node(&service).await, node(&service).await);
    let held = holder.mutex("one").lock().await.unwrap();
    send_the_first_enqueue_late(&service, &waiter);
    let waiting = tokio::spawn(async move { waiter.mutex("one").lock().await.unwrap() });
    sleep(millis(3900)).await;
    remove_entry(&service, 1);
    let overtaking = tokio::spawn(async move { other.mutex("one").lock().await.unwrap() });
    sleep(secs(3)).await;
    held.release().await.unwrap();
    let second = overtaking.await.unwrap();
    let token = second.fencing_token();
    second.release().await.unwrap();
    let third = waiting.await.unwrap();
    assert!(third.fencing_token() > token, "{} after {token}", third.fencing_token());
    sleep(secs(3)).await;
    assert!(third.is_held() && entries(&service) == 1);
}

/// Giving up an entry that cannot be waited with any more takes as long as it takes, and the caller's budget is over when it is over.
#[tokio::test(start_paused = true)]
async fn a_budget_covers_a_removal_that_goes_unanswered() {
    let service = MemoryService::with_tokio_time();
    let (holder, waiter) = (node(&service).await, node(&service).await);
    let held = holder.mutex("one").lock().await.unwrap();
    for patience in [Some(secs(3)), None] {
        service.on_call(|call| match call.operation {
            Operation::Withdraw => Fault::LoseRequest,
            _ => Fault::None,
        });
        let start = Instant::now();
        let waiting = tokio::spawn({
            let mutex = waiter.mutex("one");
            async move { mutex.try_lock_for(patience.unwrap_or(Duration::MAX)).await }
        });
        sleep(secs(1)).await;
        remove_entry(&service, 1);
        sleep(secs(1)).await;
        if patience.is_some() {
            assert!(waiting.await.unwrap().unwrap().is_none());
            about(start, secs(3));
        } else {
            let stopping = tokio::spawn({
                let waiter = waiter.clone();
                async move { waiter.shutdown(secs(1)).await }
            });
            assert_eq!(waiting.await.unwrap().unwrap_err().kind(), ErrorKind::Closed);
            about(start, secs(2));
            stopping.await.unwrap().unwrap_err();
        }
        service.clear_on_call();
        sleep(secs(3)).await;
        assert_eq!(entries(&service), 1);
    }
    assert!(held.is_held());
}

/// Why a try is contended is worth a look, but no more time than the try has.
#[tokio::test(start_paused = true)]
async fn a_try_is_over_in_time_also_if_it_must_look_whom_it_met() {
    let service = MemoryService::with_tokio_time();
    let node = node(&service).await;
    let _held = node.semaphore("one", 1).acquire().await.unwrap();
    service.on_call(|call| match call.operation {
        Operation::Enqueue => Fault::DelayReply(millis(1500)),
        Operation::Contenders => Fault::Delay(millis(1500)),
        _ => Fault::None,
    });
    let start = Instant::now();
    assert!(node.semaphore("one", 1).try_acquire().await.unwrap().is_none());
    assert!(start.elapsed() <= REQUEST_TIMEOUT + TICK, "{:?}", start.elapsed());
}

/// Somebody who comes when everything has ended is turned away, and is nothing that the shutdown has left behind.
#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_count_those_it_turns_away() {
    let service = MemoryService::with_tokio_time();
    let node = node(&service).await;
    let guard = node.mutex("one").lock().await.unwrap();
    let releasing = tokio::spawn({
        let mutex = node.mutex("one");
        async move {
            guard.cancellation_token().cancelled().await;
            guard.release().await.unwrap();
            mutex.lock().await.unwrap_err().kind()
        }
    });
    let stopped: Result<(), ShutdownError> = node.shutdown(secs(5)).await;
    assert_eq!(stopped, Ok(()));
    assert_eq!(releasing.await.unwrap(), ErrorKind::Closed);
    assert!(service.is_empty());
}

/// The lock is lost between the grant and the moment when the caller's task runs again: the work is not even begun.
#[tokio::test(start_paused = true)]
async fn work_is_not_begun_under_a_lock_that_is_lost() {
    let service = MemoryService::with_tokio_time();
    // Not granted in the first poll of whoever asks.
    service.on_call(|call| match call.operation {
        Operation::Enqueue => Fault::Delay(millis(1)),
        _ => Fault::None,
    });
    for recipe in 0..6 {
        let backend = service.backend();
        let node = over(backend.clone()).connect().await.unwrap();
        let begun = Arc::new(AtomicU64::new(0));
        let count = {
            let begun = begun.clone();
            move || {
                begun.fetch_add(1, Ordering::SeqCst);
                std::future::ready(())
            }
        };
        let (mutex, rw, semaphore) = (node.mutex("a"), node.rw_lock("b"), node.semaphore("c", 1));
        let (election, multi) = (node.election("d"), MultiLock::new().member("e", node.mutex("e")));
        let stop = std::future::pending::<()>;
        let mut working: Pin<Box<dyn Future<Output = Option<ErrorKind>>>> = match recipe {
            0 => Box::pin(async { mutex.with(|_| count()).await.err().map(|error| error.kind()) }),
            1 => Box::pin(async { rw.with_read(|_| count()).await.err().map(|error| error.kind()) }),
            2 => Box::pin(async { rw.with_write(|_| count()).await.err().map(|error| error.kind()) }),
            3 => Box::pin(async { semaphore.with(|_| count()).await.err().map(|error| error.kind()) }),
            4 => Box::pin(async { multi.with(|_| count()).await.err().map(|error| error.kind()) }),
            _ => Box::pin(async { election.lead(stop(), |_| count()).await.err().map(|error| error.kind()) }),
        };
        assert!(poll!(working.as_mut()).is_pending());
        // Nobody polls it, so that the driver has taken it over by then, and granted it.
        sleep(millis(200)).await;
        backend.cut();
        sleep(TTL).await;
        let polled = poll!(working.as_mut());
        assert_eq!(begun.load(Ordering::SeqCst), 0, "recipe {recipe}");
        match recipe {
            4 | 5 => assert!(polled.is_pending(), "recipe {recipe}: it locks anew, or stands again"),
            _ => assert_eq!(polled, Poll::Ready(Some(ErrorKind::Lost)), "recipe {recipe}"),
        }
    }
}

/// Who waits out the grace of a holder hears at once that the coordinator is shut down.
#[tokio::test(start_paused = true)]
async fn a_release_by_force_ends_with_its_coordinator() {
    let service = MemoryService::with_tokio_time();
    let backend = service.backend();
    let (holder, admin) = (over(backend.clone()).connect().await.unwrap(), node(&service).await);
    let guard = holder.mutex("one").lock().await.unwrap();
    backend.cut();
    let breaking = tokio::spawn({
        let admin = admin.admin().grace(secs(3600));
        async move { admin.force_release(Recipe::Mutex, "one", "a test").await }
    });
    sleep(secs(1)).await;
    let start = Instant::now();
    let _ = admin.shutdown(secs(1)).await;
    let error = breaking.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    about(start, secs(1));
    drop(guard);
}

/// Times that no clock reaches are times without an end, whatever is done with them.
#[tokio::test(start_paused = true)]
async fn times_without_an_end() {
    let service = MemoryService::with_tokio_time();
    let forever = over(service.backend()).ttl(Duration::MAX).request_timeout(Duration::MAX);
    let forever = forever.connect_timeout(Duration::MAX).connect().await.unwrap();
    let mutex = forever.mutex("one");
    let guard = mutex.try_lock_for(Duration::MAX).await.unwrap().unwrap();
    assert!(mutex.ask_to_release("a test").await.unwrap());
    assert_eq!(mutex.contenders().await.unwrap().len(), 1);
    let admin = forever.admin().grace(Duration::MAX);
    assert_eq!(admin.force_release(Recipe::Mutex, "one", "a test").await.unwrap(), Released::ByHolder);
    assert_eq!(guard.lost().await, LossReason::ForceReleased);
    let semaphore = forever.semaphore("two", 1);
    let permit = semaphore.acquire().await.unwrap();
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let semaphore = semaphore.clone();
            tokio::spawn(async move { semaphore.acquire().await?.release().await.map_err(Into::into) })
        })
        .collect();
    sleep(secs(100)).await;
    permit.release().await.unwrap();
    for waiter in waiting {
        let done: Result<(), leasehold::Error> = waiter.await.unwrap();
        done.unwrap();
    }
    forever.shutdown(Duration::MAX).await.unwrap();
    assert!(service.is_empty());
}

/// A minimum hold is one of whoever got the lock. Somebody who is gone at the moment of the grant never had it.
#[tokio::test(start_paused = true)]
async fn nobody_holds_for_a_minimum_what_nobody_received() {
    let service = MemoryService::with_tokio_time();
    let node = node(&service).await;
    let mutex = node.mutex("one").min_hold(secs(3600));
    // Not granted in the first poll of whoever asks.
    service.on_call(|call| match call.operation {
        Operation::Enqueue => Fault::Delay(millis(1)),
        _ => Fault::None,
    });
    {
        let locking = mutex.lock();
        tokio::pin!(locking);
        assert!(poll!(locking.as_mut()).is_pending());
        // Nobody polls it, so that the driver has taken it over by then.
        sleep(millis(200)).await;
        assert_eq!(mutex.stats().acquisitions(), 1, "granted, and the guard is on its way");
    }
    everything_settles().await;
    assert_eq!(entries(&service), 0);
    drop(mutex.lock().await.unwrap());
    everything_settles().await;
    assert_eq!(entries(&service), 1, "who had it keeps it");
}

/// What a multi-lock took and gives back because it did not get everything was nobody's either.
#[tokio::test(start_paused = true)]
async fn what_a_failed_multi_lock_had_taken_is_not_held_for_a_minimum() {
    let service = MemoryService::with_tokio_time();
    let (node, other) = (node(&service).await, node(&service).await);
    let busy = other.mutex("two").lock().await.unwrap();
    let both = MultiLock::new()
        .member("a", node.mutex("one").min_hold(secs(3600)))
        .member("b", node.mutex("two").min_hold(secs(3600)));
    let start = Instant::now();
    assert!(both.try_lock().await.unwrap().is_none());
    about(start, Duration::ZERO);
    assert_eq!(entries(&service), 0);
    assert!(both.try_lock_for(secs(1)).await.unwrap().is_none());
    about(start, secs(1));
    everything_settles().await;
    assert_eq!(entries(&service), 0);
    busy.release().await.unwrap();
    drop(both.lock().await.unwrap());
    everything_settles().await;
    assert_eq!(entries(&service), 1, "who had both keeps them");
}

/// On a runtime of the application's that does not come to run nobody is told of a loss, but whoever asks is answered rightly, and a guard
/// that is dropped then was lost all the same.
#[test]
fn a_loss_that_nobody_tells_is_seen_by_whoever_looks() {
    let driver = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let service = MemoryService::new();
    for asked in [false, true] {
        let builder =
            Coordinator::builder(service.backend()).ttl(millis(100)).runtime(driver.handle().clone());
        let mutex = driver.block_on(builder.connect()).unwrap().mutex("one");
        let guard = driver.block_on(mutex.lock()).unwrap();
        let held = guard.held();
        // Until the deadline has passed, during which nothing may happen.
        std::thread::sleep(millis(150));
        assert!(!asked || !held.is_held());
        drop(guard);
        assert_eq!(driver.block_on(held.lost()), LossReason::DeadlinePassed, "asked: {asked}");
        assert_eq!(mutex.stats().losses, 1, "asked: {asked}");
    }
}

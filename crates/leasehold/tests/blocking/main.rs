//! Locks for programs without async. No test has a runtime but where it says so.

#![cfg(feature = "memory")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use leasehold::blocking::{self, Coordinator, MultiLock, wait};
use leasehold::memory::MemoryService;
use leasehold::{ErrorKind, FencingToken, LossReason};

const PATIENCE: Duration = Duration::from_secs(20);

fn open(service: &MemoryService) -> Coordinator {
    Coordinator::open(leasehold::Coordinator::builder(service.backend())).unwrap()
}

fn expire(service: &MemoryService, coordinator: &Coordinator) {
    let session = coordinator.status().borrow().session.clone().unwrap();
    assert!(service.expire_session(&session));
}

/// Waits until the service keeps nothing, which is what happens in the background after a drop.
fn nothing_is_left(service: &MemoryService) {
    let deadline = Instant::now() + PATIENCE;
    while !service.keys("").is_empty() {
        assert!(Instant::now() < deadline, "{:?}", service.keys(""));
        thread::yield_now();
    }
}

#[test]
fn threads_exclude_each_other() {
    const THREADS: u64 = 8;
    const ROUNDS: u64 = 40;
    let service = MemoryService::new();
    let number = AtomicU64::new(0);
    let tokens = StdMutex::new(Vec::<FencingToken>::new());
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mutex = open(&service).mutex("the number");
                for _ in 0..ROUNDS {
                    mutex
                        .with(|held| {
                            let read = number.load(Ordering::SeqCst);
                            thread::yield_now();
                            number.store(read + 1, Ordering::SeqCst);
                            tokens.lock().unwrap().push(held.fencing_token());
                        })
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(number.into_inner(), THREADS * ROUNDS);
    let tokens = tokens.into_inner().unwrap();
    assert!(tokens.windows(2).all(|pair| pair[0] < pair[1]), "in the order of the grants");
    assert!(service.keys("").is_empty());
}

#[test]
fn a_waiting_thread_is_granted_when_another_releases() {
    let coordinator = blocking::connect("memory://").unwrap();
    let mutex = coordinator.mutex("a waiting thread");
    let guard = mutex.lock().unwrap();
    let (granted, grants) = mpsc::channel();
    let waiting = thread::spawn({
        let mutex = mutex.clone();
        move || {
            let guard = mutex.lock().unwrap();
            granted.send(guard.fencing_token()).unwrap();
            guard.release().unwrap();
        }
    });
    assert!(grants.recv_timeout(Duration::from_millis(100)).is_err(), "it is held");
    let first = guard.fencing_token();
    guard.release().unwrap();
    assert!(grants.recv_timeout(PATIENCE).unwrap() > first);
    waiting.join().unwrap();
    assert!(mutex.try_lock().unwrap().is_some(), "a release that returned is done");
}

#[test]
fn tries_and_time_outs_end_without_a_guard() {
    let service = MemoryService::new();
    let (one, two) = (open(&service), open(&service));
    let guard = one.mutex("one").lock().unwrap();
    assert!(two.mutex("one").try_lock().unwrap().is_none());
    assert!(two.mutex("one").try_lock_for(Duration::ZERO).unwrap().is_none());
    let (patience, start) = (Duration::from_millis(120), Instant::now());
    assert!(two.mutex("one").try_lock_for(patience).unwrap().is_none());
    assert!(start.elapsed() >= patience);
    guard.release().unwrap();
    nothing_is_left(&service);
    let guard = two.mutex("one").try_lock_for(PATIENCE).unwrap().unwrap();
    assert!(guard.is_held());
    drop(guard);
    nothing_is_left(&service);
}

#[test]
fn a_service_that_does_not_answer_is_an_error_in_time() {
    let service = MemoryService::new();
    let builder =
        leasehold::Coordinator::builder(service.backend()).request_timeout(Duration::from_millis(100));
    let coordinator = Coordinator::open(builder).unwrap();
    service.pause();
    for error in [
        coordinator.mutex("one").try_lock().unwrap_err(),
        coordinator.mutex("one").try_lock_for(Duration::from_millis(50)).unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.name()), (ErrorKind::Unavailable, Some("one")), "{error}");
    }
    let builder =
        leasehold::Coordinator::builder(service.backend()).connect_timeout(Duration::from_millis(50));
    assert_eq!(Coordinator::open(builder).unwrap_err().kind(), ErrorKind::Unavailable);
    service.resume();
    coordinator.mutex("one").lock().unwrap().release().unwrap();
}

#[test]
fn a_loss_during_the_work_is_told_afterwards() {
    let service = MemoryService::new();
    let coordinator = open(&service);
    let (told, telling) = mpsc::channel();
    let worked = coordinator.mutex("one").with(|held| {
        let lost = held.lost();
        let waiting = thread::spawn(move || wait(lost));
        expire(&service, &coordinator);
        told.send(waiting.join().unwrap()).unwrap();
        assert!(!held.is_held() && held.cancellation_token().is_cancelled());
    });
    let reason = telling.recv().unwrap();
    assert_ne!(reason, LossReason::Released);
    let error = worked.unwrap_err();
    assert_eq!((error.kind(), error.loss_reason()), (ErrorKind::Lost, Some(reason)));
    assert_eq!(coordinator.mutex("one").with(|_| 7).unwrap(), 7, "the next session");
}

#[test]
fn a_panic_in_the_work_gives_up_the_lock() {
    let service = MemoryService::new();
    let mutex = open(&service).mutex("one");
    let panicked = catch_unwind(AssertUnwindSafe(|| mutex.with(|_| panic!("on purpose"))));
    assert!(panicked.is_err());
    mutex.try_lock_for(PATIENCE).unwrap().unwrap().release().unwrap();
}

#[test]
fn a_shutdown_waits_for_the_threads_that_hold() {
    let service = MemoryService::new();
    let coordinator = open(&service);
    let (holding, held) = mpsc::channel();
    let working = thread::spawn({
        let mutex = coordinator.mutex("one");
        move || {
            mutex.with(|held| {
                holding.send(()).unwrap();
                wait(held.cancellation_token().cancelled_owned());
                held.is_held()
            })
        }
    });
    held.recv_timeout(PATIENCE).unwrap();
    coordinator.shutdown(PATIENCE).unwrap();
    assert!(working.join().unwrap().unwrap(), "held until the work had ended");
    assert_eq!(coordinator.mutex("one").lock().unwrap_err().kind(), ErrorKind::Closed);
    let stubborn = open(&service);
    let guard = stubborn.mutex("one").lock().unwrap();
    assert_eq!(stubborn.shutdown(Duration::from_millis(10)).unwrap_err().unfinished, 1);
    assert_eq!(wait(guard.lost()), LossReason::ShutDown);
    assert!(!guard.is_held() && guard.release().unwrap_err().is_lost());
}

#[test]
fn readers_share_and_writers_are_alone() {
    let service = MemoryService::new();
    let (one, two) = (open(&service).rw_lock("one"), open(&service).rw_lock("one"));
    one.with_read(|_| {
        two.with_read(|held| assert!(held.is_held())).unwrap();
        assert!(two.try_write().unwrap().is_none());
    })
    .unwrap();
    let writer = two.try_write_for(PATIENCE).unwrap().unwrap();
    assert!(one.try_read().unwrap().is_none());
    assert!(writer.is_held() && writer.held().is_held());
    writer.release().unwrap();
    one.with_write(|_| assert!(two.try_write().unwrap().is_none())).unwrap();
    assert!(service.keys("").is_empty());
}

#[test]
fn a_writer_becomes_a_reader() {
    let service = MemoryService::new();
    let (one, two) = (open(&service).rw_lock("one"), open(&service).rw_lock("one"));
    let reader = one.write().unwrap().downgrade().unwrap();
    assert_eq!(reader.upgrade().unwrap_err().kind(), ErrorKind::Unsupported);
    two.try_read_for(PATIENCE).unwrap().unwrap().release().unwrap();
    assert!(two.try_write().unwrap().is_none());
    reader.release().unwrap();
}

#[test]
fn a_semaphore_has_its_permits() {
    let service = MemoryService::new();
    let (one, two) = (open(&service).semaphore("one", 3), open(&service).semaphore("one", 3));
    let permits = one.acquire_many(2).unwrap();
    assert_eq!((permits.count(), one.limit(), one.name()), (2, 3, "one"));
    let last = two.try_acquire().unwrap().unwrap();
    assert!(two.try_acquire().unwrap().is_none());
    assert!(two.try_acquire_many_for(2, Duration::from_millis(20)).unwrap().is_none());
    permits.release().unwrap();
    assert!(two.with(|held| held.is_held()).unwrap());
    last.release().unwrap();
    assert_eq!(two.try_acquire_many(3).unwrap().unwrap().count(), 3);
    assert_eq!(two.acquire_many(4).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn registers_and_counters_of_several_threads() {
    let service = MemoryService::new();
    let (register, counter) = (open(&service).register("one"), open(&service).counter("two"));
    assert_eq!(register.read().unwrap(), None);
    let version = register.write("a").unwrap();
    assert_eq!(register.compare_and_set(version + 1, "b").unwrap(), None);
    let changed = thread::spawn({
        let register = register.clone();
        move || register.changed(version).unwrap().unwrap()
    });
    assert!(register.compare_and_set(version, "b").unwrap().unwrap() > version);
    assert_eq!(&changed.join().unwrap().value[..], b"b");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10).for_each(|_| assert!(counter.add(1).unwrap() > 0)));
        }
    });
    assert_eq!(counter.get().unwrap(), 40);
    assert!(counter.compare_and_set(40, 7).unwrap() && !counter.compare_and_set(40, 8).unwrap());
    let coordinator = open(&service);
    let held = coordinator.mutex("one").lock().unwrap();
    coordinator.register("one").write_held(&held, "in time").unwrap();
    expire(&service, &coordinator);
    let late = coordinator.register("one").write_held(&held, "late");
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Lost);
    assert_eq!(&register.read().unwrap().unwrap().value[..], b"in time");
}

#[test]
fn threads_meet_at_barriers_and_latches() {
    let service = MemoryService::new();
    let coordinator = open(&service);
    let (barrier, latch) = (coordinator.barrier("one"), coordinator.latch("two", 2));
    barrier.set().unwrap();
    assert!(barrier.is_set().unwrap() && !barrier.wait_for(Duration::from_millis(20)).unwrap());
    assert!(!latch.wait_for(Duration::from_millis(20)).unwrap());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                barrier.wait().unwrap();
                latch.count_down().unwrap();
            });
        }
        assert_eq!(latch.count().unwrap(), 2);
        barrier.lift().unwrap();
        latch.wait().unwrap();
    });
    assert_eq!(latch.count().unwrap(), 0);
    assert!(latch.reset().unwrap());
}

#[test]
fn something_is_done_once() {
    let service = MemoryService::new();
    let runs = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let once = open(&service).once("one").occurrence("today");
                let run = once.run(|held| {
                    assert!(held.is_held());
                    runs.fetch_add(1, Ordering::SeqCst);
                    Ok::<_, ()>("done")
                });
                assert_eq!(&run.unwrap().unwrap().result()[..], b"done");
            });
        }
    });
    assert_eq!(runs.into_inner(), 1);
    let once = open(&service).once("one");
    assert!(once.wait_for(Duration::from_millis(20)).unwrap().is_none(), "that was another occurrence");
    assert_eq!(once.try_run(|_| Err::<&str, _>("failed")).unwrap().unwrap().unwrap_err(), "failed");
    assert!(once.completion().unwrap().is_none());
    assert!(once.occurrence("today").wait().is_ok());
}

#[test]
fn a_multi_lock_of_two_services() {
    let services = [MemoryService::new(), MemoryService::new()];
    let [old, new] = [open(&services[0]), open(&services[1])];
    let both = MultiLock::new().member("old", old.mutex("x")).member("new", new.mutex("x"));
    let tokens = both.with(|held| (held.token("old", "x"), held.token("new", "x"))).unwrap();
    assert!(tokens.0.is_some() && tokens.1.is_some());
    let guard = both.lock().unwrap();
    assert!(old.mutex("x").try_lock().unwrap().is_none() && new.mutex("x").try_lock().unwrap().is_none());
    assert!(both.try_lock().unwrap().is_none());
    assert!(both.try_lock_for(Duration::from_millis(20)).unwrap().is_none());
    guard.release().unwrap();
    services.iter().for_each(nothing_is_left);
    let error = MultiLock::new().lock().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}

#[test]
fn a_guard_is_shared_by_threads() {
    let service = MemoryService::new();
    let mutex = open(&service).mutex("one");
    let shared = mutex.lock().unwrap().share();
    let last: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let shared = shared.clone();
                scope.spawn(move || usize::from(wait(shared.release()).unwrap()))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(last, 0, "one is left");
    assert!(shared.is_held() && mutex.try_lock().unwrap().is_none());
    assert!(wait(shared.release()).unwrap());
    assert!(mutex.try_lock().unwrap().is_some());
}

#[test]
fn handles_of_both_worlds_share_a_session() {
    let service = MemoryService::new();
    let coordinator = open(&service);
    let asynchronous = coordinator.as_async().clone();
    let guard = wait(asynchronous.mutex("one").lock()).unwrap();
    assert!(coordinator.mutex("one").try_lock().unwrap().is_none());
    assert_eq!(service.sessions().len(), 1);
    let guard = blocking::MutexGuard::from(guard);
    wait(guard.into_async().release()).unwrap();
    assert_eq!(coordinator.mutex("\0").lock().unwrap_err().kind(), ErrorKind::InvalidName);
    assert_eq!(blocking::connect("nonsense").unwrap_err().kind(), ErrorKind::InvalidConfig);
    blocking::connect_lazy("memory://").unwrap().mutex("lazy").with(|_| ()).unwrap();
}

fn message(panic: Box<dyn std::any::Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().copied().unwrap_or_default().to_owned(),
    }
}

/// What would stop a runtime's thread panics at once instead, on runtimes of both kinds, and nothing is left behind.
#[test]
fn waiting_in_asynchronous_code_panics() {
    let service = MemoryService::new();
    let coordinator = open(&service);
    let runtimes = [
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap(),
    ];
    for runtime in runtimes {
        let says = |panic| assert!(message(panic).contains("Cannot block the current thread"));
        let refused = |call: &dyn Fn()| says(catch_unwind(AssertUnwindSafe(call)).unwrap_err());
        runtime.block_on(async {
            refused(&|| drop(blocking::connect("memory://")));
            refused(&|| drop(coordinator.mutex("one").lock()));
            refused(&|| drop(coordinator.mutex("one").try_lock()));
            refused(&|| drop(coordinator.mutex("one").with(|_| unreachable!())));
            refused(&|| drop(coordinator.rw_lock("one").read()));
            refused(&|| drop(coordinator.shutdown(PATIENCE)));
            let mutex = coordinator.mutex("one");
            let task = tokio::spawn(async move { drop(mutex.lock()) });
            says(task.await.unwrap_err().into_panic());
        });
        assert!(service.keys("").is_empty(), "nothing was asked of the service");
    }
    assert!(coordinator.mutex("one").try_lock().unwrap().is_some(), "the coordinator is as it was");
}

#[test]
fn a_guard_is_given_up_in_asynchronous_code_too() {
    let service = MemoryService::new();
    let mutex = open(&service).mutex("one");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (dropped, released) = (mutex.lock().unwrap(), open(&service).mutex("two").lock().unwrap());
    runtime.block_on(async {
        drop(dropped);
        catch_unwind(AssertUnwindSafe(|| released.release())).unwrap_err();
    });
    nothing_is_left(&service);
}

#[test]
fn threads_for_blocking_work_may_wait() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let sums = runtime.block_on(async {
        let work = || blocking::connect("memory://").unwrap().mutex("may wait").with(|_| 1).unwrap();
        let (spawned, in_place) = (
            tokio::task::spawn_blocking(work),
            tokio::spawn(async move { tokio::task::block_in_place(work) }),
        );
        spawned.await.unwrap() + in_place.await.unwrap()
    });
    assert_eq!(sums, 2);
}

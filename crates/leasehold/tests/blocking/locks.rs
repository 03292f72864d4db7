//! The locks: mutex, read/write lock, semaphore, several at once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use leasehold::blocking::{self, Coordinator, MultiLock, QuorumLock, wait};
use leasehold::memory::MemoryService;
use leasehold::{ErrorKind, FencingToken, LossReason};

use crate::{BRIEFLY, PATIENCE, expire, nothing_is_left, open};

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
    assert!(two.try_acquire_many_for(2, BRIEFLY).unwrap().is_none());
    permits.release().unwrap();
    assert!(two.with(|held| held.is_held()).unwrap());
    last.release().unwrap();
    assert_eq!(two.try_acquire_many(3).unwrap().unwrap().count(), 3);
    assert_eq!(two.acquire_many(4).unwrap_err().kind(), ErrorKind::InvalidArgument);
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
    assert!(both.try_lock_for(BRIEFLY).unwrap().is_none());
    guard.release().unwrap();
    services.iter().for_each(nothing_is_left);
    let error = MultiLock::new().lock().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}

#[test]
fn a_majority_of_three_services() {
    let services = [MemoryService::new(), MemoryService::new(), MemoryService::new()];
    let members = || services.iter().enumerate().map(|(at, service)| (at.to_string(), open(service)));
    let [one, other] = [QuorumLock::new(members(), "x").unwrap(), QuorumLock::new(members(), "x").unwrap()];
    assert_eq!((one.name(), one.majority(), one.labels().collect::<Vec<_>>()), ("x", 2, vec!["0", "1", "2"]));
    assert!(one.with(|held| held.is_held()).unwrap());
    let guard = one.member_timeout(PATIENCE).lock().unwrap();
    assert!(other.try_lock().unwrap().is_none());
    assert!(other.try_lock_for(BRIEFLY).unwrap().is_none());
    let held = guard.held();
    guard.release().unwrap();
    assert_eq!(wait(held.lost()).reason, LossReason::Released);
    other.lock().unwrap().release().unwrap();
    services.iter().for_each(nothing_is_left);
    let error = QuorumLock::new(members().take(2), "x").unwrap_err();
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

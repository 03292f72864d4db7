//! What is kept by the service: registers, counters, barriers, latches, what is done once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use leasehold::ErrorKind;
use leasehold::memory::MemoryService;

use crate::{BRIEFLY, expire, open};

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
    assert!(barrier.is_set().unwrap() && !barrier.wait_for(BRIEFLY).unwrap());
    assert!(!latch.wait_for(BRIEFLY).unwrap());
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
    assert!(once.wait_for(BRIEFLY).unwrap().is_none(), "that was another occurrence");
    assert_eq!(once.try_run(|_| Err::<&str, _>("failed")).unwrap().unwrap().unwrap_err(), "failed");
    assert!(once.completion().unwrap().is_none());
    assert!(once.occurrence("today").wait().is_ok());
}

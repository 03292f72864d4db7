//! Threads that enter together and leave together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use leasehold::blocking::wait_for;
use leasehold::memory::MemoryService;
use leasehold::{ErrorKind, Recipe};

use crate::{BRIEFLY, PATIENCE, open};

const PARTIES: u32 = 3;

#[test]
fn threads_enter_and_leave_together() {
    const ROUNDS: u64 = 10;
    let service = MemoryService::new();
    let (come, done) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..PARTIES {
            scope.spawn(|| {
                let barrier = open(&service).double_barrier("one", PARTIES);
                assert_eq!((barrier.name(), barrier.parties()), ("one", PARTIES));
                let mut last = 0;
                for round in 1..=ROUNDS {
                    let all = round * u64::from(PARTIES);
                    come.fetch_add(1, Ordering::SeqCst);
                    let inside = barrier.enter().unwrap();
                    assert_eq!(come.load(Ordering::SeqCst), all, "all have come, and none for the next");
                    assert!(inside.round() > last && inside.is_held() && inside.held().is_held());
                    last = inside.round();
                    done.fetch_add(1, Ordering::SeqCst);
                    inside.leave().unwrap();
                    assert!(done.load(Ordering::SeqCst) >= all);
                }
            });
        }
    });
    assert_eq!(done.into_inner(), ROUNDS * u64::from(PARTIES));
}

#[test]
fn who_goes_without_leaving_is_told_to_the_others() {
    let service = MemoryService::new();
    let entering = [0, 1].map(|_| {
        let barrier = open(&service).double_barrier("one", 2);
        thread::spawn(move || barrier.enter().unwrap())
    });
    let [one, two] = entering.map(|entering| entering.join().unwrap());
    drop(one);
    assert_eq!(two.leave().unwrap_err().kind(), ErrorKind::PeerLost);
    let barrier = open(&service).double_barrier("two", 2);
    let waited = wait_for(barrier.as_async().enter(), BRIEFLY);
    assert!(waited.is_none(), "the other one has not come");
    assert_eq!(
        open(&service).double_barrier("two", 0).enter().unwrap_err().kind(),
        ErrorKind::InvalidArgument
    );
    // Whoever gave up waiting is in nobody's way.
    let (admin, deadline) = (open(&service).admin(), Instant::now() + PATIENCE);
    while !admin.contenders(Recipe::DoubleBarrier, "two").unwrap().is_empty() {
        assert!(Instant::now() < deadline);
        thread::yield_now();
    }
}

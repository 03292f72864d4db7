//! Locks in a program without async: `cargo run --example blocking`.
//!
//! Threads share a number, one waits for another, one gives up after a while, one is told that it has lost its lock. There is no
//! runtime here: each call blocks its thread, and the library's own thread does the rest.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use leasehold::blocking::{self, Coordinator};
use leasehold::memory::MemoryService;

const THREADS: u64 = 4;
const ROUNDS: u64 = 100;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    // A real service would be "etcd://host:2379" or "zookeeper://host:2181".
    let coordinator = blocking::connect("memory://blocking")?;
    let number = AtomicU64::new(0);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let mutex = coordinator.mutex("the number");
                    (0..ROUNDS).try_for_each(|_| mutex.with(|_held| read_think_write(&number)))
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?.map_err(Failure::from))
    })?;
    println!("{THREADS} threads added 1 {ROUNDS} times each: {}", number.load(Ordering::SeqCst));
    assert_eq!(number.load(Ordering::SeqCst), THREADS * ROUNDS, "an update was lost");

    let guard = coordinator.mutex("the door").lock()?;
    println!("held with token {:?}", guard.fencing_token());
    let other = blocking::connect("memory://blocking")?.mutex("the door");
    assert!(other.try_lock()?.is_none());
    assert!(other.try_lock_for(Duration::from_millis(50))?.is_none());
    println!("somebody else tried, waited for 50 ms, and went away");
    let waiting = thread::spawn(move || other.with(|held| held.fencing_token()));
    guard.release()?;
    let token = waiting.join().map_err(|_| "the thread panicked")??;
    println!("somebody waited and was next, with token {token:?}");
    coordinator.shutdown(Duration::from_secs(5))?;

    let service = MemoryService::new();
    let unlucky = Coordinator::open(leasehold::Coordinator::builder(service.backend()))?;
    let worked = unlucky.mutex("the door").with(|held| {
        let session = unlucky.status().borrow().session.clone().unwrap_or_default();
        service.expire_session(&session);
        // Nobody can stop this closure. It asks, or waits to be told.
        let reason = blocking::wait(held.lost());
        println!("the work hears of it: {reason}, is_held is {}", held.is_held());
    });
    match worked {
        Err(error) => println!("and its caller: {error}"),
        Ok(()) => return Err("work without the lock passed for done".into()),
    }
    unlucky.shutdown(Duration::from_secs(5))?;
    Ok(())
}

type Failure = Box<dyn Error + Send + Sync>;

/// The bug that locks are for: what was read may be old by the time the sum is written.
fn read_think_write(number: &AtomicU64) {
    let read = number.load(Ordering::SeqCst);
    thread::yield_now();
    number.store(read + 1, Ordering::SeqCst);
}

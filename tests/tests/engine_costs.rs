//! What the engine's tasks do while nothing happens, counted on paused time over the memory service. With all features, as the gate runs it, spans and
//! metrics are compiled in and nobody listens.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use leasehold::Coordinator;
use leasehold::memory::MemoryService;
use leasehold_core::Gate;
use tokio::runtime::Handle;
use tokio::time::sleep;

const TTL: Duration = Duration::from_secs(10);

/// A coordinator on this runtime, and how often its tasks have been polled.
async fn counted(service: &MemoryService) -> (Coordinator, Arc<AtomicU64>) {
    let polls = Arc::new(AtomicU64::new(0));
    let counting = polls.clone();
    let gate = Gate::new(move |_| {
        counting.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(())
    });
    let builder = Coordinator::builder(service.backend()).ttl(TTL).runtime(Handle::current());
    (builder.gate(gate).connect().await.unwrap(), polls)
}

/// Neither the clock nor the session's renewals concern them.
#[tokio::test(start_paused = true)]
async fn who_waits_or_holds_sleeps_until_something_happens() {
    const WAITERS: u64 = 100;
    let service = MemoryService::with_tokio_time();
    let (node, polls) = counted(&service).await;
    let held = node.mutex("one").lock().await.unwrap();
    let waiters: Vec<_> = (0..WAITERS)
        .map(|_| {
            let mutex = node.mutex("one");
            tokio::spawn(async move { mutex.lock().await })
        })
        .collect();
    // Their own entries are watched by then.
    sleep(Duration::from_secs(1)).await;
    let before = polls.load(Ordering::Relaxed);
    sleep(TTL * 60).await;
    let polled = polls.load(Ordering::Relaxed) - before;
    assert!(held.is_held(), "renewed meanwhile");
    // The session's keeper looks at the clock each second, and hears of each renewal.
    assert!(polled < 2000, "{polled} polls for {WAITERS} waiters in ten minutes");
    waiters.iter().for_each(|waiter| waiter.abort());
}

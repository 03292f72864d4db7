//! What ends a wait, and what is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use leasehold::memory::{Fault, MemoryService, Operation};
use leasehold::{Error, ErrorKind, Updated};
use tokio::time::{Instant, sleep};

use super::node;

/// The waiter's watch reports changes that were none, late changes, and lost requests.
#[tokio::test(start_paused = true)]
async fn waits_look_again_whatever_wakes_them() {
    for fault in [Fault::Refuse, Fault::Delay(Duration::from_secs(1))] {
        let service = MemoryService::with_tokio_time();
        let (mine, theirs) = (node(&service).await, node(&service).await);
        theirs.barrier("one").set().await.unwrap();
        let session = mine.status().borrow().session.clone();
        let woken = Arc::new(AtomicU64::new(0));
        let count = woken.clone();
        service.on_call(move |call| match call.operation {
            // A few times at once, then in truth.
            Operation::RegisterChanged
                if call.session == session && count.fetch_add(1, Ordering::SeqCst) < 20 =>
            {
                fault
            }
            Operation::Read if call.session == session && call.nth % 3 == 0 => Fault::LoseReply,
            _ => Fault::None,
        });
        let waits = [
            tokio::spawn({
                let barrier = mine.barrier("one");
                async move { barrier.wait().await }
            }),
            tokio::spawn({
                let latch = mine.latch("one", 1);
                async move { latch.wait().await }
            }),
        ];
        sleep(Duration::from_secs(5)).await;
        assert!(waits.iter().all(|wait| !wait.is_finished()));
        theirs.barrier("one").lift().await.unwrap();
        theirs.latch("one", 1).count_down().await.unwrap();
        for wait in waits {
            wait.await.unwrap().unwrap();
        }
        assert!(woken.load(Ordering::SeqCst) >= 2);
    }
}

/// An update that loses its races keeps to its patience, and one that does not wins at last.
#[tokio::test(start_paused = true)]
async fn an_update_keeps_to_its_patience() {
    let service = MemoryService::with_tokio_time();
    let (mine, theirs) = (node(&service).await, node(&service).await);
    let patience = Duration::from_millis(500);
    // Each read of the one is followed by a write of the other.
    let (reached, mut reaching) = tokio::sync::mpsc::unbounded_channel();
    let session = mine.status().borrow().session.clone();
    service.on_call(move |call| match call.operation {
        Operation::Read if call.session == session => {
            let _ = reached.send(());
            Fault::DelayReply(Duration::from_millis(1))
        }
        _ => Fault::None,
    });
    let rival = tokio::spawn(async move {
        while reaching.recv().await.is_some() {
            theirs.register("one").write("theirs").await.unwrap();
        }
    });
    let start = Instant::now();
    let mut runs = 0;
    let register = mine.register("one");
    let updated = register.update_for(patience, |_| {
        runs += 1;
        Some("mine".into())
    });
    assert_eq!(updated.await.unwrap(), Updated::OutOfTime);
    assert!(start.elapsed() <= patience + Duration::from_millis(5), "{:?}", start.elapsed());
    assert!(runs > 3, "{runs}");
    service.clear_on_call();
    rival.await.unwrap();
    let written = mine.register("one").update(|_| Some("mine".into())).await.unwrap().written().unwrap();
    assert_eq!(mine.register("one").read().await.unwrap(), Some(written));
}

/// Reads and writes go on while a coordinator drains, and end with it.
#[tokio::test(start_paused = true)]
async fn a_closed_coordinator_answers_at_once() {
    let service = MemoryService::with_tokio_time();
    let node = node(&service).await;
    node.register("one").write("x").await.unwrap();
    node.shutdown(Duration::from_secs(1)).await.unwrap();
    let start = Instant::now();
    let closed = |error: Error| assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    closed(node.register("one").read().await.unwrap_err());
    closed(node.register("one").write("y").await.unwrap_err());
    closed(node.register("one").changed(0).await.unwrap_err());
    closed(node.counter("two").add(1).await.unwrap_err());
    closed(node.barrier("one").wait().await.unwrap_err());
    closed(node.latch("one", 1).wait_for(Duration::from_secs(5)).await.unwrap_err());
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(service.is_empty());
}

//! No more than so many at a time: `cargo run --example semaphore`, over a service with `-- --url etcd://HOST:PORT`.
//!
//! Twelve exports of two processes share three permits. Then a large request waits, and small ones that would fit do not
//! overtake it. At last somebody comes who believes that there are five.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use leasehold::{ErrorKind, Semaphore};
use leasehold_examples::url_argument;

const PERMITS: u32 = 3;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let url = url_argument()?;
    let processes = [leasehold::connect(&url).await?, leasehold::connect(&url).await?];

    println!("Twelve exports over {}, {PERMITS} at a time.", processes[0].backend_name());
    let running = Arc::new((AtomicU32::new(0), AtomicU32::new(0)));
    let exports: Vec<_> = (0..12)
        .map(|number| {
            let exports = processes[number % 2].semaphore("exports", PERMITS);
            tokio::spawn(export(exports, running.clone()))
        })
        .collect();
    for export in exports {
        export.await??;
    }
    let most = running.1.load(Ordering::SeqCst);
    println!("  all done; {most} at the most were running together");
    assert_eq!(most, PERMITS, "the limit is reached and not exceeded");

    println!("One permit is in use, and a request for all of them waits.");
    let (small, large) =
        (processes[0].semaphore("exports", PERMITS), processes[1].semaphore("exports", PERMITS));
    let held = small.acquire().await?;
    let waiting = tokio::spawn(async move { large.acquire_many(PERMITS).await });
    // Until it stands in the queue, a try still gets one.
    while let Some(permit) = small.try_acquire().await? {
        permit.release().await?;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!("  two are free, but a try does not overtake it");
    let behind = tokio::spawn({
        let small = small.clone();
        async move { small.acquire().await }
    });
    held.release().await?;
    let all = waiting.await??;
    assert!(!behind.is_finished() && all.count() == PERMITS);
    println!("  it has got all {}, and who came later waits", all.count());

    let wrong = processes[1].semaphore("exports", 5).acquire().await.expect_err("the limits differ");
    assert_eq!(wrong.kind(), ErrorKind::Mismatch);
    println!("Somebody believes in five: {wrong}");

    all.release().await?;
    behind.await??.release().await?;
    for process in processes {
        process.shutdown(Duration::from_secs(5)).await?;
    }
    Ok(())
}

/// Counts who is running now, and the most that ever were.
async fn export(exports: Semaphore, running: Arc<(AtomicU32, AtomicU32)>) -> Result<(), leasehold::Error> {
    exports
        .with(|_held| async move {
            let now = running.0.fetch_add(1, Ordering::SeqCst) + 1;
            running.1.fetch_max(now, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            running.0.fetch_sub(1, Ordering::SeqCst);
        })
        .await
}

//! Locks in a minute, with no server: `cargo run --example quickstart`.
//!
//! Eight workers add to one number, reading it, thinking and writing it back: first without a lock, then with one. Then a
//! holder loses its lock without noticing and writes all the same; the fencing token gives it away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use leasehold::Coordinator;
use leasehold::fencing::FencedRegister;
use leasehold::memory::MemoryService;

const WORKERS: u64 = 8;
const ROUNDS: u64 = 100;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // A real service would be leasehold::connect("etcd://host:2379").
    let service = MemoryService::new();
    let coordinator = Coordinator::builder(service.backend()).connect().await?;

    println!("{WORKERS} workers add 1 to a shared number, {ROUNDS} times each.");
    let number = Arc::new(AtomicU64::new(0));
    run_workers(|| {
        let number = number.clone();
        async move {
            read_think_write(&number).await;
            Ok(())
        }
    })
    .await?;
    let lost = WORKERS * ROUNDS - number.load(Ordering::SeqCst);
    println!(
        "  without a lock: {:>3} of {}  ({lost} updates lost)",
        number.load(Ordering::SeqCst),
        WORKERS * ROUNDS
    );

    let number = Arc::new(AtomicU64::new(0));
    let mutex = coordinator.mutex("the number");
    let start = Instant::now();
    run_workers(|| {
        let (number, mutex) = (number.clone(), mutex.clone());
        async move { mutex.with(|_held| async move { read_think_write(&number).await }).await }
    })
    .await?;
    let (total, rate) =
        (number.load(Ordering::SeqCst), (WORKERS * ROUNDS) as f64 / start.elapsed().as_secs_f64());
    println!("  with the lock:  {total:>3} of {}  ({rate:.0} acquisitions/s)", WORKERS * ROUNDS);

    println!("A holder loses its lock without noticing (a paused process, a cut network).");
    let store = FencedRegister::new(0);
    let sleepy = Coordinator::builder(service.backend()).connect().await?;
    let stale = sleepy.mutex("the store").lock().await?;
    println!("  the first holder has token {:?}", stale.fencing_token());
    let session = sleepy.status().borrow().session.clone().ok_or("the coordinator has no session")?;
    service.expire_session(&session);
    let fresh = coordinator.mutex("the store").lock().await?;
    println!("  the second holder has token {:?}", fresh.fencing_token());
    store.write(fresh.fencing_token(), 42)?;
    match store.write(stale.fencing_token(), 13) {
        Err(rejected) => println!("  the store rejects the first one's late write: {rejected}"),
        Ok(()) => return Err("the store took a stale write".into()),
    }
    println!("  the store still has {}", store.read(fresh.fencing_token())?);
    println!("  and the first holder was told: {}", stale.lost().await);
    drop(stale);

    fresh.release().await?;
    let start = Instant::now();
    coordinator.shutdown(Duration::from_secs(5)).await?;
    println!("Shut down in {:.1} ms; everything is released.", start.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

/// The bug that locks are for: what was read may be old by the time the sum is written.
async fn read_think_write(number: &AtomicU64) {
    let read = number.load(Ordering::SeqCst);
    tokio::task::yield_now().await;
    number.store(read + 1, Ordering::SeqCst);
}

async fn run_workers<F, W>(work: F) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    F: Fn() -> W,
    W: Future<Output = Result<(), leasehold::Error>> + Send + 'static,
{
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        let rounds: Vec<_> = (0..ROUNDS).map(|_| work()).collect();
        workers.push(tokio::spawn(async move {
            for round in rounds {
                round.await?;
            }
            Ok::<_, leasehold::Error>(())
        }));
    }
    for worker in workers {
        worker.await??;
    }
    Ok(())
}

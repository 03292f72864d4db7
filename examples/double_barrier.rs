//! Steps that several parties do together: `cargo run --example double_barrier`.
//!
//! Three parties go through four steps of a computation; nobody begins a step before all are there, nobody goes on
//! before all are done. Then one party dies in the middle of a step, and the others are told instead of waiting for
//! ever. With `--url etcd://host:2379` or `zookeeper://…` the same over a service.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use leasehold::ErrorKind;

const PARTIES: u32 = 3;
const STEPS: u32 = 4;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let coordinator = leasehold::connect(&leasehold_examples::url_argument()?).await?;
    let barrier = coordinator.double_barrier("examples/steps", PARTIES);

    println!("{PARTIES} parties go through {STEPS} steps together.");
    let (begun, ended) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let parties: Vec<_> = (1..=PARTIES)
        .map(|party| {
            let (barrier, begun, ended) = (barrier.clone(), begun.clone(), ended.clone());
            tokio::spawn(async move {
                for step in 0..STEPS {
                    let inside = barrier.enter().await?;
                    let early = ended.load(Ordering::SeqCst) < step * PARTIES;
                    begun.fetch_add(1, Ordering::SeqCst);
                    // The work of the step takes some longer than others.
                    tokio::time::sleep(Duration::from_millis(10 * u64::from(party))).await;
                    ended.fetch_add(1, Ordering::SeqCst);
                    inside.leave().await?;
                    let late = begun.load(Ordering::SeqCst) < (step + 1) * PARTIES;
                    if early || late {
                        return Err(format!("party {party} is out of step {step}").into());
                    }
                }
                Ok::<_, Box<dyn Error + Send + Sync>>(())
            })
        })
        .collect();
    for party in parties {
        party.await??;
    }
    println!("  all {} parts of the work are done, in step", ended.load(Ordering::SeqCst));

    println!("One of them is gone in the middle of a step.");
    let entering = |_| {
        tokio::spawn({
            let barrier = barrier.clone();
            async move { barrier.enter().await }
        })
    };
    let mut inside = Vec::new();
    for party in (1..=PARTIES).map(entering).collect::<Vec<_>>() {
        inside.push(party.await??);
    }
    let start = Instant::now();
    // A process that dies does the same, when its session ends.
    drop(inside.pop());
    let leaving: Vec<_> = inside.into_iter().map(|inside| tokio::spawn(inside.leave())).collect();
    for party in leaving {
        match party.await? {
            Err(error) if error.kind() == ErrorKind::PeerLost => println!("  told: {error}"),
            other => return Err(format!("not told of the loss: {other:?}").into()),
        }
    }
    println!("  within {:.1} ms, and they may begin again", start.elapsed().as_secs_f64() * 1e3);

    coordinator.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}

//! Measures one service.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use leasehold::{Coordinator, Error};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

/// What was measured of one service.
pub(crate) struct Measured {
    pub(crate) backend: String,
    pub(crate) lock_p50: Duration,
    pub(crate) lock_p99: Duration,
    pub(crate) pair_p50: Duration,
    pub(crate) handoffs_per_second: f64,
    pub(crate) throughput: f64,
}

/// How many rounds each of the contending workers does.
pub(crate) fn contended_rounds(rounds: usize, workers: usize) -> usize {
    (rounds / workers).max(10)
}

pub(crate) async fn measure(name: &str, url: &str, workers: usize, rounds: usize) -> Result<Measured, Error> {
    // Names of this run only, so that nobody else's queue is measured.
    let run = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let mut nodes = Vec::new();
    for _ in 0..workers {
        nodes.push(leasehold::connect(url).await?);
    }
    let (mut locks, mut pairs) = alone(&nodes[0], &format!("alone-{run}"), rounds).await?;
    let contended = contended_rounds(rounds, workers);
    // Once to warm up: the queue's directory, the watch streams.
    together(&nodes, &format!("warm-up-{run}"), 1).await?;
    let (_, all) = together(&nodes, &format!("together-{run}"), contended).await?;
    let (last, _) = together(&nodes, &format!("once-{run}"), 1).await?;
    for node in nodes {
        node.shutdown(Duration::from_secs(5)).await?;
    }
    Ok(Measured {
        backend: name.to_owned(),
        lock_p50: percentile(&mut locks, 50),
        lock_p99: percentile(&mut locks, 99),
        pair_p50: percentile(&mut pairs, 50),
        handoffs_per_second: (workers * contended) as f64 / all.as_secs_f64(),
        throughput: workers as f64 / last.as_secs_f64(),
    })
}

/// One worker locks and releases; answers how long the locking took, and both together.
async fn alone(
    node: &Coordinator,
    lock: &str,
    rounds: usize,
) -> Result<(Vec<Duration>, Vec<Duration>), Error> {
    let mutex = node.mutex(lock);
    let (mut locks, mut pairs) = (Vec::new(), Vec::new());
    for round in 0..rounds + rounds / 10 {
        let start = Instant::now();
        let guard = mutex.lock().await?;
        let locked = start.elapsed();
        guard.release().await?;
        // The first tenth warms up.
        if round >= rounds / 10 {
            locks.push(locked);
            pairs.push(start.elapsed());
        }
    }
    Ok((locks, pairs))
}

/// All nodes lock and release at once; answers how long it took until each had obtained the lock `rounds` times, and until
/// all was released.
async fn together(nodes: &[Coordinator], lock: &str, rounds: usize) -> Result<(Duration, Duration), Error> {
    let start_line = Arc::new(Barrier::new(nodes.len() + 1));
    let mut workers = JoinSet::new();
    for node in nodes {
        let (mutex, start_line) = (node.mutex(lock), start_line.clone());
        workers.spawn(async move {
            start_line.wait().await;
            let mut obtained = Instant::now();
            for _ in 0..rounds {
                let guard = mutex.lock().await?;
                obtained = Instant::now();
                guard.release().await?;
            }
            Ok::<_, Error>(obtained)
        });
    }
    start_line.wait().await;
    let start = Instant::now();
    let mut last = Duration::ZERO;
    while let Some(worker) = workers.join_next().await {
        match worker {
            Ok(obtained) => last = last.max(obtained?.saturating_duration_since(start)),
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }
    Ok((last, start.elapsed()))
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

//! What a fleet's monitoring sees of its locks: `cargo run --example metrics --features metrics`.
//!
//! Four workers contend for a lock, a try meets a holder, and an administrator takes the lock from one that holds it for too long. Then
//! what the library has counted is printed in the text format of Prometheus, as an endpoint `/metrics` would answer it.
//! It fails unless the numbers are those of what was done.
//!
//! `--url URL` runs it over a real service, with the feature of its name.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use leasehold::observe::{self, Alert, Alerts};
use leasehold_examples::{fresh_name, url_argument};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::task::JoinSet;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const WORKERS: u64 = 4;
const ROUNDS: u64 = 5;

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    // With a server of its own: `PrometheusBuilder::new().install()`, and the exporter's default features.
    let exporter =
        PrometheusBuilder::new().set_buckets(&[0.001, 0.01, 0.1, 1.0, 10.0])?.install_recorder()?;
    observe::describe_metrics();

    let alerts_heard = Arc::new(AtomicU64::new(0));
    let heard = alerts_heard.clone();
    let alerts = Alerts::new(move |alert| {
        if let Alert::HeldLong { .. } = alert {
            heard.fetch_add(1, Ordering::SeqCst);
        }
        println!("alert: {alert}");
    });
    let alerts = alerts.held_longer_than(Duration::from_millis(500));
    let coordinator = leasehold::builder(&url_argument()?)?.alerts(alerts).connect().await?;
    let mutex = coordinator.mutex(fresh_name("shared"));

    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let mutex = mutex.clone();
        workers.spawn(async move {
            for _ in 0..ROUNDS {
                mutex.with(async |_held| tokio::time::sleep(Duration::from_millis(2)).await).await?;
            }
            Ok::<_, leasehold::Error>(())
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended??;
    }

    let held = mutex.lock().await?;
    assert!(mutex.try_lock().await?.is_none(), "a try meets the holder");
    while alerts_heard.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    mutex.force_release("the example").await?;
    println!("lost: {}", held.lost().await);
    let backend = coordinator.backend_name();
    coordinator.shutdown(Duration::from_secs(5)).await?;

    let text = exporter.render();
    print!("{text}");
    let grants = WORKERS * ROUNDS + 1;
    let labels = format!("backend=\"{backend}\",kind=\"locks\"");
    for (metric, value) in [
        (format!("leasehold_acquisitions_total{{{labels},outcome=\"acquired\"}}"), grants),
        (format!("leasehold_acquisitions_total{{{labels},outcome=\"contended\"}}"), 1),
        (format!("leasehold_wait_seconds_count{{{labels}}}"), grants),
        (format!("leasehold_hold_seconds_count{{{labels}}}"), grants),
        (format!("leasehold_holds{{{labels}}}"), 0),
        (format!("leasehold_losses_total{{{labels},reason=\"force_released\"}}"), 1),
        (format!("leasehold_withdrawals_pending{{backend=\"{backend}\"}}"), 0),
        (format!("leasehold_session_changes_total{{backend=\"{backend}\",change=\"opened\"}}"), 1),
        (format!("leasehold_session_changes_total{{backend=\"{backend}\",change=\"closed\"}}"), 1),
    ] {
        let line = format!("{metric} {value}");
        assert!(text.lines().any(|seen| seen == line), "there is no line {line:?}");
    }
    // On a busy machine one of the workers may have held for so long, too.
    let alerts = format!("leasehold_alerts_total{{backend=\"{backend}\",alert=\"held_long\"}} ");
    let raised = text.lines().find_map(|line| line.strip_prefix(&alerts)).ok_or("no alert is counted")?;
    assert!(raised.parse::<u64>()? >= 1);
    let most_held = mutex.stats().holds.max();
    println!("this process: {grants} grants, the longest hold {most_held:.1?}");
    Ok(())
}

//! `leasehold bench`.

use std::time::{Duration, Instant};

use clap::Args;
use leasehold::{Coordinator, Mutex};
use serde_json::json;
use tokio::task::JoinSet;

use crate::exit::{End, Failure, OS, Outcome};
use crate::guarded::duration;
use crate::output::{self, Format};
use crate::target::{Target, leave};

/// Measure what the service gives, in a quick way
///
/// Half of the time one session locks and unlocks a lock that nobody else
/// wants; in the other half several sessions want one lock all the time. It
/// tells of this service from this machine; the crate leasehold-bench compares
/// with other clients, side by side.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How long to measure
    #[arg(long, value_name = "TIME", default_value = "4s", value_parser = duration)]
    time: Duration,
    /// How many sessions want the lock in the second half
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    contenders: u16,
    #[command(flatten)]
    format: Format,
}

pub(crate) async fn run(target: &Target, arguments: &Arguments) -> Outcome {
    let half = arguments.time / 2;
    let mut coordinators = vec![target.connect(None, Some("leasehold bench")).await?];
    let alone = lock_for(name_of(&coordinators[0], "alone"), half).await?;
    for _ in 1..arguments.contenders {
        coordinators.push(target.connect(None, Some("leasehold bench")).await?);
    }
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for coordinator in &coordinators {
        tasks.spawn(lock_for(name_of(coordinator, "together"), half));
    }
    let mut counts = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        let times =
            ended.map_err(|error| Failure::new(OS, format!("a task of the measurement broke: {error}")))?;
        counts.push(times?.len());
    }
    let took = begun.elapsed();
    for coordinator in &coordinators {
        leave(coordinator).await;
    }
    report(arguments, &alone, &counts, took)?;
    Ok(End::DONE)
}

fn name_of(coordinator: &Coordinator, what: &str) -> Mutex {
    coordinator.mutex(format!("leasehold bench/{}-{what}", std::process::id()))
}

/// Locks and unlocks until the time is over, at least once; how long each time took.
async fn lock_for(mutex: Mutex, time: Duration) -> Result<Vec<Duration>, Failure> {
    let (begun, mut times) = (Instant::now(), Vec::new());
    loop {
        let asked = Instant::now();
        mutex.lock().await?.release().await?;
        times.push(asked.elapsed());
        if begun.elapsed() >= time {
            times.sort_unstable();
            return Ok(times);
        }
    }
}

fn report(
    arguments: &Arguments,
    alone: &[Duration],
    counts: &[usize],
    took: Duration,
) -> Result<(), Failure> {
    let percentile = |percent: usize| alone[(alone.len() - 1) * percent / 100];
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let total: usize = counts.iter().sum();
    #[allow(clippy::cast_precision_loss)] // nobody counts that far
    let per_second = total as f64 / took.as_secs_f64();
    let (least, most) =
        (counts.iter().min().copied().unwrap_or(0), counts.iter().max().copied().unwrap_or(0));
    if arguments.format.json {
        return output::json(&json!({
            "alone": {
                "locks": alone.len(),
                "median_us": micros(percentile(50)),
                "p99_us": micros(percentile(99)),
            },
            "together": {
                "contenders": counts.len(),
                "locks": total,
                "locks_per_second": per_second,
                "least": least,
                "most": most,
            },
        }));
    }
    output::line(&format!(
        "alone:    lock and unlock in {} µs (median), {} µs (99 %), of {}",
        micros(percentile(50)),
        micros(percentile(99)),
        alone.len()
    ))?;
    output::line(&format!(
        "together: {} sessions have the lock {per_second:.0} times a second in all; each {least} to {most} times",
        counts.len()
    ))
}

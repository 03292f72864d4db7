//! A scheduled job that exactly one of several nodes runs, occurrence by occurrence: `cargo run --example once`.
//!
//! Every node comes for every day, one of them a little late. Whoever is first runs the day's job, the others are given its result. On the second
//! day the first runner gives up in the middle, and another one takes over.
//!
//! `--url URL` runs it over a real service, with the feature of its name.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use leasehold::{Completion, Coordinator};
use tokio::time::sleep;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const NODES: usize = 4;
const DAYS: [&str; 3] = ["2026-11-23", "2026-11-24", "2026-11-25"];
const UNLUCKY: &str = DAYS[1];

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let url = leasehold_examples::url_argument()?;
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        nodes.push(leasehold::connect(&url).await?);
    }
    // A name of its own, so that the example can be run again over a service that remembers.
    let job = leasehold_examples::fresh_name("billing");
    for day in DAYS {
        println!("{day}");
        let runs = Arc::new(AtomicUsize::new(0));
        let nodes: Vec<_> = (nodes.iter().enumerate())
            .map(|(number, node)| tokio::spawn(bill(node.clone(), job.clone(), day, number, runs.clone())))
            .collect();
        let mut done = Vec::new();
        for node in nodes {
            done.push(node.await??);
        }
        let begun = runs.load(Ordering::SeqCst);
        let ran = done.iter().filter(|done| done.ran_here()).count();
        assert_eq!((ran, begun), (1, if day == UNLUCKY { 2 } else { 1 }));
        assert!(done.iter().all(|each| each.result() == done[0].result()));
        println!("  begun {begun} time(s), completed once: {}", String::from_utf8_lossy(done[0].result()));
    }
    for node in nodes {
        node.shutdown(Duration::from_secs(5)).await?;
    }
    Ok(())
}

/// One node's day.
async fn bill(
    node: Coordinator,
    job: String,
    day: &'static str,
    number: usize,
    runs: Arc<AtomicUsize>,
) -> Result<Completion, AnyError> {
    // The clock of the last node is late: by the time that it comes, everything is done.
    let late = if number == NODES - 1 { 150 } else { 0 };
    sleep(Duration::from_millis(late)).await;
    let today = node.once(job).occurrence(day);
    loop {
        let ran = today.run(|held| {
            let runs = &runs;
            async move {
                let run = runs.fetch_add(1, Ordering::SeqCst);
                println!("  node {number} runs it under token {:?}", held.fencing_token());
                sleep(Duration::from_millis(20)).await;
                if day == UNLUCKY && run == 0 {
                    return Err("the printer is out of paper");
                }
                Ok(format!("42 bills, by node {number}"))
            }
        });
        match ran.await? {
            Ok(done) => return Ok(done),
            // Nothing was recorded: another one has taken over, and this one comes again for its result.
            Err(failure) => println!("  node {number} gives up: {failure}"),
        }
    }
}

//! The same workers over every backend, side by side.
//!
//! ```sh
//! cargo run --release --example compare                                   # memory alone, no server
//! ci/with-servers.sh cargo run --release --example compare --features etcd,zookeeper,redis
//! cargo run --release --example compare --features etcd -- --etcd etcd://host:2379 --workers 16 --plot chart.svg
//! ```
//!
//! Every worker is a node of its own: it has its own coordinator, and so its own session.

mod chart;
mod measure;
mod options;

use std::error::Error;

use measure::Measured;
use options::Options;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = match Options::read()? {
        Some(options) => options,
        None => return Ok(()),
    };
    let mut rows = Vec::new();
    for (name, url) in &options.services {
        eprintln!("measuring {name} …");
        rows.push(measure::measure(name, url, options.workers, options.rounds).await?);
    }
    print_table(&options, &rows);
    if let Some(file) = &options.plot {
        std::fs::write(file, chart::svg(options.workers, &rows))?;
        println!("\nchart: {}", file.display());
    }
    Ok(())
}

fn print_table(options: &Options, rows: &[Measured]) {
    let (workers, rounds) = (options.workers, options.rounds);
    println!("\n| backend | lock p50 | lock p99 | lock + release | handoffs/s, N = {workers} | L = N/T |");
    println!("|---|---:|---:|---:|---:|---:|");
    for row in rows {
        println!(
            "| {} | {:.3} ms | {:.3} ms | {:.3} ms | {:.0} | {:.0}/s |",
            row.backend,
            row.lock_p50.as_secs_f64() * 1e3,
            row.lock_p99.as_secs_f64() * 1e3,
            row.pair_p50.as_secs_f64() * 1e3,
            row.handoffs_per_second,
            row.throughput
        );
    }
    println!();
    println!("lock p50/p99, lock + release (p50): one worker alone, {rounds} rounds.");
    println!(
        "handoffs/s: {workers} nodes lock and release {} times each, all at once.",
        measure::contended_rounds(rounds, workers)
    );
    println!("L = N/T: N = {workers} nodes each obtain the lock once; T is until the last one has.");
}

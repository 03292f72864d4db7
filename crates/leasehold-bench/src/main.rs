//! What locks cost: leasehold, the bare service, and other libraries, in one run on one server.
//!
//! `leasehold-bench run redis` prints a page and writes it to `results/redis.md`. The `README.md` beside says what is
//! measured and how.

mod chart;
mod etcd;
mod floors;
mod machine;
mod measure;
mod options;
mod peers;
mod process;
mod redis;
mod report;
mod results;
mod run;
mod zookeeper;

use std::fs;
use std::process::ExitCode;

use options::{Options, Service};
use results::Results;

/// What ends a run.
type Failure = Box<dyn std::error::Error + Send + Sync>;

// One thread for the application, as leasehold's sessions have theirs: the floor has its client on the same thread,
// which is the least that anybody can pay.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = match Options::read() {
        Ok(Some(options)) => options,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("leasehold-bench: {error}; try --help");
            return ExitCode::from(2);
        }
    };
    match run(&options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("leasehold-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<(), Failure> {
    for &(service, storage) in &options.runs {
        let found = run::run(options, service, storage).await?;
        keep(options, service, found)?;
    }
    Ok(())
}

/// Prints the page, and writes what is to be written.
fn keep(options: &Options, service: Service, found: Results) -> Result<(), Failure> {
    let Some(dir) = &options.results else {
        println!("{}", report::page(service, &found));
        return Ok(());
    };
    fs::create_dir_all(dir)?;
    let kept = dir.join(format!("{}.jsonl", service.name()));
    let mut results = Results::read(&kept)?;
    results.merge(found);
    results.write(&kept)?;
    let page = report::page(service, &results);
    println!("{page}");
    for (name, chart) in report::charts(service, &results) {
        fs::write(dir.join(name), chart)?;
    }
    let path = dir.join(format!("{}.md", service.name()));
    fs::write(&path, page)?;
    eprintln!("written to {}", path.display());
    Ok(())
}

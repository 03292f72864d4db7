//! What locks cost: leasehold, the bare service, and other libraries, in one run on one server.
//!
//! `leasehold-bench run redis` prints a page and writes it to `results/redis.md`. The `README.md` beside says what is
//! measured and how.

mod floor;
mod machine;
mod measure;
mod options;
mod peers;
mod redis;
mod report;

use std::process::ExitCode;

use options::{Options, Service};

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
    let results = match options.service {
        Service::Redis => redis::measure(options).await?,
    };
    let page = report::page(&results);
    println!("{page}");
    if let Some(path) = &options.page {
        std::fs::write(path, page)?;
        eprintln!("written to {}", path.display());
    }
    Ok(())
}

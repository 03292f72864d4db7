//! A holder is stopped for longer than its TTL, wakes up and writes: with a fence at the store, and without.
//!
//! ```sh
//! cargo run --example paused_holder                                      # memory, no server
//! ci/with-servers.sh cargo run --example paused_holder --features etcd,zookeeper
//! cargo run --example paused_holder --features etcd -- --url etcd://host:2379
//! ```
//!
//! Holder A takes the lock, reads a number from two stores, and is stopped before it writes back one more. The service
//! hears nothing of it for a TTL and gives the lock to holder B, which adds 1 ten times. Then A goes on where it was. One of the stores
//! keeps a fence (`leasehold::fencing`), the other does not.
//!
//! Over memory both holders are threads, and A's runtime, on which its session is driven too, is really blocked. Over a service they
//! are processes, and A gets a real SIGSTOP. The run fails if what it prints did not happen.

mod cut_off;
mod holder;
mod judge;
mod options;
mod story;
mod worker;

use std::error::Error;
use std::time::Duration;

use options::{Options, Task};

/// What a run may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    match Options::read()? {
        None => Ok(()),
        Some(Task::Work(job)) => holder::work(job).await,
        Some(Task::Judge(options)) => judge(options).await,
    }
}

async fn judge(options: Options) -> Result<(), Box<dyn Error>> {
    for url in &options.urls {
        let told = async {
            if url.starts_with("memory:") {
                // Two services of their own, so that the second story need not wait for the first.
                let (stopped, cut_off) =
                    tokio::join!(story::tell(url, options.ttl), cut_off::tell(options.ttl));
                return Ok::<_, Box<dyn Error>>([stopped?, cut_off?].join("\n"));
            }
            story::tell(url, options.ttl).await
        };
        let told = tokio::time::timeout(PATIENCE, told).await;
        println!("{}", told.map_err(|_| format!("{url}: nothing for {PATIENCE:?}"))??);
    }
    Ok(())
}

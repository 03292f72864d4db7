//! A job that ticks in one of three processes, while they are restarted one by one and one is killed.
//!
//! ```sh
//! cargo run --example rolling_job                                        # memory, no server: threads instead of processes
//! ci/with-servers.sh cargo run --example rolling_job --features etcd,zookeeper,redis
//! cargo run --example rolling_job --features etcd -- --url etcd://host:2379
//! ```
//!
//! Whoever leads runs a tick every 100 ms. SIGTERM reaches each of the three in the middle of a tick: it ends that tick, resigns, and the next one leads
//! some milliseconds later. Then one gets kill -9 in the middle of a tick, and the next one leads when the service has missed it for a TTL, begins with
//! that tick, and catches up with those that are late.
//!
//! Whether a tick was skipped or run twice is not for the workers to say. It is judged at the resource: a log that the judge keeps behind a fence
//! (`leasehold::fencing`), and that takes whatever the present leader says, be it wrong. A leader asks the log which tick is next; by that touch the log
//! knows of it, and takes nothing of its predecessors any more. The work of the tick that is killed is begun twice, and its effect is there once: no
//! service can promise more for effects outside of it. The run fails if what it prints is not so.

mod log;
mod options;
mod rollout;
mod story;
mod worker;

use std::error::Error;
use std::time::Duration;

use options::Task;

/// What a run may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    match Task::read()? {
        Task::Work(job) => worker::main(job).await,
        Task::Judge(urls) => {
            for url in urls {
                let told = tokio::time::timeout(PATIENCE, story::tell(&url)).await;
                told.map_err(|_| format!("{url}: nothing for {PATIENCE:?}"))??;
            }
            Ok(())
        }
    }
}

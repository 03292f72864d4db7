//! A fleet moves its lock from one service to another while it works.
//!
//! ```sh
//! cargo run --example migration                                          # two memory services, no server
//! ci/with-servers.sh cargo run --example migration --features etcd,zookeeper
//! cargo run --example migration --features etcd,zookeeper -- --from zookeeper://host --to etcd://host:2379
//! ```
//!
//! Workers add to one number in a fenced store. An operator takes them through the steps that `MultiLock` documents, one
//! worker at a time: lock old; lock both; lock both and send the token that the store's fence asks for; (the fence is handed over);
//! lock new. Some writes come late, by workers that have lost their locks. The run fails if an update is lost or a late write accepted.

mod fleet;
mod options;
mod worker;

use std::error::Error;
use std::time::Duration;

use fleet::Fleet;
use leasehold::MultiLock;
use options::Options;
use worker::{NAME, Step};

const WORKERS: usize = 4;

/// What a run may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let Some(options) = Options::read()? else { return Ok(()) };
    match tokio::time::timeout(PATIENCE, migrate(&options)).await {
        Ok(migrated) => migrated,
        Err(_) => Err(format!("nothing for {PATIENCE:?}").into()),
    }
}

async fn migrate(options: &Options) -> Result<(), Box<dyn Error + Send + Sync>> {
    println!("{WORKERS} workers, from {} to {}", options.from, options.to);
    let mut fleet = Fleet::start(WORKERS, options).await?;
    println!("  all lock old:                       {}", fleet.work().await?);
    fleet.advance(Step::BothByOld).await?;
    println!("  all lock both, old's tokens:        {}", fleet.work().await?);
    fleet.advance(Step::BothByFence).await?;
    println!("  all lock both, the fence decides:   {}", fleet.work().await?);

    // Under both locks, once, and in one atomic step of the store's.
    let (old, new) = (options.connect_old().await?, options.connect_new().await?);
    let both = MultiLock::new().member("old", old.mutex(NAME)).member("new", new.mutex(NAME));
    let guard = both.lock().await?;
    let (from, to) = (guard.token("old", NAME), guard.token("new", NAME));
    let (from, to) = from.zip(to).ok_or("a member is missing")?;
    fleet.store().hand_over(from, to)?;
    guard.release().await?;
    println!("  the fence is handed over:           {from:?} -> {to:?}");

    println!("  all lock both, now by new's tokens: {}", fleet.work().await?);
    fleet.advance(Step::New).await?;
    println!("  all lock new:                       {}", fleet.work().await?);

    println!("{}", fleet.finish().await?);
    for coordinator in [old, new] {
        coordinator.shutdown(Duration::from_secs(5)).await?;
    }
    Ok(())
}

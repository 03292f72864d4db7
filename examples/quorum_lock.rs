//! A lock over a majority of independent services: `cargo run --example quorum_lock`.
//!
//! Several workers add to one number, one at a time. Then a holder loses its members one after the other: a minority does it no harm, with the
//! majority it is told that the lock is lost.
//!
//! ```sh
//! cargo run --example quorum_lock                                             # three memory services, no server
//! cargo run --example quorum_lock --features redis -- --url redis://a:6379 --url redis://b:6379 --url redis://c:6379
//! ci/with-servers.sh cargo run --example quorum_lock --features etcd,zookeeper,redis   # one of each kind
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use leasehold::{Coordinator, LossReason, QuorumLock, Recipe};
use leasehold_examples::{fresh_name, url_from_environment};
use lexopt::prelude::*;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const WORKERS: usize = 4;
const ROUNDS: usize = 10;

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let urls = urls()?;
    let name = fresh_name("quorum");
    println!("{WORKERS} workers, a majority of {}", urls.join(", "));

    let number = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let mut working = Vec::new();
    for _ in 0..WORKERS {
        working.push(tokio::spawn(work(urls.clone(), name.clone(), number.clone())));
    }
    for working in working {
        working.await??;
    }
    let counted = number.load(Ordering::SeqCst);
    assert_eq!(counted, WORKERS * ROUNDS, "no update is lost");
    println!("  {counted} updates, none lost, in {:?}", start.elapsed());

    let nodes = connect(&urls).await?;
    let lock = QuorumLock::new(labelled(&nodes), &name)?;
    let guard = lock.lock().await?;
    while !guard.members().iter().all(|member| member.is_held) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("A holder has all of its members, for {:?} if it hears of none any more.", guard.remaining());
    let spare = nodes.len() - lock.majority();
    // What an administrator takes away is not taken again. A member that is merely down would be.
    let admins = connect(&urls).await?;
    for (taken_away, admin) in (1..).zip(&admins) {
        admin.admin().force_release(Recipe::Mutex, &name, "the example").await?;
        if taken_away <= spare {
            assert!(guard.is_held());
            println!("  {taken_away} taken away: still held");
        } else {
            let lost = guard.lost().await;
            assert_eq!(lost.reason, LossReason::ForceReleased);
            println!("  {taken_away} taken away: lost, {lost}");
            break;
        }
    }
    assert!(!guard.is_held() && guard.release().await.is_err_and(|error| error.is_lost()));
    let again = lock.try_lock_for(Duration::from_secs(5)).await?.ok_or("nobody holds it")?;
    println!("  what was left of it is released, and the lock is free");
    again.release().await?;
    for node in nodes.into_iter().chain(admins) {
        node.shutdown(Duration::from_secs(5)).await?;
    }
    Ok(())
}

async fn work(urls: Vec<String>, name: String, number: Arc<AtomicUsize>) -> Result<(), leasehold::Error> {
    let nodes = connect(&urls).await?;
    let lock = QuorumLock::new(labelled(&nodes), &name)?;
    for _ in 0..ROUNDS {
        lock.with(|held| {
            let number = &number;
            async move {
                let read = number.load(Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(1)).await;
                number.store(read + 1, Ordering::SeqCst);
                assert!(held.is_held());
            }
        })
        .await?;
    }
    for node in nodes {
        node.shutdown(Duration::from_secs(5)).await?;
    }
    Ok(())
}

/// The members with their labels, which all processes agree on: here their places in the list.
fn labelled(nodes: &[Coordinator]) -> impl Iterator<Item = (String, Coordinator)> {
    nodes.iter().enumerate().map(|(at, node)| (format!("member {at}"), node.clone()))
}

async fn connect(urls: &[String]) -> Result<Vec<Coordinator>, leasehold::Error> {
    let mut nodes = Vec::new();
    for url in urls {
        nodes.push(leasehold::connect(url).await?);
    }
    Ok(nodes)
}

/// Those of the command line; or else one of each kind, if the environment names all three; or else services of this process.
fn urls() -> Result<Vec<String>, lexopt::Error> {
    let mut urls = Vec::new();
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("url") => urls.push(arguments.value()?.string()?),
            _ => return Err(argument.unexpected()),
        }
    }
    if urls.is_empty() {
        let services: Option<_> =
            ["etcd", "zookeeper", "redis"].into_iter().map(url_from_environment).collect();
        urls = services.unwrap_or_else(|| (1..=3).map(|at| format!("memory://member-{at}")).collect());
    }
    Ok(urls)
}

//! Workers that know each other and divide twelve shards among themselves: `cargo run --example group`.
//!
//! Three workers join a group; whoever looks sees them, with their addresses, and what happens. Each shard is worked
//! on by one of them at a time. When one worker leaves, its shards go to the others, and theirs stay where they are.
//! With `--url etcd://host:2379` or `zookeeper://…` the same over a service.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use leasehold::{Coordinator, GroupEvent, OwnedItem};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const SHARDS: usize = 12;
const GROUP: &str = "examples/workers";

/// Who works on which shard.
type Owners = BTreeMap<String, &'static str>;

struct Worker {
    leave: oneshot::Sender<()>,
    running: JoinHandle<Result<(), leasehold::Error>>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let coordinator = leasehold::connect(&leasehold_examples::url_argument()?).await?;
    let mut events = coordinator.group(GROUP).events()?;
    let owners = Arc::new(watch::Sender::new(Owners::new()));

    println!("Three workers come.");
    let names = ["ada", "bob", "cyd"];
    let mut workers = names.map(|name| (name, start(&coordinator, name, owners.clone()))).into_iter();
    for _ in names {
        match events.next().await {
            Some(GroupEvent::Joined(member)) => {
                println!(
                    "  {} joined, in process {}",
                    String::from_utf8_lossy(&member.value),
                    member.holder.pid
                );
            }
            other => return Err(format!("not a worker that joins: {other:?}").into()),
        }
    }
    let before = settled(&owners, &names).await?;
    show(&before);

    let (name, worker) = workers.next().ok_or("there are three")?;
    println!("{name} leaves.");
    // It listens: the worker has not ended.
    worker.leave.send(()).map_err(|()| "the worker has ended by itself")?;
    worker.running.await??;
    match events.next().await {
        Some(GroupEvent::Left(member)) if member.value == name => println!("  the group has seen it"),
        other => return Err(format!("not {name} that leaves: {other:?}").into()),
    }
    let after = settled(&owners, &names[1..]).await?;
    show(&after);
    let moved: Vec<_> = before.iter().filter(|(shard, owner)| after.get(*shard) != Some(owner)).collect();
    println!("  {} of {SHARDS} shards have moved", moved.len());
    if moved.iter().any(|(_, owner)| **owner != name) {
        return Err("a shard has moved whose owner stayed".into());
    }

    for (_, worker) in workers {
        worker.leave.send(()).map_err(|()| "the worker has ended by itself")?;
        worker.running.await??;
    }
    coordinator.shutdown(Duration::from_secs(5)).await?;
    println!("All have left.");
    Ok(())
}

/// A worker, which would be a process of its own.
fn start(coordinator: &Coordinator, name: &'static str, owners: Arc<watch::Sender<Owners>>) -> Worker {
    let group = coordinator.group(GROUP);
    let (leave, told) = oneshot::channel::<()>();
    let running = tokio::spawn(async move {
        let shards = (0..SHARDS).map(|number| format!("shard-{number:02}"));
        let work = |shard: OwnedItem| {
            let owners = owners.clone();
            async move {
                owners.send_modify(|owners| {
                    owners.insert(shard.item().to_owned(), name);
                });
                // Real work hands the fencing token to what it writes to.
                shard.cancellation_token().cancelled().await;
                owners.send_modify(|owners| {
                    owners.remove(shard.item());
                });
            }
        };
        let told = async {
            // A main program that has ended is a reason to end as well.
            let _ = told.await;
        };
        group.partition(shards)?.value(name).run(told, work).await
    });
    Worker { leave, running }
}

/// Waits until all shards are worked on by these and nobody else, and nothing has moved for a while.
async fn settled(
    owners: &watch::Sender<Owners>,
    names: &[&'static str],
) -> Result<Owners, Box<dyn Error + Send + Sync>> {
    let mut owners = owners.subscribe();
    let settled = async {
        loop {
            let now = owners.borrow_and_update().clone();
            let moves = timeout(Duration::from_millis(300), owners.changed()).await.is_ok();
            if !moves && now.len() == SHARDS && now.values().all(|owner| names.contains(owner)) {
                return now;
            }
        }
    };
    Ok(timeout(Duration::from_secs(30), settled).await?)
}

fn show(owners: &Owners) {
    let mut shards = BTreeMap::<_, Vec<_>>::new();
    for (shard, owner) in owners {
        shards.entry(*owner).or_default().push(shard.trim_start_matches("shard-"));
    }
    for (owner, shards) in shards {
        println!("  {owner} works on {}", shards.join(" "));
    }
}

//! A job that is due every so often, and that one of several nodes runs each time, whoever is late and whoever dies:
//! `cargo run --example scheduled_job`.
//!
//! Every node has a clock of its own and comes for every occurrence that is due by it. One clock is late: when that node comes, the occurrence is
//! long done, and a mere lock would be free again, so that the job would run twice. The first runner of one occurrence dies in the middle. When the
//! service has missed it for a TTL, another node runs that one from its beginning; the others go as scheduled meanwhile.
//!
//! Every occurrence is *completed* exactly once and *executed* at least once: the one whose runner died, twice.
//!
//! `--url URL` runs it over a real service, with the feature of its name.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use leasehold::{Completion, Coordinator, Once};
use leasehold_examples::node_thread::NodeThread;
use leasehold_examples::{fresh_name, url_argument};
use tokio::runtime::Handle;
use tokio::sync::Barrier;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const NODES: usize = 4;
const MINUTES: u32 = 5;
/// The runs are too short for a real minute.
const MINUTE: Duration = Duration::from_millis(200);
const TTL: Duration = Duration::from_secs(2);

/// Whose clock is late, and by how much.
const LATE: (usize, Duration) = (NODES - 1, Duration::from_millis(900));

/// Whose first runner dies.
const UNLUCKY: u32 = 2;

struct World {
    url: String,
    job: String,
    /// Everybody is connected.
    together: Barrier,
    /// Whether somebody has begun the unlucky one.
    unlucky: AtomicBool,
    reports: UnboundedSender<Report>,
}

/// What a node has to tell of a minute.
enum Report {
    Runs { node: usize, minute: u32 },
    Done { node: usize, minute: u32, was_done: bool, completion: Completion },
    Ended { node: usize, how: Result<(), AnyError> },
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let (reports, mut reported) = unbounded_channel();
    let (url, job) = (url_argument()?, fresh_name("job"));
    let world = World {
        url: url.clone(),
        job: job.clone(),
        together: Barrier::new(NODES),
        unlucky: AtomicBool::new(false),
        reports,
    };
    let world = Arc::new(world);
    println!(
        "{NODES} nodes, {MINUTES} minutes of {MINUTE:?}; the clock of node {} is {:?} late",
        LATE.0, LATE.1
    );
    let mut nodes = BTreeMap::new();
    for number in 0..NODES {
        let world = world.clone();
        let node = NodeThread::start(format!("node-{number}"), async move |runtime| {
            let how = live(world.clone(), number, runtime).await;
            let _ = world.reports.send(Report::Ended { node: number, how });
        })?;
        nodes.insert(number, node);
    }

    // Who began which minute, in order; who has not come to its end; what came of it, for each who asked; who came too late.
    let mut runs: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    let mut under_way = BTreeSet::new();
    let mut done: BTreeMap<u32, Vec<Completion>> = BTreeMap::new();
    let mut late = 0;
    let mut died = None;
    while !nodes.is_empty() {
        match reported.recv().await.ok_or("nobody reports")? {
            Report::Runs { node, minute } => {
                let runners = runs.entry(minute).or_default();
                runners.push(node);
                under_way.insert((node, minute));
                print!("  minute {minute}: node {node} runs it");
                match died {
                    None if minute == UNLUCKY => {
                        nodes.remove(&node).ok_or("a node that is gone")?.kill()?;
                        died = Some((node, Instant::now()));
                        println!(", and dies in the middle");
                    }
                    Some((_, since)) if minute == UNLUCKY => println!(" anew, {:.1?} later", since.elapsed()),
                    _ => println!(),
                }
            }
            Report::Done { node, minute, was_done, completion } => {
                under_way.remove(&(node, minute));
                late += usize::from(was_done && node == LATE.0);
                done.entry(minute).or_default().push(completion);
            }
            Report::Ended { node, how } => {
                how.map_err(|error| format!("node {node}: {error}"))?;
                nodes.remove(&node);
            }
        }
    }

    assert!(late > 0, "the late node came too early to show anything");
    println!("node {} found {late} of them done when it came", LATE.0);
    let observer = leasehold::connect(&url).await?;
    for minute in 0..MINUTES {
        let recorded =
            occurrence(&observer, &job, minute).completion().await?.ok_or("a minute is not done")?;
        let (runs, done) = (&runs[&minute], &done[&minute]);
        assert!(done.iter().all(|seen| seen.result() == recorded.result()), "one result for everybody");
        // Once more only if the dead one may have been in the middle of it.
        let interrupted = under_way.iter().filter(|(_, of)| *of == minute).count();
        assert!((1..=1 + interrupted).contains(&runs.len()), "minute {minute} was run by {runs:?}");
        assert!(done.iter().filter(|seen| seen.ran_here()).count() <= 1, "completed once");
    }
    assert_eq!(runs[&UNLUCKY].len(), 2);
    println!("all {MINUTES} minutes are completed, each once; minute {UNLUCKY} was begun twice");
    observer.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}

/// A node's life.
async fn live(world: Arc<World>, number: usize, runtime: Handle) -> Result<(), AnyError> {
    let node = leasehold::builder(&world.url)?.ttl(TTL).runtime(runtime).connect().await?;
    world.together.wait().await;
    let start = Instant::now() + if number == LATE.0 { LATE.1 } else { Duration::ZERO };
    let mut minutes = JoinSet::new();
    for minute in 0..MINUTES {
        let (world, node) = (world.clone(), node.clone());
        // One that is long under way does not keep the next ones.
        minutes.spawn(async move {
            sleep_until((start + minute * MINUTE).into()).await;
            run(&world, &node, number, minute).await
        });
    }
    while let Some(ended) = minutes.join_next().await {
        ended??;
    }
    Ok(node.shutdown(Duration::from_secs(5)).await?)
}

async fn run(world: &World, node: &Coordinator, number: usize, minute: u32) -> Result<(), AnyError> {
    let occurrence = occurrence(node, &world.job, minute);
    let was_done = occurrence.completion().await?.is_some();
    let Ok(completion) = occurrence
        .run(async |_held| {
            // Who hears it outlives the nodes.
            let _ = world.reports.send(Report::Runs { node: number, minute });
            if minute == UNLUCKY && !world.unlucky.swap(true, Ordering::SeqCst) {
                // In the middle of it for the rest of its life.
                pending::<()>().await;
            }
            sleep(Duration::from_millis(20)).await;
            Ok::<_, Infallible>(format!("by node {number}"))
        })
        .await?;
    Ok(world.reports.send(Report::Done { node: number, minute, was_done, completion })?)
}

/// Remembered for longer than any node can be late.
fn occurrence(node: &Coordinator, job: &str, minute: u32) -> Once {
    node.once(job).retention(Duration::from_secs(60 * 60)).occurrence(format!("minute {minute}"))
}

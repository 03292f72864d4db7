//! The worker processes: they lock, work on the resource behind the lock, and let go, until they are told to stop.
//!
//! # What a worker says
//!
//! | line | when |
//! |---|---|
//! | `session <id>` | it has opened a session |
//! | `alive <rounds>` | once a second, with the rounds that it has ended |
//! | `done` | it was told `stop`, has let go of everything and is shut down; it ends with its standard input |

mod access;
mod holder;
mod plan;
mod rounds;
mod watched;

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use leasehold_core::{Clock, Coordinator, HolderInfo, LockBackend, Namespace};
use leasehold_etcd::{EtcdBackend, EtcdConfig};
use leasehold_redis::{RedisBackend, RedisConfig};
use leasehold_testkit::history::{Recorder, What};
use leasehold_zookeeper::{ZooKeeperBackend, ZooKeeperConfig};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

pub use plan::{Recipe, WorkerPlan};
pub(crate) use watched::CLOSED;

use crate::dice::Dice;
use crate::resource::ResourceClient;
use crate::service::ServiceKind;
use holder::Actor;
use watched::Watched;

/// How long it may take to let go of everything once nothing is disturbed any more.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(20);

/// Works as the plan says, until the standard input says `stop`.
///
/// # Errors
/// What keeps it from beginning, and from shutting down.
pub async fn run(plan: WorkerPlan) -> Result<(), Box<dyn Error>> {
    let recorder = Recorder::to_file(&plan.process, Clock::system(), &plan.history)?;
    record_panics(recorder.clone());
    let plan = Arc::new(plan);
    let rounds = Arc::new(AtomicU64::new(0));
    let (stop, stopping) = watch::channel(false);
    let mut coordinators = Vec::new();
    let mut tasks = JoinSet::new();
    for session in 0..plan.sessions {
        let (coordinator, watched) = connect(&plan, &recorder)?;
        for task in 0..plan.tasks {
            let actor = Actor {
                dice: Dice::of(plan.seed, &format!("{} {session} {task}", plan.process)),
                plan: Arc::clone(&plan),
                recorder: recorder.clone(),
                coordinator: coordinator.clone(),
                sessions: Arc::clone(&watched),
                resource: ResourceClient::connect(&plan.resource).await?,
                stopping: stopping.clone(),
                rounds: Arc::clone(&rounds),
            };
            tasks.spawn(actor.run());
        }
        coordinators.push(coordinator);
    }
    tokio::spawn(say_alive(rounds));
    let mut commands = leasehold_testkit::process::commands();
    // Without any more commands the process ends.
    let command = commands.recv().await.unwrap_or_default();
    if command != "stop" {
        return Err(format!("{command:?} is no command").into());
    }
    stop.send_replace(true);
    while let Some(ended) = tasks.join_next().await {
        // What panicked is in the history.
        ended??;
    }
    for coordinator in &coordinators {
        coordinator.shutdown(SHUTDOWN_GRACE).await?;
    }
    println!("done");
    std::future::pending().await
}

fn connect(
    plan: &WorkerPlan,
    recorder: &Recorder,
) -> Result<(Coordinator, Arc<watched::Sessions>), Box<dyn Error>> {
    let inner: Arc<dyn LockBackend> = match plan.service {
        ServiceKind::Etcd => Arc::new(EtcdBackend::new(EtcdConfig::new(&plan.endpoints))?),
        ServiceKind::ZooKeeper => {
            let config = ZooKeeperConfig::new(&plan.endpoints).tick(crate::service::ZOOKEEPER_TICK);
            Arc::new(ZooKeeperBackend::new(config)?)
        }
        ServiceKind::Redis => Arc::new(RedisBackend::new(RedisConfig::new(plan.endpoints[0].clone()))?),
    };
    let watched = Watched::new(inner, recorder.clone());
    let sessions = watched.sessions();
    let holder = HolderInfo { host: "chaos".into(), pid: std::process::id(), purpose: plan.process.clone() };
    let coordinator = Coordinator::builder(watched)
        .namespace(Namespace::parse(&plan.namespace)?)
        .ttl(Duration::from_millis(plan.ttl_ms))
        .request_timeout(Duration::from_millis(plan.request_timeout_ms))
        .connect_timeout(Duration::from_millis(plan.request_timeout_ms))
        .holder(holder)
        .connect_lazy()?;
    Ok((coordinator, sessions))
}

async fn say_alive(rounds: Arc<AtomicU64>) {
    loop {
        println!("alive {}", rounds.load(Ordering::Relaxed));
        sleep(Duration::from_secs(1)).await;
    }
}

/// A panic of any task or thread is in the history, whoever catches it.
fn record_panics(recorder: Recorder) {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        recorder.record(What::Panicked { message: panic.to_string() });
        tell(panic);
    }));
}

pub(crate) type Io<T> = io::Result<T>;

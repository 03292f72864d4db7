//! Cancellation at every poll, for every operation that creates state.
//!
//! # Implementation
//!
//! For each case of the table, each setting (free, or held by somebody else for a while) and each fault of the calls that matter, the operation is made
//! in a world of its own and dropped at its k-th poll, for every k until it ends by itself. Spurious polls come between the
//! wake-ups. After each drop, some time later and with the session still alive:
//!
//! 1. nothing is left in the queues;
//! 2. the next contender gets what it asks for, at once;
//! 3. when the coordinators are shut down the service is empty: no session, no entry, no tombstone, no watch.

mod cases;

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use leasehold_core::{Coordinator, Entropy};
use leasehold_memory::{Fault, MemoryService, Operation};
use leasehold_testkit::polls::poll_times;
use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::run::runtime;
use crate::world::queues;

type Doing<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One operation of a recipe.
struct Case {
    recipe: &'static str,
    operation: &'static str,
    /// Makes the operation by `node`, and what belongs to it: a release, where it is the release that is asked about.
    operate: fn(Scene) -> Doing<()>,
    /// What `other` has meanwhile that is in its way, if it waits.
    obstacle: Option<fn(Scene) -> Doing<Obstacle>>,
    /// Whether the next one, `other`, gets what it asks for.
    next: fn(Scene) -> Doing<bool>,
}

/// Gone when it is dropped.
type Obstacle = Box<dyn Any + Send>;

/// Two processes.
#[derive(Clone)]
struct Scene {
    service: MemoryService,
    node: Coordinator,
    other: Coordinator,
}

/// What goes wrong with the first calls of an operation.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    operation: Option<Operation>,
    fault: Fault,
}

const REQUEST_TIMEOUT: Duration = Duration::from_millis(400);
const TTL: Duration = Duration::from_secs(20);
/// Between spurious polls.
const PACE: Duration = Duration::from_millis(10);
/// How long the obstacle is there.
const OBSTRUCTED: Duration = Duration::from_millis(70);
/// Longer than everything that goes on in the background.
const SETTLED: Duration = Duration::from_secs(5);
/// How many calls of a kind go wrong.
const TROUBLED: usize = 2;
/// More polls than any operation takes that ends.
const MOST_POLLS: usize = 2000;

const TROUBLES: [Trouble; 9] = {
    const fn on(operation: Operation, fault: Fault) -> Trouble {
        Trouble { operation: Some(operation), fault }
    }
    const SOME: Duration = Duration::from_millis(150);
    [
        Trouble { operation: None, fault: Fault::None },
        on(Operation::Enqueue, Fault::LoseReply),
        on(Operation::Enqueue, Fault::DeliverLate(SOME)),
        on(Operation::Enqueue, Fault::Delay(SOME)),
        on(Operation::Withdraw, Fault::LoseReply),
        on(Operation::Withdraw, Fault::Refuse),
        on(Operation::Publish, Fault::DelayReply(SOME)),
        on(Operation::Write, Fault::LoseReply),
        on(Operation::Contenders, Fault::Stale),
    ]
};

/// What was enumerated.
#[derive(Debug, Default)]
pub struct Enumerated {
    /// The operations.
    pub operations: usize,
    /// How many futures were dropped at one of their polls.
    pub cancellations: usize,
    /// What was left, and where.
    pub failures: Vec<String>,
}

/// Drops every operation at each of its polls.
///
/// # Panics
/// As [`run`](crate::run).
pub fn enumerate_cancellations() -> Enumerated {
    let mut all = Enumerated::default();
    for case in cases::all() {
        all.operations += 1;
        for obstacle in [None, case.obstacle] {
            for trouble in TROUBLES {
                enumerate(&case, obstacle, trouble, &mut all);
            }
            if case.obstacle.is_none() {
                break;
            }
        }
    }
    all
}

fn enumerate(
    case: &Case,
    obstacle: Option<fn(Scene) -> Doing<Obstacle>>,
    trouble: Trouble,
    all: &mut Enumerated,
) {
    for polls in 0.. {
        let (ended, problem) = runtime(polls as u64).block_on(drop_at(case, obstacle, trouble, polls));
        if let Some(problem) = problem {
            let setting = if obstacle.is_some() { "held" } else { "free" };
            all.failures.push(format!("{case}, {setting}, {trouble}, dropped at poll {polls}: {problem}"));
        }
        if ended {
            return;
        }
        all.cancellations += 1;
        if polls == MOST_POLLS {
            return all.failures.push(format!("{case}, {trouble}: it does not end"));
        }
    }
}

/// Whether the operation ended by itself, and what it left.
async fn drop_at(
    case: &Case,
    obstacle: Option<fn(Scene) -> Doing<Obstacle>>,
    trouble: Trouble,
    polls: usize,
) -> (bool, Option<String>) {
    let scene = Scene::new().await;
    if let Some(obstacle) = obstacle {
        let obstacle = obstacle(scene.clone()).await;
        tokio::spawn(async move {
            sleep(OBSTRUCTED).await;
            drop(obstacle);
        });
    }
    let met = AtomicUsize::new(0);
    scene.service.on_call(move |call| {
        let is_met =
            trouble.operation == Some(call.operation) && met.fetch_add(1, Ordering::Relaxed) < TROUBLED;
        if is_met { trouble.fault } else { Fault::None }
    });
    let ended = poll_times((case.operate)(scene.clone()), polls, PACE).await.is_some();
    sleep(SETTLED).await;
    scene.service.clear_on_call();
    (ended, scene.problem(case).await)
}

impl Scene {
    async fn new() -> Self {
        let service = MemoryService::with_tokio_time();
        let node = connect(&service, 1).await;
        let other = connect(&service, 2).await;
        Self { service, node, other }
    }

    /// What is left of the operation.
    async fn problem(self, case: &Case) -> Option<String> {
        for path in queues() {
            let left = self.service.entries(&path);
            if !left.is_empty() {
                return Some(format!("{path}: {left:?} is left"));
            }
        }
        let next = tokio::time::timeout(SETTLED, (case.next)(self.clone())).await;
        match next {
            Ok(true) => {}
            Ok(false) => return Some("the next one does not get it".to_owned()),
            Err(_) => return Some("the next one waits".to_owned()),
        }
        for coordinator in [&self.node, &self.other] {
            if let Err(error) = coordinator.shutdown(SETTLED).await {
                return Some(error.to_string());
            }
        }
        // What a withdrawn request on its way might still do goes with the session.
        sleep(SETTLED).await;
        (!self.service.is_empty()).then(|| format!("left in the end: {:?}", self.service.keys("")))
    }
}

async fn connect(service: &MemoryService, seed: u64) -> Coordinator {
    Coordinator::builder(service.backend())
        .ttl(TTL)
        .request_timeout(REQUEST_TIMEOUT)
        .runtime(Handle::current())
        .entropy(Entropy::seeded(seed))
        .connect()
        .await
        .expect("nothing is in the way")
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.recipe, self.operation)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.operation {
            Some(operation) => write!(f, "{operation} {:?}", self.fault),
            None => f.write_str("no trouble"),
        }
    }
}

#[cfg(all(test, tokio_unstable))]
mod tests {
    use super::*;

    #[test]
    fn a_leak_is_found() {
        let leaky = Case {
            recipe: "mutex",
            operation: "lock, and forget",
            operate: |scene| {
                Box::pin(async move {
                    std::mem::forget(scene.node.mutex("m0").lock().await);
                })
            },
            obstacle: None,
            next: |_scene| Box::pin(async { true }),
        };
        let mut all = Enumerated::default();
        enumerate(&leaky, None, TROUBLES[0], &mut all);
        assert!(all.cancellations > 0);
        let [failure] = &all.failures[..] else { panic!("the last one alone leaks: {:?}", all.failures) };
        assert!(failure.starts_with("mutex lock, and forget, free, no trouble"), "{failure}");
        assert!(failure.ends_with("is left"), "{failure}");
    }
}

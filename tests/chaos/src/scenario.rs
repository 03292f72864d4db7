//! What is run by name: one fault, two, all of them; under load; for long.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use leasehold_core::DEFAULT_TTL;

use crate::nemesis::registry::{self, Make};
use crate::run::{Options, Shape};
use crate::service::{ServiceKind, ZOOKEEPER_TICK};
use crate::worker::Recipe;

/// A way of running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// A few processes, which are paused all the time, and the faults that are asked for.
    Faults,
    /// 3 processes with 64 tasks each and 200 names, while the servers are restarted one after the other.
    Load,
    /// All faults, while memory, watches and keys are counted.
    Endurance,
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "faults" => Ok(Scenario::Faults),
            "load" => Ok(Scenario::Load),
            "endurance" => Ok(Scenario::Endurance),
            _ => Err(format!("{text:?} is no scenario; there are faults, load and endurance")),
        }
    }
}

/// What all runs of a command line have in common.
#[derive(Debug, Clone)]
pub struct Common {
    /// How long one run takes.
    pub time: Duration,
    /// The recipes under test.
    pub recipes: Vec<Recipe>,
    /// Whether the resource has its fence.
    pub fenced: bool,
    /// Whether the workers leave something behind of every round.
    pub leaks: bool,
    /// Where the directories of the runs are.
    pub dir: PathBuf,
    /// Where the worker and the resource are.
    pub programs: PathBuf,
}

impl Common {
    /// The options of one run. `fault` is a name, several with `+` between them, or `all`.
    ///
    /// # Errors
    /// If there is no such fault of this service.
    pub fn options(
        &self,
        service: ServiceKind,
        scenario: Scenario,
        fault: &str,
        seed: u64,
    ) -> Result<Options, String> {
        let restart = if service == ServiceKind::Redis { "restart-all" } else { "rolling-restart" };
        let recipes = self.recipes.clone();
        let (name, strands, shape, recipes, least_expiries): (_, _, _, _, fn(Duration) -> usize) =
            match scenario {
                Scenario::Faults => {
                    (fault.to_owned(), strands(service, fault)?, Shape::default(), recipes, least_expiries)
                }
                Scenario::Load => {
                    ("load".to_owned(), strands(service, restart)?, load(), vec![Recipe::Mutex], none)
                }
                Scenario::Endurance => {
                    let mut all: Vec<Make> = registry::of(service).collect();
                    all.retain(|make| make().name() != "kill-worker");
                    ("endurance".to_owned(), vec![all], endurance(), recipes, least_expiries_in_the_long_run)
                }
            };
        Ok(Options {
            service,
            strands,
            dir: self.dir.join(format!("{}-{name}-{seed}", service.name())),
            scenario,
            name,
            seed,
            time: self.time,
            recipes,
            ttl: if shape.steady { long_ttl(service) } else { service.ttl() },
            shape,
            fenced: self.fenced,
            leaks: self.leaks,
            least_expiries,
            programs: self.programs.clone(),
        })
    }
}

/// With which a rolling restart may cost nobody a lock: the one that nobody chooses, and of ZooKeeper the longest that its servers grant at their tick.
fn long_ttl(service: ServiceKind) -> Duration {
    match service {
        ServiceKind::Etcd | ServiceKind::Redis => DEFAULT_TTL,
        ServiceKind::ZooKeeper => ZOOKEEPER_TICK * 20,
    }
}

/// How many sessions have to expire for a run to tell something: twenty, and of one that is disturbed for too short a time for that its share. Each waits
/// for the service, which takes as long as a change of leaders adds.
fn least_expiries(disturbed_for: Duration) -> usize {
    const ENOUGH: u64 = 20;
    const TIME: u64 = 150;
    usize::try_from((disturbed_for.as_secs() * ENOUGH / TIME).min(ENOUGH)).unwrap_or(0)
}

/// A thousand in an hour.
fn least_expiries_in_the_long_run(disturbed_for: Duration) -> usize {
    usize::try_from(disturbed_for.as_secs() * 1000 / 3600).unwrap_or(0)
}

fn none(_disturbed_for: Duration) -> usize {
    0
}

fn load() -> Shape {
    Shape {
        processes: 3,
        sessions: 1,
        tasks: 64,
        names: 200,
        longest_rest: Duration::from_millis(100),
        longest_pause: Duration::from_millis(1500),
        pauses: false,
        census: false,
        steady: true,
    }
}

fn endurance() -> Shape {
    Shape { longest_pause: Duration::from_secs(3), census: true, ..Shape::default() }
}

/// The strands of faults that a name stands for: `all` for two with everything, names with `+` between them for one each.
fn strands(service: ServiceKind, name: &str) -> Result<Vec<Vec<Make>>, String> {
    if name == "all" {
        return Ok(vec![registry::of(service).collect(); 2]);
    }
    let strand = |name| {
        let make = registry::by_name(name)?;
        match make().services().contains(&service) {
            true => Ok(vec![make]),
            false => Err(format!("{name} cannot be done to {}", service.name())),
        }
    };
    name.split('+').map(strand).collect()
}

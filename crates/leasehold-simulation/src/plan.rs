//! What one seed's world does: drawn from the seed, and made smaller when it fails.

use std::collections::BTreeSet;
use std::fmt;

use crate::calls::CallFault;
use crate::dice::Dice;
use crate::disturbance::{Disturbance, Drama};
use crate::step::Step;

/// Times of a plan are in milliseconds.
pub(crate) type Millis = u64;

/// The whole script of one run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where everything else comes from that is left to chance.
    pub(crate) seed: u64,
    /// What is the same for all.
    pub(crate) settings: Settings,
    /// What is done, by whom.
    pub(crate) workers: Vec<Worker>,
    /// What happens to processes and to the service.
    pub(crate) drama: Vec<Drama>,
    /// What happens to calls.
    pub(crate) calls: CallFaults,
}

/// What is the same for all processes of a run.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// How many processes there are at a time.
    pub(crate) processes: usize,
    /// The TTL of their sessions.
    pub(crate) ttl: Millis,
    /// Their request time-out.
    pub(crate) request_timeout: Millis,
    /// How long things go wrong.
    pub(crate) horizon: Millis,
    /// In how many of a thousand polls a task is put behind the others.
    pub(crate) shuffle: u64,
    /// Whether resources check tokens. Without that the library's promise is void, which the tests of the simulation use.
    pub(crate) fenced: bool,
}

/// A sequence of steps in one process.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    /// The number of the process.
    pub(crate) process: usize,
    /// What it does, in this order.
    pub(crate) steps: Vec<Step>,
}

/// Which calls go wrong, and how.
#[derive(Debug, Clone)]
pub(crate) struct CallFaults {
    /// The faults that are drawn, each with its frequency in ten thousand calls.
    pub(crate) kinds: Vec<(CallFault, u64)>,
    /// Only these calls, by their numbers; all that the dice say if there is no such list.
    pub(crate) only: Option<BTreeSet<u64>>,
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let dice = Dice::new(seed, 1);
        let processes = usize::try_from(dice.between(2, 5)).expect("small");
        let ttl = dice.pick(&[500, 1000, 2000, 5000]);
        let settings = Settings {
            processes,
            ttl,
            request_timeout: dice.pick(&[ttl / 4, ttl / 2, ttl]),
            horizon: dice.between(3, 12) * 1000,
            shuffle: dice.pick(&[0, 20, 100, 300]),
            fenced: true,
        };
        let workers = draw_workers(&dice, &settings);
        let drama = draw_drama(&dice, &settings);
        let calls = draw_calls(&dice);
        Self { seed, settings, workers, drama, calls }
    }

    /// The same over resources that check no token: then nothing keeps a holder that was stopped from doing harm, and the simulation has to find
    /// that.
    #[must_use]
    pub fn without_fences(mut self) -> Self {
        self.settings.fenced = false;
        self
    }

    /// The same over resources that do.
    #[must_use]
    pub fn with_fences(mut self) -> Self {
        self.settings.fenced = true;
        self
    }

    /// Whether processes break each other's locks, also those of their own other workers.
    pub(crate) fn breaks_locks(&self) -> bool {
        let breaks = |step: &Step| matches!(step, Step::Admin { force: true, .. });
        self.workers.iter().flat_map(|worker| &worker.steps).any(breaks)
    }

    /// How many steps, disturbances and faults of calls it has at most.
    pub fn size(&self) -> [usize; 3] {
        let steps = self.workers.iter().map(|worker| worker.steps.len()).sum();
        let calls = self.calls.only.as_ref().map_or(usize::MAX, BTreeSet::len);
        [steps, self.drama.len(), if self.calls.kinds.is_empty() { 0 } else { calls }]
    }
}

/// As a person reads it.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}, {:?}", self.seed, self.settings)?;
        for (number, worker) in self.workers.iter().enumerate() {
            writeln!(f, "worker {number} in p{}:", worker.process)?;
            for step in &worker.steps {
                writeln!(f, "    {step:?}")?;
            }
        }
        for drama in &self.drama {
            writeln!(f, "{:>6} ms {:?}", drama.at, drama.what)?;
        }
        match &self.calls.only {
            Some(only) => writeln!(f, "faults of the calls {only:?}, of {:?}", self.calls.kinds),
            None => writeln!(f, "faults in ten thousand calls: {:?}", self.calls.kinds),
        }
    }
}

/// A seed uses few of the recipes, so that those meet each other often.
fn draw_workers(dice: &Dice, settings: &Settings) -> Vec<Worker> {
    let kinds: Vec<u64> = (0..dice.between(1, 3)).map(|_| dice.below(Step::KINDS)).collect();
    let mut workers = Vec::new();
    for process in 0..settings.processes {
        for _ in 0..dice.between(1, 3) {
            let steps =
                (0..dice.between(2, 8)).map(|_| Step::draw(dice, dice.pick(&kinds), settings)).collect();
            workers.push(Worker { process, steps });
        }
    }
    workers
}

fn draw_drama(dice: &Dice, settings: &Settings) -> Vec<Drama> {
    let kinds: Vec<u64> = (0..dice.between(0, 4)).map(|_| dice.below(Disturbance::KINDS)).collect();
    if kinds.is_empty() {
        return Vec::new();
    }
    let mut drama: Vec<_> = (0..dice.between(1, 10))
        .map(|_| Drama {
            at: dice.below(settings.horizon),
            what: Disturbance::draw(dice, dice.pick(&kinds), settings),
        })
        .collect();
    drama.sort_by_key(|drama| drama.at);
    drama
}

fn draw_calls(dice: &Dice) -> CallFaults {
    let mut kinds = Vec::new();
    for fault in CallFault::ALL {
        if dice.chance(350) {
            kinds.push((fault, dice.pick(&[20, 100, 500, 2000])));
        }
    }
    CallFaults { kinds, only: None }
}

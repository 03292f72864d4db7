//! Valid histories of a service that keeps its promises, by chance: waiting, cancelling, lost answers, pauses beyond the deadline, stale accesses.

use fastrand::Rng;
use leasehold_core::Mode;
use leasehold_core::fencing::Fence;
use leasehold_testkit::history::{Call, Event, History, Outcome, Removal, What};

use crate::script::{Asked, Hold, P, S, Script, X, checker};

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const TTL_MS: u64 = 1_000;

/// What the workers do with the lock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Use {
    Mutex,
    ReadersAndWriters,
    Permits,
}

enum Stage {
    Idle,
    Waiting { asked: Asked, order: u64, mode: Mode },
    Holding { hold: Hold, order: u64, seen: Option<u64> },
    Paused { hold: Hold },
}

struct Worker {
    name: &'static str,
    stage: Stage,
    session: u64,
    until: u64,
    register: Option<(Asked, Call, Option<Outcome>)>,
}

struct World {
    script: Script,
    rng: Rng,
    usage: Use,
    workers: Vec<Worker>,
    /// Order and mode of the entries.
    queue: Vec<(u64, Mode)>,
    last_order: u64,
    last_session: u64,
    fence: Fence,
    /// The values that were written; their number is the version.
    values: Vec<u64>,
    register: (u64, String),
}

/// A history of about so many events.
pub(crate) fn generate(seed: u64, usage: Use, events: usize) -> Vec<Event> {
    let worker = |name| Worker { name, stage: Stage::Idle, session: 0, until: 0, register: None };
    let mut world = World {
        script: Script::default(),
        rng: Rng::with_seed(seed),
        usage,
        workers: NAMES.into_iter().map(worker).collect(),
        queue: Vec::new(),
        last_order: 0,
        last_session: 0,
        fence: Fence::new(),
        values: Vec::new(),
        register: (0, String::new()),
    };
    while world.script.events.len() < events {
        let worker = world.rng.usize(0..NAMES.len());
        world.renew();
        world.step(worker);
    }
    world.drain();
    world.script.events
}

impl World {
    fn renew(&mut self) {
        let (now, until) = (self.script.later(0), self.script.later(TTL_MS));
        for worker in &mut self.workers {
            let renews = worker.session > 0 && !matches!(worker.stage, Stage::Paused { .. });
            if renews && worker.until < now + (TTL_MS / 2) * 1_000_000 {
                worker.until = until;
                let session = worker.session.to_string();
                self.script.note(worker.name, What::SessionLive { session, until });
            }
        }
    }

    fn step(&mut self, worker: usize) {
        if self.rng.u8(0..4) == 0 {
            return self.register_step(worker);
        }
        match self.workers[worker].stage {
            Stage::Idle => self.ask(worker),
            Stage::Waiting { asked, order, mode } => self.wait(worker, asked, order, mode),
            Stage::Holding { hold, order, seen } => self.hold(worker, hold, order, seen),
            Stage::Paused { hold } => self.wake(worker, hold),
        }
    }

    fn fits_behind(&self, mode: Mode, place: usize) -> bool {
        match mode {
            Mode::Exclusive => place == 0,
            Mode::Shared => self.queue[..place].iter().all(|(_, mode)| *mode == S),
            Mode::Permits { .. } => place < 3,
        }
    }

    fn ask(&mut self, worker: usize) {
        let name = self.workers[worker].name;
        let mode = match self.usage {
            Use::Mutex => X,
            Use::ReadersAndWriters => *self.rng.choice([X, S, S].iter()).unwrap(),
            Use::Permits => P,
        };
        if self.workers[worker].session == 0 {
            self.last_session += 1;
            let (session, until) = (self.last_session, self.script.later(TTL_MS));
            self.script.note(name, What::SessionLive { session: session.to_string(), until });
            (self.workers[worker].session, self.workers[worker].until) = (session, until);
        }
        let only_if_free = self.rng.u8(0..4) == 0;
        let asked = self.script.invoke(name, Call::Acquire { lock: "L".into(), mode, only_if_free });
        if only_if_free && !self.fits_behind(mode, self.queue.len()) {
            self.script.ok(asked, Outcome::Busy);
            return;
        }
        self.last_order += self.rng.u64(1..4);
        let order = self.last_order;
        self.script.entry(order, mode);
        self.queue.push((order, mode));
        self.workers[worker].stage = Stage::Waiting { asked, order, mode };
    }

    fn leave(&mut self, order: u64, why: Removal) {
        self.queue.retain(|(other, _)| *other != order);
        self.script.gone(order, why);
    }

    fn wait(&mut self, worker: usize, asked: Asked, order: u64, mode: Mode) {
        let place = self.queue.iter().position(|(other, _)| *other == order).unwrap();
        if self.fits_behind(mode, place) {
            let session = self.workers[worker].session.to_string();
            let hold = self.script.grant_in(asked, order, Some(&session));
            let hold = Hold { shared: mode != X, ..hold };
            self.workers[worker].stage = Stage::Holding { hold, order, seen: None };
        } else if self.rng.u8(0..10) == 0 {
            self.script.info(asked, "Cancelled");
            self.leave(order, Removal::Withdrawn);
            self.workers[worker].stage = Stage::Idle;
        }
    }

    fn hold(&mut self, worker: usize, hold: Hold, order: u64, seen: Option<u64>) {
        let fenced = self.usage != Use::Permits;
        match self.rng.u8(0..10) {
            0 | 1 => {
                let release = self.script.invoke(hold.process, Call::Release { hold: hold.op });
                self.leave(order, Removal::Withdrawn);
                self.script.ok(release, Outcome::Done);
                self.workers[worker].stage = Stage::Idle;
            }
            2 => {
                self.script.pause(hold.process);
                self.workers[worker].stage = Stage::Paused { hold };
                for _ in 0..4 {
                    self.script.wait(TTL_MS / 4 + 5);
                    self.renew();
                }
                self.leave(order, Removal::Expired);
            }
            3 => {
                let id = self.script.later(0);
                self.script.fault(id).heal(id);
            }
            4..=6 if fenced => {
                let checked = if hold.shared {
                    self.fence.check_shared(hold.token)
                } else {
                    self.fence.check_exclusive(hold.token)
                };
                checked.expect("the holder is the newest");
                let version = self.values.len() as u64;
                self.script.read(hold, version, self.values.last().copied().unwrap_or(0));
                self.workers[worker].stage = Stage::Holding { hold, order, seen: Some(version) };
            }
            7..=9 if fenced && !hold.shared => {
                let Some(seen) = seen else { return };
                let value = 10 * (seen + 1) + self.rng.u64(0..2);
                let write = self.script.ask_write(hold, seen, value);
                let (applied, answered) = *self
                    .rng
                    .choice([(true, true), (true, true), (true, false), (false, false)].iter())
                    .unwrap();
                if applied {
                    self.fence.check_exclusive(hold.token).expect("the holder is the newest");
                    self.values.push(value);
                }
                let version = self.values.len() as u64;
                if answered {
                    self.script.ok(write, Outcome::Written { version });
                } else {
                    self.script.info(write, "Indeterminate");
                }
                let seen = answered.then_some(version);
                self.workers[worker].stage = Stage::Holding { hold, order, seen };
            }
            _ => {}
        }
    }

    fn wake(&mut self, worker: usize, hold: Hold) {
        if self.rng.u8(0..4) > 0 {
            return;
        }
        self.script.resume(hold.process);
        let stale = if hold.shared {
            self.fence.exclusive() > hold.token
        } else {
            self.fence.exclusive().max(self.fence.shared()) > hold.token
        };
        if stale {
            self.script.stale_read(hold);
        }
        self.script.lost(hold);
        self.workers[worker].session = 0;
        self.workers[worker].stage = Stage::Idle;
    }

    fn register_step(&mut self, worker: usize) {
        let name = self.workers[worker].name;
        if matches!(self.workers[worker].stage, Stage::Paused { .. }) {
            return;
        }
        match self.workers[worker].register.take() {
            None => {
                let register = "V".into();
                let call = match self.rng.u8(0..3) {
                    0 => Call::RegisterRead { register },
                    1 => {
                        let value = self.script.later(0).to_string();
                        Call::RegisterWrite { register, value, if_version: None }
                    }
                    _ => {
                        let value = self.script.later(0).to_string();
                        let if_version = Some(self.register.0.saturating_sub(self.rng.u64(0..2)));
                        Call::RegisterWrite { register, value, if_version }
                    }
                };
                let asked = self.script.invoke(name, call.clone());
                self.workers[worker].register = Some((asked, call, None));
            }
            Some((asked, call, None)) => {
                let outcome = self.apply(&call);
                self.workers[worker].register = Some((asked, call, Some(outcome)));
            }
            Some((asked, call, Some(outcome))) => {
                if self.rng.u8(0..20) == 0 && matches!(call, Call::RegisterWrite { .. }) {
                    self.script.info(asked, "Indeterminate");
                } else {
                    self.script.ok(asked, outcome);
                }
            }
        }
    }

    fn apply(&mut self, call: &Call) -> Outcome {
        let version = self.register.0;
        match call {
            Call::RegisterWrite { if_version: Some(expected), .. } if *expected != version => {
                Outcome::VersionDiffers
            }
            Call::RegisterWrite { value, .. } => {
                self.register = (version + self.rng.u64(1..3), value.clone());
                Outcome::Written { version: self.register.0 }
            }
            _ => Outcome::Register { version, value: (version > 0).then(|| self.register.1.clone()) },
        }
    }

    fn drain(&mut self) {
        for worker in 0..self.workers.len() {
            while !matches!(self.workers[worker].stage, Stage::Idle) {
                match self.workers[worker].stage {
                    Stage::Waiting { asked, order, .. } => {
                        self.script.info(asked, "Cancelled");
                        self.leave(order, Removal::Withdrawn);
                        self.workers[worker].stage = Stage::Idle;
                    }
                    Stage::Holding { hold, order, .. } => {
                        let release = self.script.invoke(hold.process, Call::Release { hold: hold.op });
                        self.leave(order, Removal::Withdrawn);
                        self.script.ok(release, Outcome::Done);
                        self.workers[worker].stage = Stage::Idle;
                    }
                    Stage::Paused { hold } => self.wake(worker, hold),
                    Stage::Idle => {}
                }
            }
            while self.workers[worker].register.is_some() {
                self.register_step(worker);
            }
        }
        self.script.quiescent(&[]);
        self.script.verdict(self.values.len() as u64, self.values.last().copied().unwrap_or(0));
    }
}

#[test]
fn what_is_generated_is_sound_and_eventful() {
    let mut stale = 0;
    for usage in [Use::Mutex, Use::ReadersAndWriters, Use::Permits] {
        for seed in 0..40 {
            let report = checker().check(&History::new(generate(seed, usage, 1_000)));
            assert!(report.is_sound(), "{usage:?} with seed {seed}\n{report}");
            assert!(report.grants > 20 && report.unanswered > 3 && report.expiries > 0, "{report}");
            stale += report.stale_rejections;
        }
    }
    assert!(stale > 100, "{stale}");
}

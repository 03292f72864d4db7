//! One worker: takes its steps, one after the other.

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{Coordinator, ErrorKind, Held, Kind, LeadershipTicket, Mode, RwLockWriteGuard};
use leasehold_testkit::history::{CANCELLED, Call, Outcome};
use tokio::time::{sleep, timeout};

use crate::holder::{Acquire, Place};
use crate::process::{Life, Process};
use crate::step::{Ask, End, Hold, Step, Work};
use crate::world::{World, path};

/// The permits of the semaphore.
const LIMIT: u32 = 3;

/// A worker of one life of a process.
pub(crate) struct Actor {
    pub(crate) world: Arc<World>,
    pub(crate) process: Arc<Process>,
    pub(crate) life: Arc<Life>,
    /// Its number in the plan, and within its process.
    pub(crate) number: usize,
    pub(crate) index: usize,
}

/// An acquisition as a function of its patience.
macro_rules! acquiring {
    ($lock:ident . $forever:ident ($($argument:expr),*), $try:ident, $try_for:ident) => {{
        let lock = &$lock;
        let acquire: Acquire<'_, _> = Box::new(move |patience: Option<Duration>| {
            Box::pin(async move {
                match patience {
                    None => lock.$forever($($argument),*).await.map(Some),
                    Some(Duration::ZERO) => lock.$try($($argument),*).await,
                    Some(time) => lock.$try_for($($argument,)* time).await,
                }
            })
        });
        acquire
    }};
}

impl Actor {
    /// Takes the steps that nobody has taken.
    pub(crate) async fn run(self) {
        let plan = Arc::clone(&self.world.plan);
        let steps = &plan.workers[self.number].steps;
        loop {
            if self.life.is_dead() {
                // Woken after another one took its place.
                return;
            }
            let next = self.process.at(self.index).begun;
            let Some(step) = steps.get(next) else {
                self.process.at(self.index).is_done = true;
                return self.world.progress.send_modify(|progress| *progress += 1);
            };
            let coordinator = self.life.coordinator().await;
            self.say(format_args!("worker {} begins {step:?}", self.number));
            // A step that its process does not survive is not taken again.
            self.process.at(self.index).begun = next + 1;
            self.take(&coordinator, step).await;
            self.say(format_args!("worker {} has ended {}", self.number, step.name()));
            self.world.log.count("steps");
            self.world.log.count(step.name());
            self.world.progress.send_modify(|progress| *progress += 1);
        }
    }

    async fn take(&self, coordinator: &Coordinator, step: &Step) {
        match step {
            Step::Mutex { name, limits, ask, hold } => {
                let mut mutex = coordinator.mutex(mutex_name(*name));
                if let Some((min, max)) = *limits {
                    mutex = mutex.min_hold(Duration::from_millis(min)).max_hold(Duration::from_millis(max));
                }
                let place = mutex_place(*name);
                let acquire = acquiring!(mutex.lock(), try_lock, try_lock_for);
                if let Some(held) = self.acquire(&place, *ask, acquire).await {
                    self.hold(held, &place, hold).await;
                }
            }
            Step::Read { ask, hold } => {
                let (lock, place) = (coordinator.rw_lock("rw"), place(Kind::RwLock, "rw", Mode::Shared));
                let acquire = acquiring!(lock.read(), try_read, try_read_for);
                if let Some(held) = self.acquire(&place, *ask, acquire).await {
                    self.hold(held, &place, hold).await;
                }
            }
            Step::Write { ask, hold, downgrade } => {
                self.write_step(coordinator, *ask, hold, *downgrade).await
            }
            Step::Permits { count, ask, hold } => {
                let (semaphore, count) = (coordinator.semaphore("s", LIMIT), *count);
                let mode = Mode::Permits { count, limit: LIMIT, granted: false };
                let place = Place { guards: false, ..place(Kind::Semaphore, "s", mode) };
                let acquire =
                    acquiring!(semaphore.acquire_many(count), try_acquire_many, try_acquire_many_for);
                if let Some(held) = self.acquire(&place, *ask, acquire).await {
                    self.hold(held, &place, hold).await;
                }
            }
            Step::Campaign { ask, hold, proclaim, keep_ticket } => {
                // What is to be resumed has a session of its own.
                let own = if *keep_ticket {
                    coordinator.session().connect_lazy().expect("the options can work")
                } else {
                    coordinator.clone()
                };
                let (election, place) = (own.election("e"), place(Kind::Election, "e", Mode::Exclusive));
                let acquire = acquiring!(election.campaign("candidate"), try_campaign, try_campaign_for);
                if let Some((op, leadership)) = self.acquire(&place, *ask, acquire).await {
                    if *proclaim && let Err(error) = leadership.proclaim("leader").await {
                        self.judge(&error, &[ErrorKind::Lost]);
                    }
                    if *keep_ticket {
                        self.life.keep(leadership.ticket().ok());
                    }
                    self.hold((op, leadership), &place, hold).await;
                }
            }
            Step::Multi { ask, hold } => self.multi_step(coordinator, *ask, hold).await,
            Step::Register(step) => self.register_step(coordinator, *step).await,
            Step::Count { amount, polls } => self.count_step(coordinator, *amount, *polls).await,
            Step::Barrier(step) => self.barrier_step(coordinator, *step).await,
            Step::Latch { wait, polls } => self.latch_step(coordinator, *wait, *polls).await,
            Step::Once { occurrence, work, polls } => {
                self.once_step(coordinator, *occurrence, *work, *polls).await;
            }
            Step::Join { stay, end, polls } => self.join_step(coordinator, *stay, *end, *polls).await,
            Step::Stay { time, polls } => self.stay_step(coordinator, *time, *polls).await,
            Step::Pass { patience, polls } => self.pass_step(coordinator, *patience, *polls).await,
            Step::Admin { name, force } => self.admin_step(coordinator, *name, *force).await,
            Step::Observe { time } => self.observe_step(coordinator, *time).await,
        }
    }

    async fn write_step(&self, coordinator: &Coordinator, ask: Ask, hold: &Hold, downgrade: bool) {
        let lock = coordinator.rw_lock("rw");
        let mut place = place(Kind::RwLock, "rw", Mode::Exclusive);
        let acquire = acquiring!(lock.write(), try_write, try_write_for);
        let Some((op, guard)) = self.acquire::<RwLockWriteGuard>(&place, ask, acquire).await else { return };
        let held = guard.held();
        self.work(&held, &place, &hold.work).await;
        if !downgrade {
            return self.end((op, guard), &place, hold.end).await;
        }
        let change = self.recorder().invoke(Call::Downgrade { hold: op });
        // From when it is asked for, others may read.
        self.world.beliefs.downgraded(&place.path, &held);
        place.mode = Mode::Shared;
        match guard.downgrade().await {
            Ok(guard) => {
                self.world.log.count("downgrades");
                self.recorder().ok(change, Outcome::Done);
                self.hold((op, guard), &place, hold).await;
            }
            Err(error) => {
                // Readers may have been let in before it was lost.
                self.recorder().info(change, format!("{:?}", error.kind()));
                self.judge(&error, &[ErrorKind::Lost]);
            }
        }
    }

    /// Goes on with the leadership of the process's last life, if that is there.
    pub(crate) async fn resume(self, ticket: LeadershipTicket) {
        let place = place(Kind::Election, "e", Mode::Exclusive);
        let session = self.life.coordinator().await.session().resume(ticket.credentials().clone());
        let coordinator = session.connect_lazy().expect("the options can work");
        let (lock, mode) = (place.path.clone(), place.mode);
        let op = self.recorder().invoke(Call::Acquire { lock, mode, only_if_free: false });
        match coordinator.election("e").resume(&ticket).await {
            Ok(leadership) => {
                self.world.log.count("resumed");
                self.world.beliefs.superseded(&place.path, &leadership);
                self.granted(op, &place, &leadership);
                let work = vec![Work::Read(3), Work::Rest(20), Work::Write(3)];
                self.hold((op, leadership), &place, &Hold { work, end: End::Release }).await;
            }
            Err(error) => {
                self.world.log.count("resumption_in_vain");
                self.recorder().fail(op, format!("{:?}", error.kind()));
                self.judge(&error, &[ErrorKind::Lost]);
            }
        }
    }

    async fn multi_step(&self, coordinator: &Coordinator, ask: Ask, hold: &Hold) {
        let mutex = |name| coordinator.mutex(mutex_name(name));
        let multi = leasehold_core::MultiLock::new().member("it", mutex(1)).member("it", mutex(0));
        let places = [mutex_place(0), mutex_place(1)];
        let only_if_free = matches!(ask, Ask::Try);
        let ops = places.each_ref().map(|place| {
            let (lock, mode) = (place.path.clone(), place.mode);
            self.recorder().invoke(Call::Acquire { lock, mode, only_if_free })
        });
        let acquire = acquiring!(multi.lock(), try_lock, try_lock_for);
        let guard = match self.ask(ask, acquire).await {
            None => return ops.iter().for_each(|op| self.recorder().info(*op, CANCELLED)),
            Some(Err(error)) => {
                ops.iter().for_each(|op| self.recorder().fail(*op, format!("{:?}", error.kind())));
                // A try does not take back what it has lost.
                return self.judge(&error, &[ErrorKind::Unavailable, ErrorKind::Lost]);
            }
            Some(Ok(None)) => {
                return ops.iter().for_each(|op| match ask {
                    Ask::Try => self.recorder().ok(*op, Outcome::Busy),
                    _ => self.recorder().info(*op, CANCELLED),
                });
            }
            Some(Ok(Some(guard))) => guard,
        };
        let members: Vec<Held> = guard.held().members().iter().map(|member| member.held()).collect();
        let releases: Vec<_> = std::iter::zip(&members, &places)
            .zip(ops)
            .map(|((held, place), op)| {
                self.granted(op, place, held);
                op
            })
            .collect();
        for (held, place) in std::iter::zip(&members, &places) {
            if guard.held().is_held() {
                self.work(held, place, &hold.work).await;
            }
        }
        let releases: Vec<_> =
            releases.into_iter().map(|op| self.recorder().invoke(Call::Release { hold: op })).collect();
        let released = guard.release().await;
        for op in releases {
            match &released {
                Ok(()) => self.recorder().ok(op, Outcome::Done),
                Err(_) => self.recorder().info(op, "Unknown"),
            }
        }
    }

    async fn admin_step(&self, coordinator: &Coordinator, name: u64, force: bool) {
        let mutex = coordinator.mutex(mutex_name(name));
        let done = if force {
            mutex.force_release("the simulation").await.map(|released| format!("{released:?}"))
        } else {
            mutex.ask_to_release("the simulation").await.map(|asked| format!("asked: {asked}"))
        };
        match done {
            Ok(done) => self.say(format_args!("{done}")),
            Err(error) => self.judge(&error, &[ErrorKind::Unavailable, ErrorKind::Indeterminate]),
        }
    }

    async fn observe_step(&self, coordinator: &Coordinator, time: u64) {
        let election = coordinator.election("e");
        let mut states = match election.observe() {
            Ok(states) => states,
            Err(error) => return self.judge(&error, &[]),
        };
        let mut highest = None;
        let watched = async {
            while let Some(leader) = states.next().await {
                let token = leader.map(|leader| leader.fencing_token());
                self.say(format_args!("sees leader {token:?}"));
                if token.is_some() && token < highest {
                    self.world
                        .log
                        .violated("S3", format_args!("leader {token:?} was shown after {highest:?}"));
                }
                highest = highest.max(token);
            }
        };
        let _ = timeout(Duration::from_millis(time), watched).await;
        sleep(Duration::ZERO).await;
    }
}

fn mutex_name(name: u64) -> &'static str {
    if name == 0 { "m0" } else { "m1" }
}

fn mutex_place(name: u64) -> Place {
    place(Kind::Lock, mutex_name(name), Mode::Exclusive)
}

fn place(kind: Kind, name: &str, mode: Mode) -> Place {
    Place { path: path(kind, name).to_string(), mode, guards: true }
}

//! The worker processes of a run, each with its ways to the servers.
//!
//! # Implementation
//!
//! A task owns each process: it reads what that says and does to it what it is asked for, one thing after the other. Nobody else disturbs a
//! process while a fault has it [reserved](Crew::reserve).

use std::cmp::Reverse;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leasehold_testkit::history::{Recorder, What};
use leasehold_testkit::process::Worker;
use leasehold_testkit::proxy::Proxy;
use tokio::sync::{OwnedMutexGuard, mpsc, oneshot};

use crate::dice::Dice;
use crate::worker::WorkerPlan;

/// How long a worker may take to let go of everything and say so.
const FAREWELL: Duration = Duration::from_secs(60);

/// All worker processes.
#[derive(Debug)]
pub struct Crew {
    members: Vec<Member>,
}

/// One worker process, over all of its lives.
#[derive(Debug)]
pub struct Member {
    /// Its ways to the servers.
    pub proxies: Vec<Proxy>,
    orders: mpsc::UnboundedSender<Order>,
    known: Arc<Known>,
    reserved: Arc<tokio::sync::Mutex<()>>,
}

/// What is known of a process without asking it.
#[derive(Debug, Default)]
struct Known {
    sessions: Mutex<Vec<String>>,
    rounds: AtomicU64,
    /// Of the lives before this one.
    earlier_rounds: AtomicU64,
    lives: AtomicUsize,
    pid: AtomicU64,
    problems: Mutex<Vec<String>>,
}

#[derive(Debug)]
enum Order {
    Pause(oneshot::Sender<()>),
    Resume(oneshot::Sender<()>),
    Kill(oneshot::Sender<()>),
    Revive(oneshot::Sender<()>),
    Stop(oneshot::Sender<()>),
}

/// A process that is one fault's alone.
#[derive(Debug)]
pub struct Reserved {
    /// Its number.
    pub member: usize,
    _guard: OwnedMutexGuard<()>,
}

impl Crew {
    /// Starts a process for each plan, with proxies for the servers at `upstreams`. A plan names a process and its history; the endpoints are put
    /// in here.
    pub async fn start(
        program: PathBuf,
        plans: Vec<WorkerPlan>,
        upstreams: &[String],
        recorder: &Recorder,
    ) -> Self {
        let mut members = Vec::new();
        for mut plan in plans {
            let mut proxies = Vec::new();
            for upstream in upstreams {
                proxies.push(Proxy::start(upstream).await);
            }
            plan.endpoints = proxies.iter().map(Proxy::endpoint).collect();
            let known = Arc::new(Known::default());
            let (orders, given) = mpsc::unbounded_channel();
            let keeper = Keeper {
                program: program.clone(),
                plan,
                known: Arc::clone(&known),
                recorder: recorder.clone(),
                worker: None,
                is_paused: false,
                stopping: None,
            };
            tokio::spawn(keeper.run(given));
            members.push(Member { proxies, orders, known, reserved: Arc::default() });
        }
        let crew = Self { members };
        for member in 0..crew.members.len() {
            crew.revive(member).await;
        }
        crew
    }

    /// The processes.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// One that no fault has, for one fault alone.
    pub fn reserve(&self, dice: &mut Dice) -> Option<Reserved> {
        self.reserve_by(dice, |_| 0)
    }

    /// The one that no fault has of which this is the most; of equal ones any.
    pub fn reserve_by(&self, dice: &mut Dice, most: impl Fn(&Member) -> usize) -> Option<Reserved> {
        let first = dice.below(self.members.len());
        let all = self.members.iter().enumerate();
        let mut all: Vec<_> = all.cycle().skip(first).take(self.members.len()).collect();
        all.sort_by_key(|(_, it)| Reverse(most(it)));
        all.into_iter().find_map(|(member, it)| {
            let guard = Arc::clone(&it.reserved).try_lock_owned().ok()?;
            Some(Reserved { member, _guard: guard })
        })
    }

    /// Stops a process with SIGSTOP.
    pub async fn pause(&self, member: usize) {
        self.order(member, Order::Pause).await;
    }

    /// Lets it go on.
    pub async fn resume(&self, member: usize) {
        self.order(member, Order::Resume).await;
    }

    /// Kills it with SIGKILL.
    pub async fn kill(&self, member: usize) {
        self.order(member, Order::Kill).await;
    }

    /// Gives it another life.
    pub async fn revive(&self, member: usize) {
        self.order(member, Order::Revive).await;
    }

    /// Has all of them let go of everything and shut down.
    pub async fn stop(&self) {
        let mut stopped = Vec::new();
        for member in &self.members {
            let (done, stop) = oneshot::channel();
            let _ = member.orders.send(Order::Stop(done));
            stopped.push(stop);
        }
        for stop in stopped {
            let _ = stop.await;
        }
    }

    async fn order(&self, member: usize, order: impl FnOnce(oneshot::Sender<()>) -> Order) {
        let (done, obeyed) = oneshot::channel();
        let _ = self.members[member].orders.send(order(done));
        // A task that has ended has said why.
        let _ = obeyed.await;
    }

    /// What went wrong with processes, apart from what was done to them.
    pub fn problems(&self) -> Vec<String> {
        self.members.iter().flat_map(|member| lock(&member.known.problems).clone()).collect()
    }

    /// The rounds that all tasks have ended.
    pub fn rounds(&self) -> u64 {
        self.members.iter().map(Member::rounds).sum()
    }
}

impl Member {
    /// The sessions that this life has opened.
    pub fn sessions(&self) -> Vec<String> {
        lock(&self.known.sessions).clone()
    }

    /// The process id of this life.
    pub fn pid(&self) -> u32 {
        u32::try_from(self.known.pid.load(Ordering::Relaxed)).unwrap_or_default()
    }

    fn rounds(&self) -> u64 {
        self.known.rounds.load(Ordering::Relaxed) + self.known.earlier_rounds.load(Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Owns one process.
struct Keeper {
    program: PathBuf,
    plan: WorkerPlan,
    known: Arc<Known>,
    recorder: Recorder,
    worker: Option<Worker>,
    is_paused: bool,
    stopping: Option<oneshot::Sender<()>>,
}

impl Keeper {
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        loop {
            let listens = !self.is_paused;
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.obey(order).await,
                    None => return,
                },
                line = said(&mut self.worker), if listens && self.worker.is_some() => self.heard(line),
            }
        }
    }

    async fn obey(&mut self, order: Order) {
        let done = match order {
            Order::Pause(done) => {
                if let Some(worker) = &self.worker {
                    // Before it stops: from now on it may not act.
                    self.recorder.record(What::Paused { whom: self.name() });
                    worker.pause();
                    self.is_paused = true;
                }
                done
            }
            Order::Resume(done) => {
                if let Some(worker) = self.worker.as_ref().filter(|_| self.is_paused) {
                    worker.resume();
                    self.recorder.record(What::Resumed { whom: self.name() });
                    self.is_paused = false;
                }
                done
            }
            Order::Kill(done) => {
                if let Some(mut worker) = self.worker.take() {
                    worker.kill().await;
                    self.recorder.record(What::Killed { whom: self.name() });
                    self.is_paused = false;
                }
                done
            }
            Order::Revive(done) => {
                if self.worker.is_none() {
                    self.revive();
                }
                done
            }
            Order::Stop(done) => {
                match &mut self.worker {
                    Some(worker) => {
                        worker.send("stop").await;
                        self.stopping = Some(done);
                    }
                    None => drop(done),
                }
                return;
            }
        };
        let _ = done.send(());
    }

    fn name(&self) -> String {
        match self.known.lives.load(Ordering::Relaxed) {
            1 => self.plan.process.clone(),
            life => format!("{}.{life}", self.plan.process),
        }
    }

    fn revive(&mut self) {
        self.known.lives.fetch_add(1, Ordering::Relaxed);
        let rounds = self.known.rounds.swap(0, Ordering::Relaxed);
        self.known.earlier_rounds.fetch_add(rounds, Ordering::Relaxed);
        lock(&self.known.sessions).clear();
        let plan = WorkerPlan { process: self.name(), ..self.plan.clone() };
        let plan = serde_json::to_string(&plan).expect("a plan is plain data");
        let worker = Worker::start(&self.program, [plan]);
        self.known.pid.store(worker.pid().unwrap_or_default().into(), Ordering::Relaxed);
        self.worker = Some(worker);
    }

    fn heard(&mut self, line: Option<String>) {
        let Some(line) = line else {
            lock(&self.known.problems).push(format!("{} ended by itself", self.name()));
            self.worker = None;
            self.stopping = None;
            return;
        };
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("session", id) => lock(&self.known.sessions).push(id.to_owned()),
            ("alive", rounds) => self.known.rounds.store(rounds.parse().unwrap_or(0), Ordering::Relaxed),
            ("done", _) => {
                self.worker = None;
                if let Some(stopping) = self.stopping.take() {
                    let _ = stopping.send(());
                }
            }
            _ => lock(&self.known.problems).push(format!("{} says {line:?}", self.name())),
        }
    }
}

/// The next line of a worker. One that lets go of everything has a while for it, though it says that it is alive all the time.
async fn said(worker: &mut Option<Worker>) -> Option<String> {
    match worker {
        Some(worker) => worker.line().await,
        None => std::future::pending().await,
    }
}

/// Waits for the crew to stop.
///
/// # Errors
/// If it does not within a minute.
pub async fn stopped(crew: &Crew) -> Result<(), String> {
    let stop = tokio::time::timeout(FAREWELL, crew.stop());
    stop.await.map_err(|_| format!("the workers have not shut down within {FAREWELL:?}"))
}

//! A simulated process.
//!
//! # Implementation
//!
//! A process is a coordinator, a connection and workers, all behind one gate. It is *paused* by shutting the gate, and *dead* if nobody will
//! ever open it again: its tasks stay where they were, renew nothing and hear nothing, until the runtime is dropped with the world. Another
//! *life* takes its place, with a gate, a connection and a coordinator of its own, and goes on with the steps that follow the one in which the last
//! life ended. A shutdown changes the coordinator and nothing else.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use leasehold_core::{
    BackendError, Capabilities, Clock, Coordinator, HolderInfo, LeadershipTicket, LockBackend, OpenSession,
    Session, Timestamp,
};
use leasehold_memory::MemoryBackend;
use leasehold_testkit::history::Recorder;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::beliefs::Beliefs;
use crate::dice::Dice;
use crate::gates::Gates;
use crate::log::Log;
use crate::world::World;

pub(crate) struct Process {
    pub(crate) number: usize,
    lives: AtomicU64,
    life: Mutex<Arc<Life>>,
    /// What each worker is at.
    pub(crate) workers: Vec<Mutex<At>>,
}

/// Where a worker is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct At {
    /// How many steps it has begun.
    pub(crate) begun: usize,
    /// Whether it has none left.
    pub(crate) is_done: bool,
}

/// A process from its start to its death.
pub(crate) struct Life {
    pub(crate) name: Arc<str>,
    pub(crate) gates: Gates,
    pub(crate) backend: MemoryBackend,
    pub(crate) recorder: Recorder,
    dice: Dice,
    dead: AtomicBool,
    /// Since when it was not paused.
    pub(crate) running_since: Mutex<Timestamp>,
    /// `None` between a shutdown and the next coordinator.
    coordinator: watch::Sender<Option<Coordinator>>,
    /// How often a coordinator was shut down.
    pub(crate) shutdowns: AtomicUsize,
    /// What it would write to a file, for its successor.
    ticket: Mutex<Option<LeadershipTicket>>,
}

impl Process {
    pub(crate) fn new(world: &Arc<World>, number: usize, workers: usize) -> Self {
        let life = Mutex::new(Life::begin(world, number, 0));
        let workers = (0..workers).map(|_| Mutex::default()).collect();
        Self { number, lives: AtomicU64::new(0), life, workers }
    }

    /// Where a worker is, to be looked at and changed.
    pub(crate) fn at(&self, worker: usize) -> std::sync::MutexGuard<'_, At> {
        self.workers[worker].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The workers that have not come to their ends, with the numbers of their steps.
    pub(crate) fn busy(&self) -> Vec<String> {
        let at = |worker| (worker, *self.at(worker));
        let busy = (0..self.workers.len()).map(at).filter(|(_, at)| !at.is_done);
        busy.map(|(worker, at)| format!("worker {worker} of {} at step {}", self.life().name, at.begun))
            .collect()
    }

    /// The one that goes on now, or was the last.
    pub(crate) fn life(&self) -> Arc<Life> {
        Arc::clone(&self.life.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins another life in place of the last one.
    pub(crate) fn revive(&self, world: &Arc<World>) {
        let number = self.lives.fetch_add(1, Ordering::Relaxed) + 1;
        let life = Life::begin(world, self.number, number);
        *self.life.lock().unwrap_or_else(PoisonError::into_inner) = life;
    }
}

impl Life {
    fn begin(world: &Arc<World>, process: usize, life: u64) -> Arc<Self> {
        let dice = Dice::new(world.plan.seed, (process as u64 + 1) << 32 | life << 8 | 3);
        let gates = Gates::new(dice.clone(), world.plan.settings.shuffle);
        let name: Arc<str> =
            if life == 0 { format!("p{process}") } else { format!("p{process}.{life}") }.into();
        let backend = world.service.backend().behind(gates.gate());
        let recorder = world.recorder.process(&name);
        let life = Arc::new(Self {
            name,
            gates,
            backend,
            recorder,
            dice,
            dead: AtomicBool::new(false),
            running_since: Mutex::new(world.clock.now()),
            coordinator: watch::Sender::new(None),
            shutdowns: AtomicUsize::new(0),
            ticket: Mutex::default(),
        });
        life.connect(world);
        life
    }

    /// Gives it a coordinator.
    pub(crate) fn connect(&self, world: &Arc<World>) {
        let settings = &world.plan.settings;
        let backend = Watched {
            inner: self.backend.clone(),
            process: Arc::clone(&self.name),
            log: Arc::clone(&world.log),
            beliefs: Arc::clone(&world.beliefs),
            recorder: self.recorder.clone(),
        };
        let holder = HolderInfo { host: "simulated".into(), pid: 1, purpose: self.name.to_string() };
        let coordinator = Coordinator::builder(backend)
            .ttl(Duration::from_millis(settings.ttl))
            .request_timeout(Duration::from_millis(settings.request_timeout))
            .connect_timeout(Duration::from_millis(settings.request_timeout))
            .holder(holder)
            .runtime(Handle::current())
            .gate(self.gates.gate())
            .entropy(self.dice.entropy())
            .connect_lazy()
            .expect("the options can work");
        self.coordinator.send_replace(Some(coordinator));
    }

    /// Takes the coordinator away.
    pub(crate) fn disconnect(&self) -> Option<Coordinator> {
        self.coordinator.send_replace(None)
    }

    /// The coordinator, if there is one.
    pub(crate) fn peek(&self) -> Option<Coordinator> {
        self.coordinator.borrow().clone()
    }

    /// The coordinator, once there is one.
    pub(crate) async fn coordinator(&self) -> Coordinator {
        let mut coordinators = self.coordinator.subscribe();
        let coordinator = coordinators.wait_for(Option::is_some).await.expect("the sender is here");
        coordinator.clone().expect("there is one")
    }

    /// Keeps a ticket for a successor.
    pub(crate) fn keep(&self, ticket: Option<LeadershipTicket>) {
        *self.ticket.lock().unwrap_or_else(PoisonError::into_inner) = ticket;
    }

    /// The ticket that it kept.
    pub(crate) fn kept(&self) -> Option<LeadershipTicket> {
        self.ticket.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it: for good, or until its gate is opened, when another one has its place.
    pub(crate) fn die(&self) {
        self.dead.store(true, Ordering::Relaxed);
        self.gates.shut();
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// For how long it has been running without a pause.
    pub(crate) fn running_for(&self, now: Timestamp) -> Duration {
        if !self.gates.is_open() {
            return Duration::ZERO;
        }
        now.saturating_since(*self.running_since.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes that a pause has ended.
    pub(crate) fn resumed(&self, now: Timestamp) {
        *self.running_since.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

/// The process's backend; it writes down what its sessions believe.
struct Watched {
    inner: MemoryBackend,
    process: Arc<str>,
    log: Arc<Log>,
    beliefs: Arc<Beliefs>,
    recorder: Recorder,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl LockBackend for Watched {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn endpoint(&self) -> String {
        self.inner.endpoint()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn clock(&self) -> Clock {
        self.inner.clock()
    }

    async fn open_session(&self, options: OpenSession) -> Result<Arc<dyn Session>, BackendError> {
        let session = self.inner.open_session(options).await?;
        let (id, cell) = (session.id(), Arc::clone(session.liveness()));
        self.log.say(format_args!("{} has session {id}", self.process));
        self.log.count("sessions");
        self.beliefs.session(&id, &cell);
        tokio::spawn(self.recorder.clone().follow(id, cell));
        Ok(session)
    }
}

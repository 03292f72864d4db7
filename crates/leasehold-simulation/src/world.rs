//! What the processes of a run share, and what they meet in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leasehold_core::{Clock, FencingToken, KeyPath, Kind, LockBackend, Namespace};
use leasehold_memory::{Change, Changed, Fault, MemoryService, Operation, Removal};
use leasehold_testkit::history::{self, Recorder, What};
use tokio::sync::watch;

use crate::beliefs::Beliefs;
use crate::calls::{self, CallFault};
use crate::endings::Endings;
use crate::log::Log;
use crate::plan::Plan;
use crate::resource::Resource;

/// What the workers of all processes meet at.
pub(crate) struct World {
    pub(crate) plan: Arc<Plan>,
    pub(crate) service: MemoryService,
    pub(crate) clock: Clock,
    pub(crate) log: Arc<Log>,
    pub(crate) recorder: Recorder,
    pub(crate) beliefs: Arc<Beliefs>,
    pub(crate) endings: Arc<Endings>,
    resources: BTreeMap<String, Arc<Resource>>,
    pub(crate) calls: Arc<Calls>,
    /// Counts up whenever a worker gets on.
    pub(crate) progress: watch::Sender<u64>,
    values: AtomicU64,
    pub(crate) data_lost: AtomicBool,
    /// What counters, latches and onces of the run add up to.
    pub(crate) tallies: Mutex<Tallies>,
}

/// What has been done, and what may have been done, to the things that are counted.
#[derive(Debug, Default)]
pub(crate) struct Tallies {
    pub(crate) added: i64,
    pub(crate) perhaps_added: i64,
    pub(crate) counted_down: u64,
    pub(crate) perhaps_counted_down: u64,
    /// The occurrences that ran to their recorded end, with what was recorded.
    pub(crate) completed: BTreeMap<u64, Vec<u8>>,
    pub(crate) completed_here: BTreeMap<u64, usize>,
    /// How many are at the double barrier, and how often anybody began to enter.
    pub(crate) entering: u64,
}

impl World {
    pub(crate) fn new(plan: Arc<Plan>, keep_lines: bool) -> Arc<Self> {
        let service = MemoryService::with_tokio_time();
        let clock = service.backend().clock();
        let log = Arc::new(Log::new(clock.clone(), keep_lines));
        let recorder = Recorder::in_memory("world", clock.clone());
        let ttl = Duration::from_millis(plan.settings.ttl);
        let beliefs = Arc::new(Beliefs::new(clock.clone(), plan.breaks_locks(), ttl));
        let endings = Endings::new(Arc::clone(&log));
        let calls = Arc::new(Calls::new(&plan, &log));
        let fenced = plan.settings.fenced;
        let resources =
            queues().into_iter().map(|path| (path.to_string(), Arc::new(Resource::new(fenced)))).collect();
        service.on_call({
            let (calls, beliefs) = (Arc::clone(&calls), Arc::clone(&beliefs));
            move |call| {
                if let (Operation::Renew, Some(session)) = (call.operation, &call.session) {
                    beliefs.renews(session);
                }
                calls.decide(call)
            }
        });
        service.on_change({
            let (log, beliefs, tap) = (Arc::clone(&log), Arc::clone(&beliefs), recorder.process("service"));
            let (calls, endings) = (Arc::clone(&calls), Arc::clone(&endings));
            move |change| {
                endings.write_down();
                calls.applied(change);
                log.say(format_args!("{} {} {:?}", change.path, change.attempt, change.what));
                beliefs.changed(change, &log);
                tap.record(as_event(change));
            }
        });
        Arc::new(Self {
            plan,
            service,
            clock,
            log,
            recorder,
            beliefs,
            endings,
            resources,
            calls,
            progress: watch::Sender::new(0),
            values: AtomicU64::new(0),
            data_lost: AtomicBool::new(false),
            tallies: Mutex::default(),
        })
    }

    /// A value that nobody has written before.
    pub(crate) fn value(&self) -> u64 {
        self.values.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn resource(&self, path: &str) -> Arc<Resource> {
        Arc::clone(&self.resources[path])
    }

    pub(crate) fn resources(&self) -> &BTreeMap<String, Arc<Resource>> {
        &self.resources
    }

    pub(crate) fn tallies(&self) -> std::sync::MutexGuard<'_, Tallies> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a resource over a network of its own, in which requests can take long and are not recalled; the version that was overwritten.
    pub(crate) async fn write(
        self: &Arc<Self>,
        path: &str,
        token: FencingToken,
        (based_on, value): (u64, u64),
        takes: Duration,
    ) -> Result<u64, leasehold_core::fencing::Stale> {
        let (world, path) = (Arc::clone(self), path.to_owned());
        let letter = tokio::spawn(async move {
            tokio::time::sleep(takes).await;
            let overwritten = world.resource(&path).write(token, value)?;
            if overwritten != based_on {
                world.log.violated(
                    "S1",
                    format_args!("{path}: {token} wrote over version {overwritten}, having read {based_on}"),
                );
            }
            Ok(overwritten + 1)
        });
        letter.await.expect("the resource does not panic")
    }
}

/// The queue of a name of a kind.
pub(crate) fn path(kind: Kind, name: &str) -> KeyPath {
    KeyPath::new(&Namespace::default(), kind, name).expect("a sound name")
}

/// The queues that locks, and disturbances, are about.
pub(crate) fn queues() -> [KeyPath; 8] {
    [
        path(Kind::Lock, "m0"),
        path(Kind::Lock, "m1"),
        path(Kind::RwLock, "rw"),
        path(Kind::Semaphore, "s"),
        path(Kind::Election, "e"),
        path(Kind::Group, "g"),
        path(Kind::DoubleBarrier, "d"),
        path(Kind::OnceRun, "o"),
    ]
}

fn as_event(change: &Change) -> What {
    let (lock, entry) = (change.path.to_string(), change.attempt.to_string());
    match change.what {
        Changed::Created { order, mode, .. } => {
            What::EntryCreated { lock, entry, order, position: order, mode }
        }
        Changed::Mode(mode) => What::EntryChanged { lock, entry, mode },
        Changed::Removed(why) => What::EntryRemoved {
            lock,
            entry,
            why: match why {
                Removal::Withdrawn => history::Removal::Withdrawn,
                Removal::SessionEnded => history::Removal::Expired,
                _ => history::Removal::Forced,
            },
        },
        _ => unreachable!("there are no other changes"),
    }
}

/// Decides what becomes of each call.
pub(crate) struct Calls {
    plan: Arc<Plan>,
    log: Arc<Log>,
    healed: AtomicBool,
    inside: Mutex<CallsInside>,
}

#[derive(Default)]
struct CallsInside {
    /// The sessions whose next look is refused.
    compacted: BTreeSet<String>,
    /// The attempts of enqueues whose reply is lost.
    unanswered: BTreeSet<String>,
    /// The calls that something happened to.
    faulty: BTreeSet<u64>,
}

impl Calls {
    fn new(plan: &Arc<Plan>, log: &Arc<Log>) -> Self {
        let (plan, log) = (Arc::clone(plan), Arc::clone(log));
        Self { plan, log, healed: AtomicBool::new(false), inside: Mutex::default() }
    }

    /// From now on nothing goes wrong.
    pub(crate) fn heal(&self) {
        self.healed.store(true, Ordering::Relaxed);
    }

    /// The calls that something happened to.
    pub(crate) fn faulty(&self) -> BTreeSet<u64> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner).faulty.clone()
    }

    /// The service has done something.
    fn applied(&self, change: &Change) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(change.what, Changed::Created { .. })
            && inside.unanswered.remove(&change.attempt.to_string())
        {
            self.log.count("created_unanswered");
        }
    }

    fn decide(&self, call: &leasehold_memory::Call) -> Fault {
        let fault = self.fault(call);
        self.log.say(format_args!(
            "call {} {} session {} {} {}{}",
            call.nth,
            call.operation,
            call.session.as_deref().unwrap_or("-"),
            call.path.as_ref().map_or("-", KeyPath::as_str),
            call.attempt.map(|attempt| attempt.to_string()).unwrap_or_default(),
            fault.map(|(kind, fault)| format!(" {kind} {fault:?}")).unwrap_or_default(),
        ));
        self.log.count("calls");
        fault.map_or(Fault::None, |(_, fault)| fault)
    }

    fn fault(&self, call: &leasehold_memory::Call) -> Option<(CallFault, Fault)> {
        if self.healed.load(Ordering::Relaxed) {
            return None;
        }
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if call.operation == Operation::Contenders
            && call.session.as_ref().is_some_and(|session| inside.compacted.remove(session))
        {
            self.log.count("compacted_look");
            return Some((CallFault::Compacted, Fault::Refuse));
        }
        let plan = &self.plan;
        let (kind, fault) = calls::draw(&plan.calls, &plan.settings, plan.seed, call.nth, call.operation)?;
        inside.faulty.insert(call.nth);
        if let (CallFault::Compacted, Some(session)) = (kind, &call.session) {
            inside.compacted.insert(session.clone());
        }
        if let (CallFault::ReplyLost, Operation::Enqueue, Some(attempt)) =
            (kind, call.operation, &call.attempt)
        {
            inside.unanswered.insert(attempt.to_string());
        }
        self.log.fault(kind.name());
        Some((kind, fault))
    }
}

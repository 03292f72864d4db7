//! Runs a plan.
//!
//! # Implementation
//!
//! One runtime of one thread, on paused time, with seeded dice: which task is polled next, which branch of a `select!` and which waiter of a channel
//! come first follow from the seed. So does all that the world decides. Nothing else is asked: no clock, no operating system.
//!
//! A run has three parts. Until the horizon things go wrong. Then everything is healed, and the workers come to their ends: each within a bound of
//! the last one that got on (L2). At last the coordinators are shut down, and nothing may be left (L1).

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::PanicHookInfo;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Once};
use std::time::Duration;

use leasehold_testkit::history::{Event, What};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

use crate::disturbance::Disturbance;
use crate::judgement;
use crate::log::{Counts, Violation};
use crate::plan::{Millis, Plan};
use crate::process::{Life, Process};
use crate::step::Step;
use crate::worker::Actor;
use crate::world::{World, queues};

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The hash of the log.
    pub hash: u64,
    /// The log, if it was asked for.
    pub lines: Vec<String>,
    /// How often what happened.
    pub counts: Counts,
    /// How often what went wrong.
    pub faults: Counts,
    /// The promises that were not kept.
    pub violations: Vec<Violation>,
    /// What the processes did and the service said.
    pub history: Vec<Event>,
    /// The numbers of the calls that something happened to.
    pub faulty_calls: BTreeSet<u64>,
}

/// Runs a plan to its end.
///
/// # Panics
/// If this was built without `--cfg tokio_unstable`: then a seed does not decide what happens.
pub fn run(plan: &Plan, keep_lines: bool) -> Outcome {
    hear_of_panics();
    let runtime = runtime(plan.seed);
    let plan = Arc::new(plan.clone());
    let world = runtime.block_on(async {
        let world = World::new(plan, keep_lines);
        let processes = start(&world);
        play(&world, &processes).await;
        finish(&world, &processes).await;
        world
    });
    // Whoever died is still where it was.
    drop(runtime);
    for panic in PANICS.take() {
        world.log.violated("E1", format_args!("panicked: {panic}"));
    }
    let logged = world.log.take();
    let history = world.recorder.events();
    let judgement = judgement::judge(&world.plan, &history);
    let (mut violations, mut counts) = (logged.violations, logged.counts);
    violations.extend(judgement.violations);
    counts.extend(judgement.counts);
    counts.extend(Some(("stale_look", world.service.stale_looks())).filter(|(_, looks)| *looks > 0));
    Outcome {
        hash: logged.hash,
        lines: logged.lines,
        counts,
        faults: logged.faults,
        violations,
        history,
        faulty_calls: world.calls.faulty(),
    }
}

/// Whether a seed decides what happens.
pub const DETERMINISTIC: bool = cfg!(tokio_unstable);

pub(crate) fn runtime(seed: u64) -> Runtime {
    if !DETERMINISTIC {
        panic!(
            "built without --cfg tokio_unstable, which ci/simulation.sh sets: the dice of tokio have no seed"
        );
    }
    let mut builder = Builder::new_current_thread();
    builder.enable_time().start_paused(true);
    #[cfg(tokio_unstable)]
    builder.rng_seed(tokio::runtime::RngSeed::from_bytes(&seed.to_be_bytes()));
    let _ = seed;
    builder.build().expect("a runtime")
}

thread_local! {
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Has panics of simulated tasks, which their runtime catches, written down.
fn hear_of_panics() {
    static HEARING: Once = Once::new();
    HEARING.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            PANICS.with_borrow_mut(|panics| panics.push(info.to_string()));
            before(info);
        }));
    });
}

fn start(world: &Arc<World>) -> Vec<Arc<Process>> {
    let of = |process| world.plan.workers.iter().filter(move |worker| worker.process == process).count();
    let processes: Vec<_> = (0..world.plan.settings.processes)
        .map(|number| Arc::new(Process::new(world, number, of(number))))
        .collect();
    processes.iter().for_each(|process| set_to_work(world, process));
    // Somebody has to look at the clock of the service where all others are stopped.
    let service = world.service.clone();
    tokio::spawn(async move {
        loop {
            sleep(Duration::from_millis(250)).await;
            service.sessions();
        }
    });
    processes
}

/// Starts the workers of a process's present life.
fn set_to_work(world: &Arc<World>, process: &Arc<Process>) {
    let life = process.life();
    let of_process = |(_, worker): &(usize, &crate::plan::Worker)| worker.process == process.number;
    for (index, (number, _)) in world.plan.workers.iter().enumerate().filter(of_process).enumerate() {
        let (world, process, life) = (Arc::clone(world), Arc::clone(process), Arc::clone(&life));
        let gate = life.gates.gate();
        tokio::spawn(gate.pass(Actor { world, process, life, number, index }.run()));
    }
}

async fn play(world: &Arc<World>, processes: &[Arc<Process>]) {
    let (kind, target) = ("unruly".to_owned(), "all".to_owned());
    world.recorder.record(What::Fault { id: 0, kind, target, lasting: true });
    let mut now = 0;
    for drama in &world.plan.drama {
        sleep(Duration::from_millis(drama.at - now)).await;
        now = drama.at;
        world.log.say(format_args!("{:?}", drama.what));
        world.log.fault(drama.what.name());
        begin(world, processes, drama.what);
    }
    sleep(Duration::from_millis(world.plan.settings.horizon.saturating_sub(now))).await;
}

fn begin(world: &Arc<World>, processes: &[Arc<Process>], what: Disturbance) {
    let service = &world.service;
    let lasting = |process: usize, time: Millis, begin: fn(&Life), end: fn(&Life)| {
        let life = processes[process].life();
        begin(&life);
        tokio::spawn(async move {
            sleep(Duration::from_millis(time)).await;
            end(&life);
        });
    };
    match what {
        Disturbance::Pause { process, time } => pause(world, &processes[process].life(), time),
        Disturbance::Crash { process, back_after, wakes_after } => {
            crash(world, &processes[process], back_after, wakes_after);
        }
        Disturbance::ShutDown { process, grace, back_after } => {
            shut_down(world, &processes[process].life(), grace, Some(back_after));
        }
        Disturbance::Cut { process, time } => {
            lasting(process, time, |life| life.backend.cut(), |life| life.backend.heal());
        }
        Disturbance::CutReplies { process, time } => {
            lasting(process, time, |life| life.backend.cut_replies(), |life| life.backend.heal());
        }
        Disturbance::ServicePause { time } => {
            service.pause();
            let service = service.clone();
            tokio::spawn(async move {
                sleep(Duration::from_millis(time)).await;
                service.resume();
            });
        }
        Disturbance::Restart => service.restart(),
        Disturbance::LeaderChange { more } => {
            world.beliefs.leader_changed();
            service.change_leader(Duration::from_millis(more));
        }
        Disturbance::Expire { process } => {
            let coordinator = processes[process].life().peek();
            let session = coordinator.and_then(|coordinator| coordinator.status().borrow().session.clone());
            if session.is_some_and(|session| service.expire_session(&session)) {
                world.log.count("session_expired");
            }
        }
        Disturbance::RemoveEntry { queue, place } => {
            let path = &queues()[usize::try_from(queue).expect("small")];
            let entries = service.entries(path);
            if let Some(entry) = entries.get(usize::try_from(place).expect("small")) {
                service.remove_entry(path, entry.attempt);
                world.log.count("entry_was_there");
            }
        }
        Disturbance::RemoveQueue { queue } => {
            let path = &queues()[usize::try_from(queue).expect("small")];
            for entry in service.entries(path) {
                service.remove_entry(path, entry.attempt);
            }
        }
        Disturbance::LoseData => {
            world.data_lost.store(true, Ordering::Relaxed);
            service.restart_without_data();
        }
        Disturbance::Unrelayed { time } => {
            world.beliefs.service_lies();
            service.relay_renewals(false);
            let service = service.clone();
            tokio::spawn(async move {
                sleep(Duration::from_millis(time)).await;
                service.relay_renewals(true);
            });
        }
    }
}

fn pause(world: &Arc<World>, life: &Arc<Life>, time: Millis) {
    if life.is_dead() {
        return;
    }
    if life.gates.is_open() {
        world.recorder.record(What::Paused { whom: life.name.to_string() });
    }
    life.gates.shut();
    let (world, life) = (Arc::clone(world), Arc::clone(life));
    tokio::spawn(async move {
        sleep(Duration::from_millis(time)).await;
        wake(&world, &life);
    });
}

/// Takes one reason away why a process does not run.
fn wake(world: &World, life: &Life) {
    life.resumed(world.clock.now());
    life.gates.open();
    if life.gates.is_open() {
        world.log.say(format_args!("{} goes on", life.name));
        world.recorder.record(What::Resumed { whom: life.name.to_string() });
    }
}

fn crash(world: &Arc<World>, process: &Arc<Process>, back_after: Millis, wakes_after: Option<Millis>) {
    let life = process.life();
    if life.is_dead() {
        return;
    }
    let whom = life.name.to_string();
    match wakes_after {
        None => world.recorder.record(What::Killed { whom }),
        Some(_) if life.gates.is_open() => world.recorder.record(What::Paused { whom }),
        Some(_) => {}
    }
    life.die();
    let (world, process) = (Arc::clone(world), Arc::clone(process));
    tokio::spawn(async move {
        sleep(Duration::from_millis(back_after)).await;
        let ticket = life.kept();
        process.revive(&world);
        let successor = process.life();
        world.log.say(format_args!("{} is in the place of {}", successor.name, life.name));
        set_to_work(&world, &process);
        if let Some(ticket) = ticket {
            let (world, process) = (Arc::clone(&world), Arc::clone(&process));
            let gate = successor.gates.gate();
            let actor = Actor { world, process, life: successor, number: 0, index: 0 };
            tokio::spawn(gate.pass(actor.resume(ticket)));
        }
        let Some(wakes_after) = wakes_after else { return };
        sleep(Duration::from_millis(wakes_after)).await;
        wake(&world, &life);
        // It finds that it is not needed any more.
        let grace = world.plan.settings.ttl;
        shut_down(&world, &life, grace, None);
    });
}

/// Shuts a coordinator down, and opens another one some time later, if there is to be one.
fn shut_down(world: &Arc<World>, life: &Arc<Life>, grace: Millis, back_after: Option<Millis>) {
    let Some(coordinator) = life.disconnect() else { return };
    life.shutdowns.fetch_add(1, Ordering::Relaxed);
    let (world, life) = (Arc::clone(world), Arc::clone(life));
    let gate = life.gates.gate();
    tokio::spawn(gate.pass(async move {
        let done = coordinator.shutdown(Duration::from_millis(grace)).await;
        world.log.say(format_args!("{} has shut down: {done:?}", life.name));
        world.log.count(if done.is_ok() { "shut_down_in_time" } else { "shut_down_late" });
        drop(coordinator);
        if let Some(back_after) = back_after {
            sleep(Duration::from_millis(back_after)).await;
            life.connect(&world);
        }
    }));
}

/// The longest that anything takes that is not waited for by somebody else: a TTL of a dead process, prolonged by a leader, a hold, the answer of
/// a request.
fn bound(world: &World) -> Duration {
    let settings = &world.plan.settings;
    let longest_step = world.plan.workers.iter().flat_map(|worker| &worker.steps).map(Step::longest).max();
    Duration::from_millis(longest_step.unwrap_or(0) + settings.ttl * 8 + settings.request_timeout * 4 + 5000)
}

async fn finish(world: &Arc<World>, processes: &[Arc<Process>]) {
    world.log.say(format_args!("all is healed"));
    world.calls.heal();
    let busy = || processes.iter().flat_map(|process| process.busy()).collect::<Vec<_>>();
    let mut progress = world.progress.subscribe();
    while !busy().is_empty() {
        progress.mark_unchanged();
        if timeout(bound(world), progress.changed()).await.is_err() && !busy().is_empty() {
            world.log.violated("L2", format_args!("nobody has got on for {:?}: {:?}", bound(world), busy()));
            return;
        }
    }
    // The last pauses and cuts end by themselves.
    sleep(bound(world)).await;
    world.recorder.record(What::Healed { id: 0 });
    // What is left now would be there for as long as its session lives.
    for path in &queues() {
        let left: Vec<_> = world.service.entries(path).iter().map(|entry| entry.attempt).collect();
        if !left.is_empty() {
            world.log.violated("L1", format_args!("{path}: {left:?} are left, and nobody holds or waits"));
        }
    }
    if let Some(coordinator) = processes.first().and_then(|process| process.life().peek()) {
        Actor::check_counter(world, &coordinator).await;
    }
    for process in processes {
        let life = process.life();
        let Some(coordinator) = life.disconnect() else {
            world.log.violated("L2", format_args!("{} does not come back from its shutdown", life.name));
            continue;
        };
        if let Err(error) = coordinator.shutdown(Duration::from_secs(10)).await {
            world.log.violated("L1", format_args!("{}: {error}", life.name));
        }
    }
    sleep(bound(world)).await;
    check_quiescence(world);
}

fn check_quiescence(world: &World) {
    // Whoever died waits for ever.
    let nobody_died = !world.plan.drama.iter().any(|drama| matches!(drama.what, Disturbance::Crash { .. }));
    if nobody_died && !world.service.is_empty() {
        world.log.violated("L1", format_args!("a session, an entry or a watch is left"));
    }
    let mut left = world.service.keys("");
    let registers: BTreeSet<_> =
        world.service.registers().into_iter().map(|(path, _)| path.to_string()).collect();
    left.retain(|key| !registers.contains(key));
    left.extend(world.service.sessions().into_iter().map(|session| format!("session {session}")));
    if !left.is_empty() {
        world.log.violated("L1", format_args!("left: {left:?}"));
    }
    world.recorder.record(What::Quiescent { left });
    for (path, resource) in world.resources() {
        let content = resource.content();
        let (resource, version, value) = (path.clone(), content.version, content.value);
        world.recorder.record(What::Verdict { resource, version, value });
    }
}

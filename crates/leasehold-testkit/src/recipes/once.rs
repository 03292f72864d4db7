//! The conformance suite of what is done once.
//!
//! | case | what it proves |
//! |---|---|
//! | `one_of_many_runs_it` | many nodes and tasks: one runs, all get its result |
//! | `who_comes_late_finds_it_done` | a fast job does not run twice because a peer's clock is late |
//! | `occurrences_do_not_block_each_other`, `occurrences_completed_together_are_all_recorded` | occurrences of one name |
//! | `old_occurrences_are_forgotten` | retention; what is forgotten runs again; the newest stay |
//! | `a_try_does_not_wait` | `try_run` |
//! | `a_failure_passes_it_on`, `a_crash_passes_it_on`, `a_dropped_run_passes_it_on` | execution is at least once |
//! | `a_runner_that_lost_its_place_cannot_complete`, `a_paused_runner_cannot_complete` | completion is recorded at most once, and only by the runner |
//! | `waits_outlast_a_restart` | a restart of the service while one runs and others wait |
//! | `dropped_at_every_poll` | nothing is left in the way, and what was recorded stays so |
//! | `a_shutdown_waits_for_the_run` | the completion is recorded during a shutdown |
//! | `a_completion_over_lost_replies` | the record is found, or in doubt, but never made twice |
//! | `bad_names_and_results_are_refused` | typed errors, nothing left |

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use leasehold_core::{Completion, Coordinator, ErrorKind, Kind, Once, RegisterWrite};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::table;
use crate::contract::World;
use crate::polls::poll_times;
use crate::scene::{PATIENCE, Scene, not_yet, soon};

table! {
    one_of_many_runs_it {if conditional_writes}
    who_comes_late_finds_it_done {if conditional_writes}
    occurrences_do_not_block_each_other {if conditional_writes}
    occurrences_completed_together_are_all_recorded {if conditional_writes}
    old_occurrences_are_forgotten {if conditional_writes}
    a_try_does_not_wait {if conditional_writes}
    a_failure_passes_it_on {if conditional_writes}
    a_crash_passes_it_on {if conditional_writes}
    a_dropped_run_passes_it_on {if conditional_writes}
    a_runner_that_lost_its_place_cannot_complete {if conditional_writes}
    a_paused_runner_cannot_complete {if conditional_writes}
    waits_outlast_a_restart {if conditional_writes}
    dropped_at_every_poll {if conditional_writes}
    a_shutdown_waits_for_the_run {if conditional_writes}
    a_completion_over_lost_replies {if conditional_writes}
    bad_names_and_results_are_refused {if conditional_writes}
}

type Ran = Result<Completion, leasehold_core::Error>;

/// Runs work that cannot fail.
async fn run<R: Into<Bytes>>(once: &Once, work: impl Future<Output = R>) -> Ran {
    match once.run(|_held| async { Ok::<_, Infallible>(work.await) }).await? {
        Ok(completion) => Ok(completion),
        Err(never) => match never {},
    }
}

/// Runs something that must be done already.
async fn is_done(once: &Once) -> Completion {
    let done = run::<Bytes>(once, async { panic!("it is done already") });
    let done = soon("the result is handed over", done).await.expect("done");
    assert!(!done.ran_here());
    assert_eq!(once.completion().await.expect("read").as_ref(), Some(&done));
    done
}

/// Begins to run `billing`, and goes on when it is told to, with what it is told.
struct Runner {
    begun: oneshot::Receiver<leasehold_core::Held>,
    go_on: oneshot::Sender<&'static str>,
    running: tokio::task::JoinHandle<Ran>,
}

impl Runner {
    fn start(node: &Coordinator) -> Self {
        let once = node.once("billing");
        let (begun, beginning) = oneshot::channel();
        let (go_on, going_on) = oneshot::channel::<&str>();
        let running = tokio::spawn(async move {
            let ran = once.run(|held| async move {
                let _ = begun.send(held);
                Ok::<_, Infallible>(going_on.await.expect("the case goes on"))
            });
            ran.await.map(|ran| match ran {
                Ok(done) => done,
                Err(never) => match never {},
            })
        });
        Self { begun: beginning, go_on, running }
    }

    /// Waits until the work has begun.
    async fn begins(&mut self) -> leasehold_core::Held {
        soon("the work begins", &mut self.begun).await.expect("begun")
    }

    /// Lets the work end with this.
    async fn ends(self, with: &'static str) -> Ran {
        let _ = self.go_on.send(with);
        soon("the run ends", self.running).await.expect("no panic")
    }
}

async fn one_of_many_runs_it(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let nodes = [scene.node().await, scene.node().await, scene.direct_node().await];
    let runs = AtomicUsize::new(0);
    let all = nodes.iter().cycle().take(24).map(|node| {
        let (once, runs) = (node.once("billing"), &runs);
        async move {
            run(&once, async {
                runs.fetch_add(1, Ordering::SeqCst);
                sleep(Duration::from_millis(20)).await;
                "42 bills\n\0"
            })
            .await
            .expect("done")
        }
    });
    let done = soon("all have it", join_all(all)).await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(done.iter().filter(|done| done.ran_here()).count(), 1);
    assert!(done.iter().all(|each| each.result() == "42 bills\n\0"));
    assert!(done.iter().all(|each| each.completed_at() == done[0].completed_at()));
    for node in &nodes {
        node.shutdown(PATIENCE).await.expect("nothing is held");
    }
    scene.nothing_is_left().await;
}

async fn who_comes_late_finds_it_done(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.direct_node().await);
    let today = node.once("billing").occurrence("2026-11-23");
    assert_eq!(today.completion().await.expect("read"), None);
    assert!(today.wait_for(Duration::ZERO).await.expect("answered").is_none());
    let waiting = tokio::spawn({
        let theirs = other.once("billing").occurrence("2026-11-23");
        async move { theirs.wait().await }
    });
    let every_byte: Vec<u8> = (0..=255).collect();
    let done = run(&today, async { every_byte.clone() }).await.expect("done");
    assert!(done.ran_here());
    assert_eq!(done.result().as_ref(), every_byte);
    let waited = soon("the waiter is told", waiting).await.expect("no panic").expect("the wait ends well");
    // By the clock of the other node the day begins only now.
    let theirs = is_done(&other.once("billing").occurrence("2026-11-23")).await;
    assert_eq!((theirs.result(), theirs.completed_at()), (done.result(), done.completed_at()));
    assert_eq!(waited, theirs);
    let tried =
        today.try_run(|_held| async { Err::<Bytes, _>("it is done already") }).await.expect("answered");
    assert_eq!(tried, Some(Ok(theirs)));
    // Other occurrences and the thing itself are others.
    for other in
        [node.once("billing"), node.once("billing").occurrence("2026-11-24"), node.once("2026-11-23")]
    {
        assert!(run(&other, async { "" }).await.expect("done").ran_here());
        assert!(is_done(&other).await.result().is_empty());
    }
    scene.nothing_is_left().await;
}

async fn occurrences_do_not_block_each_other(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let job = node.once("billing");
    let (first, second) = (job.occurrence("1"), other.once("billing").occurrence("2"));
    let outer = run(&first, async {
        let inner = run(&second, async { "inner" });
        soon("another occurrence runs", inner).await.expect("done").result().clone()
    });
    let outer = soon("it runs", outer).await.expect("done");
    assert!(outer.ran_here());
    assert_eq!(outer.result(), "inner");
    assert_eq!(is_done(&job.occurrence("2")).await.result(), "inner");
}

async fn occurrences_completed_together_are_all_recorded(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let nodes = [scene.node().await, scene.direct_node().await];
    let names: Vec<_> = (0..12).map(|number| format!("occurrence/{number}")).collect();
    let barrier = tokio::sync::Barrier::new(names.len());
    let all = names.iter().zip(nodes.iter().cycle()).map(|(name, node)| {
        let (once, barrier) = (node.once("billing").occurrence(name), &barrier);
        async move {
            let work = async {
                barrier.wait().await;
                name.clone()
            };
            assert!(run(&once, work).await.expect("done").ran_here());
        }
    });
    soon("all are done", join_all(all)).await;
    for name in &names {
        assert_eq!(is_done(&nodes[0].once("billing").occurrence(name)).await.result(), name);
    }
}

async fn old_occurrences_are_forgotten(world: Arc<dyn World>) {
    const KEPT: usize = 10;
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let job = node.once("billing");
    run(&job, async { "for ever" }).await.expect("done");
    let remembering = |keep: Duration| {
        let job = job.clone();
        move |number: usize| job.occurrence(format!("{number:03}")).retention(keep)
    };
    let (long, short) = (remembering(Duration::from_secs(3600)), remembering(Duration::ZERO));
    for number in 0..15 {
        assert!(run(&long(number), async { "" }).await.expect("done").ran_here());
        // The times are in milliseconds, and who is newest has to be clear.
        sleep(Duration::from_millis(3)).await;
    }
    is_done(&long(0)).await;
    for number in 15..18 {
        assert!(run(&short(number), async { "" }).await.expect("done").ran_here());
        sleep(Duration::from_millis(3)).await;
    }
    // What the last one found and left is the newest ones, and itself.
    for number in (17 - KEPT)..18 {
        is_done(&long(number)).await;
    }
    for number in 0..17 - KEPT {
        assert_eq!(long(number).completion().await.expect("read"), None, "{number} is forgotten");
    }
    assert!(run(&long(0), async { "" }).await.expect("done").ran_here(), "and runs again");
    assert_eq!(is_done(&job).await.result(), "for ever");
}

async fn a_try_does_not_wait(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let mut runner = Runner::start(&node);
    runner.begins().await;
    for node in [&node, &other] {
        let once = node.once("billing");
        let tried = once.try_run(|_held| async { Err::<Bytes, _>("another one runs it") });
        assert_eq!(soon("an answer", tried).await.expect("answered"), None);
    }
    assert!(runner.ends("done").await.expect("done").ran_here());
    let once = other.once("billing");
    let tried = once.try_run(|_held| async { Err::<Bytes, _>("it is done") });
    let done = tried.await.expect("answered").expect("nobody runs it").expect("it is not run again");
    assert_eq!(done.result(), "done");
    let failed =
        other.once("other").try_run(|_held| async { Err::<Bytes, _>("no luck") }).await.expect("answered");
    assert_eq!(failed, Some(Err("no luck")));
    let ran =
        other.once("other").try_run(|_held| async { Ok::<_, Infallible>("luck") }).await.expect("answered");
    assert!(ran.expect("free").expect("it ran").ran_here());
    scene.nothing_is_left().await;
}

async fn a_failure_passes_it_on(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let (begun, beginning) = oneshot::channel();
    let (fail, failing) = oneshot::channel::<()>();
    let once = node.once("billing");
    let first = tokio::spawn(async move {
        once.run(|_held| async move {
            let _ = begun.send(());
            let _ = failing.await;
            Err::<Bytes, _>("no luck")
        })
        .await
    });
    soon("the work begins", beginning).await.expect("begun");
    let second = tokio::spawn({
        let once = other.once("billing");
        async move { run(&once, async { "second" }).await }
    });
    scene.observer().await.contenders_of(Kind::OnceRun, "billing/", 2).await;
    not_yet("the first one is at it", node.once("billing").wait()).await;
    assert!(!second.is_finished());
    fail.send(()).expect("it waits");
    assert_eq!(
        soon("the failure is told", first).await.expect("no panic").expect("answered"),
        Err("no luck")
    );
    let second = soon("the second runs", second).await.expect("no panic").expect("done");
    assert!(second.ran_here());
    assert_eq!(is_done(&node.once("billing")).await.result(), "second");
    scene.nothing_is_left().await;
}

async fn a_crash_passes_it_on(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (mut mortal, other) = (scene.mortal().await, scene.node().await);
    let mut runner = Runner::start(&mortal.coordinator);
    let held = runner.begins().await;
    let second = tokio::spawn({
        let once = other.once("billing");
        async move { once.run(|held| async move { Ok::<_, Infallible>(held.fencing_token().to_string()) }).await }
    });
    scene.observer().await.contenders_of(Kind::OnceRun, "billing/", 2).await;
    mortal.kill();
    let second = soon("the second runs", second).await.expect("no panic").expect("answered").expect("done");
    assert!(second.ran_here());
    assert!(*second.result() > held.fencing_token().to_string(), "under a higher token");
    // The dead one's work goes on as far as it can, and completes nothing.
    let error = runner.ends("first").await.expect_err("it is dead");
    assert!(matches!(error.kind(), ErrorKind::Lost | ErrorKind::DriverGone), "{error}");
    assert_eq!(is_done(&other.once("billing")).await.result(), second.result());
    scene.nothing_is_left().await;
}

async fn a_dropped_run_passes_it_on(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let mut runner = Runner::start(&node);
    let held = runner.begins().await;
    let mut second = Runner::start(&other);
    scene.observer().await.contenders_of(Kind::OnceRun, "billing/", 2).await;
    runner.running.abort();
    let next = second.begins().await;
    assert!(!held.is_held() && next.is_held() && next.fencing_token() > held.fencing_token());
    assert!(second.ends("second").await.expect("done").ran_here());
    scene.nothing_is_left().await;
}

async fn a_runner_that_lost_its_place_cannot_complete(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.direct_node().await);
    for (round, by) in ["hand", "its session's end"].into_iter().enumerate() {
        let (first, second) = (
            node.once("billing").occurrence(round.to_string()),
            other.once("billing").occurrence(round.to_string()),
        );
        let queue = scene.path_of(Kind::OnceRun, &format!("billing/{round}"));
        // The work ends in the moment in which the place is gone, whether or not the runner has heard of it.
        let lost = run(&first, async {
            match by {
                "hand" => world.remove_queue(&queue).await,
                _ => scene.expire(&node).await,
            }
            "first"
        });
        let error = soon("it is told", lost).await.expect_err("the place is lost");
        assert_eq!((error.kind(), error.name()), (ErrorKind::Lost, Some("billing")), "{error}");
        assert_eq!(second.completion().await.expect("read"), None, "nothing is recorded");
        assert!(soon("the second runs", run(&second, async { "second" })).await.expect("done").ran_here());
        assert_eq!(is_done(&first).await.result(), "second");
    }
}

/// Nothing of the runner's driver moves for longer than its session lasts; then it goes on as if nothing had happened.
async fn a_paused_runner_cannot_complete(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let builder = scene.builder().runtime(runtime.handle().clone());
    let node = soon("a session is opened", builder.connect()).await.expect("the service is reached");
    let other = scene.node().await;
    let mut runner = Runner::start(&node);
    let held = runner.begins().await;
    let (resume, paused) = std::sync::mpsc::channel::<()>();
    runtime.spawn(async move {
        // The runtime's only thread.
        let _ = paused.recv();
    });
    let second =
        soon("the second runs", run(&other.once("billing"), async { "second" })).await.expect("done");
    assert!(second.ran_here());
    assert!(!held.is_held(), "its own clock tells it");
    let ended = runner.ends("first");
    tokio::pin!(ended);
    if tokio::time::timeout(Duration::from_millis(50), &mut ended).await.is_ok_and(|ended| ended.is_ok()) {
        panic!("a paused runner has completed");
    }
    drop(resume);
    assert_eq!(is_done(&other.once("billing")).await.result(), "second");
    soon("the paused one finds it done", async {
        while node.once("billing").completion().await.ok().flatten().is_none() {}
    })
    .await;
    assert_eq!(is_done(&node.once("billing")).await.result(), "second");
    drop(node);
    runtime.shutdown_background();
}

async fn waits_outlast_a_restart(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let nodes = [scene.node().await, scene.node().await, scene.node().await];
    let mut runner = Runner::start(&nodes[0]);
    runner.begins().await;
    let insist = |node: &Coordinator| {
        let once = node.once("billing");
        // Who finds its own place lost, or does not know whether its completion was recorded, comes again.
        tokio::spawn(async move {
            loop {
                match run(&once, async { "another" }).await {
                    Ok(done) => return done,
                    Err(error) => assert!(
                        matches!(
                            error.kind(),
                            ErrorKind::Lost | ErrorKind::Unavailable | ErrorKind::Indeterminate
                        ),
                        "{error}"
                    ),
                }
            }
        })
    };
    let others = [insist(&nodes[1]), insist(&nodes[2])];
    let only_waiting = tokio::spawn({
        let once = nodes[1].once("billing");
        async move { once.wait().await }
    });
    scene.observer().await.contenders_of(Kind::OnceRun, "billing/", 3).await;
    world.restart().await;
    let first = runner.ends("first").await;
    let mut done = Vec::new();
    for other in others {
        done.push(soon("everybody has it", other).await.expect("no panic"));
    }
    done.push(soon("everybody has it", only_waiting).await.expect("no panic").expect("the wait ends well"));
    // A restart that takes longer than the TTL costs it its place; then it finds what another one has completed.
    done.extend(first);
    assert!(
        done.iter()
            .all(|each| each.result() == done[0].result() && each.completed_at() == done[0].completed_at())
    );
    assert!(done.iter().filter(|each| each.ran_here()).count() <= 1);
    for node in &nodes {
        node.shutdown(PATIENCE).await.expect("nothing is held");
    }
    scene.nothing_is_left().await;
}

async fn dropped_at_every_poll(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.direct_node().await);
    let pace = Duration::from_micros(300);
    for polls in 0.. {
        assert!(polls < 10_000, "nobody is in the way");
        let name = polls.to_string();
        let (mine, theirs) =
            (node.once("billing").occurrence(&name), other.once("billing").occurrence(&name));
        let finished = poll_times(run(&mine, async { "mine" }), polls, pace).await;
        let done = soon("nothing is in the way", run(&theirs, async { "theirs" })).await.expect("done");
        assert_eq!(done.result(), if done.ran_here() { "theirs" } else { "mine" });
        if let Some(mine) = finished {
            assert!(mine.expect("done").ran_here() && !done.ran_here());
            break;
        }
        sleep(pace * 10).await;
        assert_eq!(is_done(&mine).await.result(), done.result(), "what is recorded stays");
    }
    scene.nothing_is_left().await;
}

async fn a_shutdown_waits_for_the_run(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let once = node.once("billing");
    let (begun, beginning) = oneshot::channel();
    let running = tokio::spawn(async move {
        once.run(|held| async move {
            let _ = begun.send(());
            held.cancellation_token().cancelled().await;
            Ok::<_, Infallible>("brought to its end")
        })
        .await
    });
    soon("the work begins", beginning).await.expect("begun");
    soon("the shutdown waits", node.shutdown(PATIENCE)).await.expect("the work has ended");
    let done = running.await.expect("no panic").expect("recorded").expect("done");
    assert!(done.ran_here());
    assert_eq!(is_done(&other.once("billing")).await.result(), "brought to its end");
    let error = run(&node.once("next"), async { "" }).await.expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    scene.nothing_is_left().await;
}

async fn a_completion_over_lost_replies(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.direct_node().await);
    for round in 0..3 {
        let name = round.to_string();
        let (mine, theirs) =
            (node.once("billing").occurrence(&name), other.once("billing").occurrence(&name));
        let healing = async {
            sleep(world.ttl() / 10).await;
            world.heal().await;
        };
        let running = run(&mine, async {
            world.cut_replies().await;
            "mine"
        });
        let (ran, ()) = soon("it is answered", async { tokio::join!(running, healing) }).await;
        let done = soon("it is done", run(&theirs, async { "theirs" })).await.expect("done");
        match ran {
            Ok(mine) => assert!(mine.ran_here() && done.result() == "mine"),
            Err(error) => {
                assert!(
                    matches!(
                        error.kind(),
                        ErrorKind::Lost | ErrorKind::Unavailable | ErrorKind::Indeterminate
                    ),
                    "{error}"
                );
                let recorded = done.result() == "mine";
                assert!(
                    !recorded || error.kind() == ErrorKind::Indeterminate,
                    "recorded, and yet told: {error}"
                );
            }
        }
        assert_eq!(is_done(&mine).await.result(), done.result());
    }
}

async fn bad_names_and_results_are_refused(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, stranger) = (scene.node().await, scene.stranger().await);
    let long = "x".repeat(255);
    for once in [
        node.once(""),
        node.once("a\0"),
        node.once("x".repeat(256)),
        // It needs a byte for what it is joined with, and a slash counts for three.
        node.once(&long),
        node.once("/".repeat(85)),
        node.once("").occurrence("x"),
        node.once("a").occurrence(""),
        node.once("a").occurrence("\n"),
        node.once("a").occurrence(&long),
    ] {
        let error = run::<Bytes>(&once, async { panic!("it cannot run") }).await.expect_err("refused");
        assert_eq!((error.kind(), error.name()), (ErrorKind::InvalidName, Some(once.name())), "{error}");
        // Nobody can complete it, so nobody may wait for it.
        let error = once.wait_for(PATIENCE).await.expect_err("refused");
        assert_eq!((error.kind(), error.name()), (ErrorKind::InvalidName, Some(once.name())), "{error}");
    }
    let once = node.once("large");
    let error = run(&once, async { vec![0; Once::MAX_RESULT_BYTES + 1] }).await.expect_err("too large");
    assert_eq!((error.kind(), error.name()), (ErrorKind::TooLarge, Some("large")), "{error}");
    assert_eq!(once.completion().await.expect("read"), None, "nothing is recorded");
    let largest = run(&once, async { vec![0; Once::MAX_RESULT_BYTES] }).await.expect("done");
    assert!(largest.ran_here());
    for foreign in [&b"x"[..], b"leasehold/1 0:1\nx"] {
        let write = RegisterWrite { value: foreign.into(), if_version: None, if_held: None };
        stranger.write(&scene.path_of(Kind::Once, "foreign"), write).await.expect("written");
        let once = node.once("foreign");
        soon("it is seen", async { while once.completion().await.is_ok() {} }).await;
        for error in [
            run::<Bytes>(&once, async { panic!("it cannot run") }).await.expect_err("foreign"),
            once.wait().await.expect_err("foreign"),
        ] {
            assert_eq!((error.kind(), error.name()), (ErrorKind::Corrupt, Some("foreign")), "{error}");
        }
    }
    scene.nothing_is_left().await;
}

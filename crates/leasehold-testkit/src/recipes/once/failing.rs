//! Runs that do not come to their end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use leasehold_core::{ErrorKind, Kind};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::{Runner, is_done, run};
use crate::contract::World;
use crate::polls::poll_times;
use crate::scene::{Scene, not_yet, soon};

pub(super) async fn a_failure_passes_it_on(world: Arc<dyn World>) {
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

pub(super) async fn a_crash_passes_it_on(world: Arc<dyn World>) {
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

pub(super) async fn a_dropped_run_passes_it_on(world: Arc<dyn World>) {
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

pub(super) async fn a_runner_that_lost_its_place_cannot_complete(world: Arc<dyn World>) {
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
pub(super) async fn a_paused_runner_cannot_complete(world: Arc<dyn World>) {
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

pub(super) async fn dropped_at_every_poll(world: Arc<dyn World>) {
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

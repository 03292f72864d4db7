//! Who runs it, and what the others are told.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use leasehold_core::{ErrorKind, Kind, Once, RegisterWrite};
use tokio::time::sleep;

use super::{Runner, is_done, run};
use crate::contract::World;
use crate::scene::{PATIENCE, Scene, soon};

pub(super) async fn one_of_many_runs_it(world: Arc<dyn World>) {
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

pub(super) async fn who_comes_late_finds_it_done(world: Arc<dyn World>) {
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

pub(super) async fn a_try_does_not_wait(world: Arc<dyn World>) {
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

pub(super) async fn bad_names_and_results_are_refused(world: Arc<dyn World>) {
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

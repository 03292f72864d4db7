//! Writes that depend on a lock.

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{ErrorKind, Versioned};
use tokio::time::sleep;

use crate::contract::World;
use crate::scene::{PATIENCE, QUIET, Scene, soon};

pub(super) async fn a_write_depends_on_a_lock(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.direct_node().await);
    let register = node.register("one");
    let guard = node.mutex("one").lock().await.expect("locked");
    let version = register.write_held(&guard, "held").await.expect("written");
    let next = register
        .compare_and_set_held(&guard, version, "still held")
        .await
        .expect("answered")
        .expect("written");
    assert_eq!(register.compare_and_set_held(&guard, version, "stale").await.expect("answered"), None);
    let expected = Some(Versioned { value: "still held".into(), version: next });
    // `before`: what may be answered instead until the holder is told that it has lost.
    let refused = async |held: &leasehold_core::Held, before: &[ErrorKind]| {
        for write in 0..3 {
            let error = loop {
                let outcome = match write {
                    0 => register.write_held(held, "late").await.map(drop),
                    1 => register.compare_and_set_held(held, next, "late").await.map(drop),
                    _ => register.compare_and_set_held(held, 0, "late").await.map(drop),
                };
                let error = outcome.expect_err("lost");
                if !before.contains(&error.kind()) {
                    break error;
                }
            };
            assert_eq!((error.kind(), error.name()), (ErrorKind::Lost, Some("one")), "{error}");
            assert!(error.loss_reason().is_some(), "{error}");
        }
        assert_eq!(register.read().await.expect("read"), expected);
    };
    // Another coordinator's.
    let foreign = other.mutex("theirs").lock().await.expect("locked");
    let error = register.write_held(&foreign, "foreign").await.expect_err("foreign");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    assert_eq!(register.read().await.expect("read"), expected);
    // Removed by hand, whether or not the holder has heard of it.
    world.remove_queue(&scene.path("one")).await;
    refused(&guard, &[]).await;
    // Released.
    let guard = node.mutex("one").lock().await.expect("locked");
    let held = guard.held();
    guard.release().await.expect("released");
    refused(&held, &[]).await;
    // Its session has ended, whether or not the holder has heard of it. A service that closes the connection with the session leaves
    // what is under way just then in doubt.
    let guard = node.rw_lock("one").read().await.expect("locked");
    scene.expire(&node).await;
    refused(&guard, &[ErrorKind::Indeterminate]).await;
}

/// A holder writes as fast as it can, loses the lock at some moment, and another one holds and writes.
pub(super) async fn a_late_holder_writes_nothing(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.direct_node().await);
    for round in 0..5_u32 {
        let guard = node.mutex("one").lock().await.expect("locked");
        let (register, held) = (node.register("one"), guard.held());
        let writing = tokio::spawn(async move {
            loop {
                if let Err(error) = register.write_held(&held, "first").await {
                    return error;
                }
            }
        });
        let next = tokio::spawn({
            let mutex = other.mutex("one");
            async move { mutex.lock().await }
        });
        scene.observer().await.contenders("one", 2).await;
        sleep(Duration::from_millis(u64::from(round) * 3)).await;
        scene.expire(&node).await;
        let next = soon("the next is granted", next).await.expect("no panic").expect("locked");
        let version = other.register("one").write_held(&next, "second").await.expect("written");
        let error = soon("the first is refused", writing).await.expect("no panic");
        // A reply may be lost with the session; what was applied was applied before.
        assert!(matches!(error.kind(), ErrorKind::Lost | ErrorKind::Indeterminate), "{error}");
        sleep(QUIET / 10).await;
        let seen = other.register("one").read().await.expect("read");
        assert_eq!(seen, Some(Versioned { value: "second".into(), version }));
        next.release().await.expect("released");
    }
}

pub(super) async fn the_last_word_is_written_during_a_shutdown(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let guard = node.mutex("one").lock().await.expect("locked");
    let waiting = tokio::spawn({
        let register = node.register("two");
        async move { register.changed(0).await }
    });
    let working = tokio::spawn({
        let register = node.register("one");
        async move {
            guard.cancellation_token().cancelled().await;
            register.write_held(&guard, "last word").await.expect("written");
            let seen = register.read().await.expect("read");
            guard.release().await.expect("released");
            seen
        }
    });
    soon("the shutdown waits for the work", node.shutdown(PATIENCE)).await.expect("the work has ended");
    let seen = working.await.expect("no panic").expect("written");
    assert_eq!(seen.value, "last word");
    let error = waiting.await.expect("no panic").expect_err("a shutdown ends the waits");
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    let error = node.register("one").write("too late").await.expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    scene.nothing_is_left().await;
}

//! Sessions that end under readers and writers, and under those that wait.

use std::sync::Arc;

use leasehold_core::{Kind, LossReason};

use super::sharing::{granted, reading, writing};
use crate::contract::World;
use crate::recipes::common::Gauge;
use crate::scene::{PATIENCE, Scene, soon};

pub(super) async fn a_dead_reader_is_cleaned_up(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, observer) = (scene.node().await, scene.observer().await);
    let mut mortal = scene.mortal().await;
    let dead = mortal.coordinator.rw_lock("one").read().await.expect("locked");
    let alive = node.rw_lock("one").read().await.expect("locked");
    let writer = writing(node.rw_lock("one"));
    observer.contenders_of(Kind::RwLock, "one", 3).await;
    mortal.kill();
    assert_eq!(soon("the guard is told", dead.lost()).await, LossReason::DriverGone);
    alive.release().await.expect("released");
    let writer = granted("the service removes what the dead one held", writer).await;
    assert!(writer.fencing_token() > dead.fencing_token());
    writer.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn an_expired_session_is_granted_nothing(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let observer = scene.observer().await;
    let (holder, loser, later) = (scene.node().await, scene.node().await, scene.node().await);
    let held = holder.rw_lock("one").write().await.expect("locked");
    let reader = reading(loser.rw_lock("one"));
    observer.contenders_of(Kind::RwLock, "one", 2).await;
    let writer = writing(later.rw_lock("one"));
    observer.contenders_of(Kind::RwLock, "one", 3).await;
    let mut sessions = loser.status();
    let lost = sessions.borrow_and_update().session.clone();
    scene.expire(&loser).await;
    // It comes back at the queue's end, in its next session.
    soon("the next session", sessions.wait_for(|s| s.session.is_some() && s.session != lost))
        .await
        .expect("open");
    observer.contenders_of(Kind::RwLock, "one", 3).await;
    assert!(!reader.is_finished() && !writer.is_finished());
    held.release().await.expect("released");
    let writer = granted("the writer behind the lost reader is next", writer).await;
    assert!(!reader.is_finished(), "the lost session has cost its place");
    let token = writer.fencing_token();
    writer.release().await.expect("released");
    let reader = granted("the wait went on", reader).await;
    assert!(reader.is_held() && reader.fencing_token() > token);
    reader.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn a_lost_session_is_told_and_hands_over(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    let reader = node.rw_lock("one").read().await.expect("locked");
    let writer = writing(other.rw_lock("one"));
    observer.contenders_of(Kind::RwLock, "one", 2).await;
    scene.expire(&node).await;
    let writer = granted("the writer is next", writer).await;
    soon("the loss is told", reader.lost()).await;
    assert!(!reader.is_held() && writer.is_held());
    assert!(reader.release().await.expect_err("lost").is_lost());
    assert!(writer.is_held(), "a stale release leaves it alone");
    // The writer's session goes as well.
    let behind = reading(node.rw_lock("one"));
    observer.contenders_of(Kind::RwLock, "one", 2).await;
    scene.expire(&other).await;
    let behind = granted("the reader is next", behind).await;
    soon("the loss is told", writer.lost()).await;
    assert!(behind.fencing_token() > writer.fencing_token());
    assert!(writer.release().await.expect_err("lost").is_lost());
    behind.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn waiters_outlive_a_restart(world: Arc<dyn World>) {
    const ALL: u32 = 1_000;
    let scene = Scene::new(&world);
    let nodes = [scene.node().await, scene.node().await, scene.node().await];
    let gauge = Gauge::new(ALL);
    let held = nodes[0].rw_lock("one").write().await.expect("locked");
    let waiting: Vec<_> = (0..6)
        .map(|waiter| {
            let (lock, gauge) = (nodes[waiter % 3].rw_lock("one"), gauge.clone());
            tokio::spawn(async move {
                // The session may be lost to the restart; what must not be lost is the progress.
                if waiter % 2 == 0 {
                    let guard = lock.read().await.expect("locked");
                    drop(gauge.enter(&guard, 1));
                    let _ = guard.release().await;
                } else {
                    let guard = lock.write().await.expect("locked");
                    drop(gauge.enter(&guard, ALL));
                    let _ = guard.release().await;
                }
            })
        })
        .collect();
    scene.observer().await.contenders_of(Kind::RwLock, "one", 7).await;
    world.restart().await;
    let _ = held.release().await;
    for waiter in waiting {
        soon("every waiter is granted", waiter).await.expect("no panic");
    }
    let last = soon("free again", nodes[0].rw_lock("one").write()).await.expect("locked");
    last.release().await.expect("released");
    for node in &nodes {
        node.shutdown(PATIENCE).await.expect("nothing is held");
    }
    scene.nothing_is_left().await;
}

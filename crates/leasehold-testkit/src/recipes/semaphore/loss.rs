//! Sessions that end under holders and waiters, and services that go away.

use std::sync::Arc;

use leasehold_core::{ErrorKind, Kind, LossReason};

use super::sharing::{acquiring, granted};
use crate::contract::World;
use crate::recipes::common::{Gauge, still_waits};
use crate::scene::{PATIENCE, Scene, soon};

pub(super) async fn a_lost_session_returns_its_permits(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    let lost = [node.semaphore("one", 3).acquire().await, node.semaphore("one", 3).acquire().await];
    let lost = lost.map(|permit| permit.expect("acquired"));
    let kept = other.semaphore("one", 3).acquire().await.expect("acquired");
    let waiting = acquiring(other.semaphore("one", 3), 2);
    observer.contenders_of(Kind::Semaphore, "one", 4).await;
    scene.expire(&node).await;
    let waited = granted("both permits came back", waiting).await;
    assert!(kept.is_held() && waited.is_held());
    for permit in lost {
        soon("the loss is told", permit.lost()).await;
        assert!(!permit.is_held());
        assert!(permit.release().await.expect_err("lost").is_lost());
    }
    drop((kept, waited));
    scene.nothing_is_left().await;
}

pub(super) async fn a_dead_holder_returns_its_permits(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, observer) = (scene.node().await, scene.observer().await);
    let mut mortal = scene.mortal().await;
    let dead = mortal.coordinator.semaphore("one", 3).acquire_many(2).await.expect("acquired");
    let waiting = acquiring(node.semaphore("one", 3), 3);
    observer.contenders_of(Kind::Semaphore, "one", 2).await;
    mortal.kill();
    assert_eq!(soon("the holder is told", dead.lost()).await, LossReason::DriverGone);
    let all = granted("the service takes them back", waiting).await;
    assert!(all.fencing_token() > dead.fencing_token());
    all.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn a_waiters_lost_session_is_no_grant(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let observer = scene.observer().await;
    let (holder, loser, later) = (scene.node().await, scene.node().await, scene.node().await);
    let held = holder.semaphore("one", 2).acquire_many(2).await.expect("acquired");
    let losing = acquiring(loser.semaphore("one", 2), 1);
    observer.contenders_of(Kind::Semaphore, "one", 2).await;
    let behind = acquiring(later.semaphore("one", 2), 2);
    observer.contenders_of(Kind::Semaphore, "one", 3).await;
    let mut sessions = loser.status();
    let lost = sessions.borrow_and_update().session.clone();
    scene.expire(&loser).await;
    soon("the next session", sessions.wait_for(|s| s.session.is_some() && s.session != lost))
        .await
        .expect("open");
    observer.contenders_of(Kind::Semaphore, "one", 3).await;
    held.release().await.expect("released");
    let behind = granted("the one behind is next", behind).await;
    assert!(!losing.is_finished(), "the lost session has cost its place");
    behind.release().await.expect("released");
    let last = granted("the wait went on", losing).await;
    assert!(last.is_held());
    last.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn acquired_after_the_server_was_lost(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let semaphore = node.semaphore("one", 2);
    let held = semaphore.acquire().await.expect("acquired");
    world.cut().await;
    assert_eq!(soon("the local deadline", held.lost()).await, LossReason::DeadlinePassed);
    let during = semaphore.try_acquire_for(world.ttl() / 4).await.expect_err("nobody answers");
    assert_eq!(during.kind(), ErrorKind::Unavailable, "{during}");
    // Begun while there is no service.
    let waiting = acquiring(semaphore.clone(), 2);
    world.heal().await;
    let all = granted("in the next session", waiting).await;
    assert!(all.is_held() && all.fencing_token() > held.fencing_token());
    all.release().await.expect("released");
    assert!(held.release().await.expect_err("lost").is_lost());
    scene.nothing_is_left().await;
}

pub(super) async fn waiters_outlive_a_restart(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let nodes = [scene.node().await, scene.node().await, scene.node().await];
    let gauge = Gauge::new(3);
    let held = nodes[0].semaphore("one", 3).acquire_many(3).await.expect("acquired");
    let waiting: Vec<_> = (0..6)
        .map(|waiter| {
            let (semaphore, gauge) = (nodes[waiter % 3].semaphore("one", 3), gauge.clone());
            let count = 1 + waiter as u32 % 3;
            tokio::spawn(async move {
                let permit = semaphore.acquire_many(count).await.expect("acquired");
                drop(gauge.enter(&permit, count));
                // The session may be lost to the restart; what must not be lost is the progress.
                let _ = permit.release().await;
            })
        })
        .collect();
    scene.observer().await.contenders_of(Kind::Semaphore, "one", 7).await;
    world.restart().await;
    let _ = held.release().await;
    for waiter in waiting {
        soon("every waiter is granted", waiter).await.expect("no panic");
    }
    let all = soon("free again", nodes[0].semaphore("one", 3).acquire_many(3)).await.expect("acquired");
    all.release().await.expect("released");
    for node in &nodes {
        node.shutdown(PATIENCE).await.expect("nothing is held");
    }
    scene.nothing_is_left().await;
}

pub(super) async fn nothing_is_given_back_twice(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let (near, far) = (node.semaphore("one", 3), other.semaphore("one", 3));
    // Released, dropped and lost, by the same session.
    let lost = near.acquire().await.expect("acquired");
    let kept = far.acquire_many(2).await.expect("acquired");
    scene.expire(&node).await;
    soon("the loss is told", lost.lost()).await;
    let third = soon("the lost one came back", far.acquire()).await.expect("acquired");
    assert!(lost.release().await.expect_err("lost").is_lost());
    let mut waiting = acquiring(near.clone(), 1);
    still_waits("a lost permit was given back twice", &mut waiting).await;
    third.release().await.expect("released");
    let released = granted("given back once", waiting).await;
    released.release().await.expect("released");
    // A drop after the loss, and after a removal by hand.
    let dropped = near.acquire().await.expect("acquired");
    scene.expire(&node).await;
    soon("the loss is told", dropped.lost()).await;
    drop(dropped);
    let again = soon("one is free", near.acquire()).await.expect("acquired");
    assert!(far.try_acquire().await.expect("answered").is_none(), "and not two");
    assert!(kept.is_held() && again.is_held());
    kept.release().await.expect("released");
    assert!(far.try_acquire_many(3).await.expect("answered").is_none(), "two are free, and not three");
    drop(again);
    drop(soon("all are free", far.acquire_many(3)).await.expect("acquired"));
    scene.nothing_is_left().await;
}

//! Parties that die, give up, or lose their session.

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::ErrorKind;
use tokio::time::sleep;

use super::{KIND, all_leave, assert_peer_lost, done, entering, inside, leaving, nothing_is_left};
use crate::contract::World;
use crate::polls::poll_times;
use crate::scene::{PATIENCE, Scene, soon};

/// The parties that wait have looked since the last one came: who has never seen another one does not miss it.
async fn they_have_met(world: &Arc<dyn World>) {
    sleep(world.ttl() / 4).await;
}

pub(super) async fn a_party_that_dies_inside(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let mut mortal = scene.mortal().await;
    let [a, b, dead] = inside([&node, &other, &mortal.coordinator]).await;
    let early = leaving(a);
    mortal.kill();
    assert_peer_lost(done("the one that waits to be out", early).await);
    assert_peer_lost(done("and the one that works on", leaving(b)).await);
    assert!(!dead.is_held());
    drop(dead);
    let parties = inside([&node, &other, &node]).await;
    all_leave(parties).await;
    nothing_is_left(&scene).await;
}

pub(super) async fn a_party_that_dies_while_it_waits(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    let mut mortal = scene.mortal().await;
    let dead = entering(&mortal.coordinator, 4);
    observer.contenders_of(KIND, "one", 1).await;
    let waiting = [entering(&node, 4), entering(&other, 4)];
    observer.contenders_of(KIND, "one", 3).await;
    they_have_met(&world).await;
    mortal.kill();
    for party in waiting {
        assert_peer_lost(done("those that wait are told", party).await);
    }
    assert_eq!(dead.await.expect("no panic").expect_err("its driver is gone").kind(), ErrorKind::DriverGone);
    a_party_dies_before_its_round(&scene).await;
    // All of them at once, while the entries of before may still be there.
    let parties = inside([&node, &other, &node, &other]).await;
    all_leave(parties).await;
    nothing_is_left(&scene).await;
}

/// It waits for the end of a round that it is not in; the one beside it must not wait for it afterwards.
async fn a_party_dies_before_its_round(scene: &Scene) {
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    observer.contenders_of(KIND, "one", 0).await;
    let mut mortal = scene.mortal().await;
    let [a, b] = inside([&node, &other]).await;
    let dead = entering(&mortal.coordinator, 2);
    observer.contenders_of(KIND, "one", 3).await;
    let waits = entering(&node, 2);
    observer.contenders_of(KIND, "one", 4).await;
    they_have_met(&scene.world).await;
    mortal.kill();
    observer.contenders_of(KIND, "one", 3).await;
    assert!(!waits.is_finished(), "the round before is not over");
    all_leave([a, b]).await;
    assert_peer_lost(done("it is told", waits).await);
    assert_eq!(dead.await.expect("no panic").expect_err("its driver is gone").kind(), ErrorKind::DriverGone);
    observer.contenders_of(KIND, "one", 0).await;
}

pub(super) async fn a_party_that_gives_up(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    for _ in 0..3 {
        let (gives_up, waits) = (entering(&node, 3), entering(&other, 3));
        observer.contenders_of(KIND, "one", 2).await;
        they_have_met(&world).await;
        gives_up.abort();
        assert_peer_lost(done("the one that waits is told", waits).await);
        observer.contenders_of(KIND, "one", 0).await;
        // Out without a word.
        let [a, b] = inside([&node, &other]).await;
        drop(a);
        assert_peer_lost(done("the one that leaves is told", leaving(b)).await);
        // Out with a word, whoever waits for the answer.
        let [a, b] = inside([&node, &other]).await;
        assert!(poll_times(a.leave(), 1, Duration::ZERO).await.is_none(), "not before the other one");
        done("all are out", leaving(b)).await.expect("the other one has left");
        observer.contenders_of(KIND, "one", 0).await;
    }
    nothing_is_left(&scene).await;
}

pub(super) async fn all_die_inside(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let (mut first, mut second) = (scene.mortal().await, scene.mortal().await);
    let parties = inside([&first.coordinator, &second.coordinator]).await;
    first.kill();
    second.kill();
    // While the service still believes in the dead, and afterwards.
    let [a, b] = inside([&node, &node]).await;
    assert!(a.round() > parties[0].round());
    all_leave([a, b]).await;
    drop(parties);
    nothing_is_left(&scene).await;
}

pub(super) async fn its_own_loss_is_told(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    let (lost, waits) = (entering(&node, 3), entering(&other, 3));
    observer.contenders_of(KIND, "one", 2).await;
    they_have_met(&world).await;
    scene.expire(&node).await;
    let error = done("the loss is told", lost).await.expect_err("lost");
    assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
    assert!(error.loss_reason().is_some());
    assert_peer_lost(done("and to the other", waits).await);
    // Their entries count three parties as long as they are there.
    observer.contenders_of(KIND, "one", 0).await;
    let [a, b] = inside([&node, &other]).await;
    let held = a.held();
    scene.expire(&node).await;
    soon("the one inside is told", held.lost()).await;
    let error = done("an answer", leaving(a)).await.expect_err("lost");
    assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
    assert_peer_lost(done("and the other", leaving(b)).await);
    let parties = inside([&node, &other]).await;
    all_leave(parties).await;
    // A shutdown ends the wait.
    let waits = entering(&node, 2);
    observer.contenders_of(KIND, "one", 1).await;
    node.shutdown(PATIENCE).await.expect("nothing is held");
    assert_eq!(done("an answer", waits).await.expect_err("shut down").kind(), ErrorKind::Closed);
    nothing_is_left(&scene).await;
}

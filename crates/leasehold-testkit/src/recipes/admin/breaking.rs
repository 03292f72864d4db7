//! A lock that is taken away.

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{LossReason, Recipe, ReleaseError, Released};

use super::ids;
use crate::contract::World;
use crate::scene::{PATIENCE, Scene, soon};

pub(super) async fn a_live_holder_is_released_by_force(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, admin) = (scene.node().await, scene.node().await, scene.node().await);
    let guard = node.mutex("one").lock().await.expect("locked");
    let held = guard.held();
    let waiting = tokio::spawn(async move { other.mutex("one").lock().await });
    scene.observer().await.contenders("one", 2).await;
    let working = tokio::spawn(async move { (guard.while_held(std::future::pending::<()>()).await, guard) });
    // All the time that a loaded machine may need: it does not wait for it.
    let broken = admin.admin().grace(PATIENCE).force_release(Recipe::Mutex, "one", "a test").await;
    assert_eq!(broken.expect("broken"), Released::ByHolder);
    let (worked, guard) = soon("the work is dropped", working).await.expect("no panic");
    assert_eq!(worked.expect_err("lost").loss_reason(), Some(LossReason::ForceReleased));
    assert_eq!(soon("it is told", held.lost()).await, LossReason::ForceReleased);
    assert!(!held.is_held());
    let next = soon("the next is granted", waiting).await.expect("no panic").expect("locked");
    assert!(next.fencing_token() > held.fencing_token());
    let error = guard.release().await.expect_err("lost");
    assert_eq!(error.error().loss_reason(), Some(LossReason::ForceReleased));
    assert!(next.is_held() && next.fencing_token() > held.fencing_token());
    next.release().await.expect("released");
    let again = soon("its session lives", node.mutex("one").lock()).await.expect("locked");
    assert!(again.is_held());
    again.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn a_dead_holder_is_released_by_force(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, admin) = (scene.node().await, scene.node().await);
    let mut mortal = scene.mortal().await;
    let guard = mortal.coordinator.mutex("one").lock().await.expect("locked");
    let waiting = tokio::spawn(async move { node.mutex("one").lock().await });
    scene.observer().await.contenders("one", 2).await;
    let entry = ids(&admin, "one").await[0];
    mortal.kill();
    // By a grace that is much shorter than the TTL, so that it is not the service that frees it.
    let admin = admin.admin().grace(Duration::from_millis(50));
    let released = admin.force_release(Recipe::Mutex, "one", "a test").await.expect("broken");
    assert_eq!(released, Released::ByForce);
    let next = soon("the next is granted", waiting).await.expect("no panic").expect("locked");
    assert!(next.fencing_token() > guard.fencing_token());
    let again = admin.force_release_entry(Recipe::Mutex, "one", entry, "a test").await.expect("answered");
    assert_eq!(again, Released::WasFree, "its entry, not the next one's");
    assert!(next.is_held());
    next.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn a_cut_holder_is_released_by_force(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let cut = scene.node().await;
    let direct = async || scene.builder_over(world.direct()).connect().await.expect("the service is reached");
    let (node, admin) = (direct().await, direct().await);
    let guard = cut.mutex("one").lock().await.expect("locked");
    world.cut().await;
    let admin = admin.admin().grace(Duration::from_millis(50));
    let released = admin.force_release(Recipe::Mutex, "one", "a test").await.expect("broken");
    assert_eq!(released, Released::ByForce);
    let next = soon("the next is granted", node.mutex("one").lock()).await.expect("locked");
    assert!(
        next.fencing_token() > guard.fencing_token(),
        "which is what rejects the one that does not know yet"
    );
    world.heal().await;
    let reason = soon("it is told", guard.lost()).await;
    assert_ne!(reason, LossReason::Released);
    assert!(guard.release().await.expect_err("lost").is_lost());
    assert!(next.is_held(), "its late release is not the next one's");
    next.release().await.expect("released");
    let again = soon("it goes on", cut.mutex("one").lock()).await.expect("locked");
    again.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn force_races_the_release(world: Arc<dyn World>) {
    const ROUNDS: usize = 20;
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    let admin = scene.node().await.admin().grace(PATIENCE);
    let mut outcomes = Vec::new();
    for round in 0..ROUNDS {
        let guard = node.mutex("one").lock().await.expect("locked");
        let token = guard.fencing_token();
        let waiting = tokio::spawn({
            let mutex = other.mutex("one");
            async move { mutex.lock().await }
        });
        observer.contenders("one", 2).await;
        let entry = ids(&node, "one").await[0];
        // Now one, now the other has a start.
        let head_start = Duration::from_micros(100 * round as u64);
        let by_entry = admin.force_release_entry(Recipe::Mutex, "one", entry, "a test");
        let released = async {
            if round % 2 == 0 {
                tokio::time::sleep(head_start).await;
            }
            guard.release().await
        };
        let broken = async {
            if round % 2 == 1 {
                tokio::time::sleep(head_start).await;
            }
            by_entry.await
        };
        let (released, broken) = soon("both end", async { futures::join!(released, broken) }).await;
        let broken = broken.expect("answered");
        // Removed by force is only what nobody gives up, and here somebody does.
        assert_ne!(broken, Released::ByForce, "round {round}");
        match &released {
            Ok(()) => {}
            Err(ReleaseError::Lost(error)) => {
                assert_eq!(error.loss_reason(), Some(LossReason::ForceReleased), "round {round}");
            }
            Err(error) => panic!("round {round}: {error}"),
        }
        outcomes.push((released.is_ok(), broken));
        let next = soon("the next is granted", waiting).await.expect("no panic").expect("locked");
        assert!(next.fencing_token() > token);
        let listed = other.mutex("one").contenders().await.expect("listed");
        let details = listed[0].details.as_ref().expect("of our making");
        assert_eq!((listed.len(), &details.released_by_force), (1, &None), "round {round}");
        assert!(next.is_held(), "round {round}: the next one is not touched");
        next.release().await.expect("still its own to release");
    }
    assert!(!outcomes.is_empty());
    scene.nothing_is_left().await;
}

pub(super) async fn a_waiter_is_removed_and_queues_again(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, observer) = (scene.node().await, scene.observer().await);
    let nodes = [scene.node().await, scene.node().await];
    let held = node.mutex("one").lock().await.expect("locked");
    let mut waiting = Vec::new();
    for (place, node) in nodes.iter().enumerate() {
        let mutex = node.mutex("one");
        waiting.push(tokio::spawn(async move { mutex.lock().await }));
        observer.contenders("one", place + 2).await;
    }
    let before = ids(&node, "one").await;
    let removed = before[1];
    let released = node.admin().force_release_entry(Recipe::Mutex, "one", removed, "a test").await;
    assert_eq!(released.expect("removed"), Released::ByForce);
    let after = soon("it queues again", async {
        loop {
            let now = ids(&node, "one").await;
            if now.len() == 3 {
                return now;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(after[..2], [before[0], before[2]], "the others stay in their places");
    assert!(!before.contains(&after[2]), "as a new entry, at the end");
    assert!(held.is_held());
    held.release().await.expect("released");
    let [first, second] = <[_; 2]>::try_from(waiting).expect("two");
    let next = soon("the other is next", second).await.expect("no panic").expect("locked");
    assert!(!first.is_finished());
    next.release().await.expect("released");
    let last = soon("then the one that was removed", first).await.expect("no panic").expect("locked");
    last.release().await.expect("released");
    scene.nothing_is_left().await;
}

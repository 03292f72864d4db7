//! Networks that are cut, services that restart, replies that are lost, data of strangers.

use std::time::Duration;

use leasehold_core::{ErrorKind, LossReason, State};
use tokio::time::{Instant, sleep};

use super::arena::{Arena, Scene};
use crate::scene::{PATIENCE, Record, soon};

pub(super) async fn a_short_cut_while_waiting(world: Arena) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let held = node.mutex("one").lock().await.expect("locked");
    let waiting = tokio::spawn(async move { other.mutex("one").lock().await });
    scene.observer().await.contenders("one", 2).await;
    world.cut().await;
    sleep(world.ttl() / 8).await;
    world.heal().await;
    assert!(held.is_held(), "shorter than the TTL");
    held.release().await.expect("released");
    let next = soon("the wait survived", waiting).await.expect("no panic").expect("locked");
    next.release().await.expect("released");
    scene.nothing_is_left().await;
}

/// Who comes while the session is in doubt is served when it is not any more.
pub(super) async fn asked_for_during_a_cut(world: Arena) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let mut status = node.status();
    world.cut().await;
    soon("the trouble is noticed", status.wait_for(|status| status.state != State::Live))
        .await
        .expect("told");
    let mutex = node.mutex("one");
    let locking = tokio::spawn(async move { mutex.lock().await });
    let tried = node.mutex("two").try_lock_for(world.ttl() / 20).await.expect_err("nobody answers");
    assert_eq!(tried.kind(), ErrorKind::Unavailable, "{tried}");
    assert!(!locking.is_finished());
    world.heal().await;
    let guard = soon("granted after the cut", locking).await.expect("no panic").expect("locked");
    guard.release().await.expect("released");
    // A session that was lost in the cut goes by itself.
    scene.nothing_is_left_of(&node).await;
}

pub(super) async fn a_long_cut_loses_and_recovers(world: Arena) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let held = node.mutex("one").lock().await.expect("locked");
    let waiting = tokio::spawn(async move { other.mutex("one").lock().await });
    scene.observer().await.contenders("one", 2).await;
    world.cut().await;
    assert_eq!(soon("the local deadline", held.lost()).await, LossReason::DeadlinePassed);
    let during = node.mutex("two").try_lock_for(world.ttl() / 4).await.expect_err("nobody answers");
    assert_eq!(during.kind(), ErrorKind::Unavailable, "{during}");
    world.heal().await;
    let next =
        soon("the waiter goes on in its next session", waiting).await.expect("no panic").expect("locked");
    assert!(next.is_held() && next.fencing_token() > held.fencing_token());
    next.release().await.expect("released");
    let again = soon("so does the holder's coordinator", node.mutex("one").lock()).await.expect("locked");
    again.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn a_restart_while_waiting(world: Arena) {
    let scene = Scene::new(&world);
    let nodes = [scene.node().await, scene.node().await, scene.node().await];
    let record = Record::default();
    let held = nodes[0].mutex("one").lock().await.expect("locked");
    let waiting: Vec<_> = nodes[1..]
        .iter()
        .map(|node| {
            let (mutex, record) = (node.mutex("one"), record.clone());
            tokio::spawn(async move {
                let guard = mutex.lock().await.expect("locked");
                record.tenure(&guard).await;
                // The session may be lost to the restart; what must not be lost is the progress.
                let _ = guard.release().await;
            })
        })
        .collect();
    scene.observer().await.contenders("one", 3).await;
    world.restart().await;
    let _ = held.release().await;
    for waiter in waiting {
        soon("every waiter is granted", waiter).await.expect("no panic");
    }
    let last = soon("free again", nodes[0].mutex("one").lock()).await.expect("locked");
    last.release().await.expect("released");
    for node in &nodes {
        node.shutdown(PATIENCE).await.expect("nothing is held");
    }
    scene.nothing_is_left().await;
}

pub(super) async fn a_release_into_a_cut(world: Arena) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let guard = node.mutex("one").lock().await.expect("locked");
    let dropped = node.mutex("two").lock().await.expect("locked");
    world.cut().await;
    drop(dropped);
    let error =
        soon("an answer within the request time-out", guard.release()).await.expect_err("nobody confirms");
    assert!(!error.is_lost(), "it was held when it was released: {error}");
    world.heal().await;
    // Removed by the reaper, or with the session.
    scene.nothing_is_left().await;
    let again = soon("free", node.mutex("one").lock()).await.expect("locked");
    again.release().await.expect("released");
}

pub(super) async fn an_enqueue_whose_reply_is_lost(world: Arena) {
    let scene = Scene::new(&world);
    let (node, observer) = (scene.node().await, scene.observer().await);
    scene.warm_up("one").await;
    world.cut_replies().await;
    let mutex = node.mutex("one");
    let locking = tokio::spawn(async move { mutex.lock().await });
    entries_appear(&scene).await;
    world.heal().await;
    let guard = soon("granted", locking).await.expect("no panic").expect("locked");
    observer.contenders("one", 1).await;
    assert!(guard.is_held());
    guard.release().await.expect("released");
    observer.contenders("one", 0).await;
    // Nor does anything come after it.
    sleep(world.ttl() / 4).await;
    observer.contenders("one", 0).await;
    scene.nothing_is_left_of(&node).await;
}

pub(super) async fn a_cancelled_enqueue_whose_reply_is_lost(world: Arena) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    scene.warm_up("one").await;
    world.cut_replies().await;
    let mutex = node.mutex("one");
    let locking = tokio::spawn(async move { mutex.lock().await });
    entries_appear(&scene).await;
    locking.abort();
    world.heal().await;
    let other = scene.node().await;
    let free = soon("no ghost is in the way", other.mutex("one").lock()).await.expect("locked");
    free.release().await.expect("released");
    scene.observer().await.contenders("one", 0).await;
    scene.nothing_is_left_of(&node).await;
}

pub(super) async fn a_ghost_of_a_lost_session_is_not_adopted(world: Arena) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let session = node.status().borrow().session.clone();
    scene.warm_up("one").await;
    world.cut_replies().await;
    let mutex = node.mutex("one");
    let locking = tokio::spawn(async move { mutex.lock().await });
    entries_appear(&scene).await;
    scene.expire(&node).await;
    world.heal().await;
    let guard = soon("granted", locking).await.expect("no panic").expect("locked");
    assert_ne!(node.status().borrow().session, session, "the entry is one of the next session");
    // Held for longer than the old session could have lasted.
    sleep(world.ttl() + world.ttl() / 4).await;
    assert!(guard.is_held());
    guard.release().await.expect("released");
    scene.nothing_is_left_of(&node).await;
}

pub(super) async fn data_of_strangers_is_ignored(world: Arena) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    world.plant_foreign(&scene.path("one")).await;
    let planted = scene.listing().await;
    let tried = node.mutex("one").try_lock().await.expect("answered").expect("strangers do not hold it");
    tried.release().await.expect("released");
    let record = Record::default();
    let work = async |mutex: super::exclusive::Lock| {
        for _ in 0..5 {
            let guard = mutex.lock().await.expect("locked");
            record.tenure(&guard).await;
            guard.release().await.expect("released");
        }
    };
    soon("all have held", async { tokio::join!(work(node.mutex("one")), work(other.mutex("one"))) }).await;
    assert_eq!(record.tenures(), 10);
    assert_eq!(scene.listing().await, planted, "and are left alone");
}

pub(super) async fn a_queue_removed_while_waiting(world: Arena) {
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    let held = node.mutex("one").lock().await.expect("locked");
    let waiting = tokio::spawn(async move { other.mutex("one").lock().await });
    observer.contenders("one", 2).await;
    world.remove_queue(&scene.path("one")).await;
    assert_eq!(soon("the holder is told", held.lost()).await, LossReason::EntryRemoved);
    let mut next = soon("the waiter queues again", waiting).await.expect("no panic").expect("locked");
    // Where the removal is no transaction, it may have taken the new entry too; then that is told, and the next one stays.
    if tokio::time::timeout(world.ttl() / 4, next.lost()).await.is_ok() {
        next = soon("it queues again", node.mutex("one").lock()).await.expect("locked");
    }
    assert!(next.fencing_token() > held.fencing_token());
    assert!(held.release().await.expect_err("lost").is_lost());
    assert!(next.is_held(), "the old holder's release is not its own");
    next.release().await.expect("released");
    scene.nothing_is_left().await;
}

/// Waits until the service keeps an entry, which only an independent client can see at that time.
async fn entries_appear(scene: &Scene) {
    let deadline = Instant::now() + PATIENCE;
    while scene.listing().await.is_empty() {
        assert!(Instant::now() < deadline, "the request does not arrive");
        sleep(Duration::from_millis(2)).await;
    }
}

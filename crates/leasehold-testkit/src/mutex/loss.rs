//! Locks that go away under their holders, and what the holders are told.

use std::time::Instant;

use leasehold_core::{ErrorKind, LossReason, ReleaseError};

use super::arena::{Arena, Node, Scene};
use crate::scene::{QUIET, soon};

pub(super) async fn a_lost_session_is_told_and_hands_over(world: Arena) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let guard = node.mutex("one").lock().await.expect("locked");
    let stop = guard.cancellation_token();
    let waiting = tokio::spawn(async move { other.mutex("one").lock().await });
    scene.observer().await.contenders("one", 2).await;
    scene.expire(&node).await;
    let next = soon("the next is granted", waiting).await.expect("no panic").expect("locked");
    let reason = soon("the loss is told", guard.lost()).await;
    // Whichever is noticed first: the end of the session, or that of the entry that went with it.
    let reasons = [LossReason::SessionEnded, LossReason::EntryRemoved, LossReason::DeadlinePassed];
    assert!(reasons.contains(&reason), "{reason:?}");
    assert!(!guard.is_held() && stop.is_cancelled());
    assert!(next.fencing_token() > guard.fencing_token());
    assert!(next.is_held());
}

pub(super) async fn a_lost_guard_says_so_for_ever(world: Arena) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let guard = node.mutex("one").lock().await.expect("locked");
    scene.expire(&node).await;
    soon("the loss is told", guard.lost()).await;
    // Also after the coordinator has its next session.
    drop(soon("a session follows", node.mutex("two").lock()).await.expect("locked"));
    assert!(!guard.is_held());
    let worked = guard.while_held(async { panic!("no work is begun under a lost lock") }).await;
    assert_eq!(worked.expect_err("lost").kind(), ErrorKind::Lost);
    soon("it is told at once the second time", guard.lost()).await;
    let error = guard.release().await.expect_err("lost");
    assert!(error.is_lost(), "{error}");
    assert_eq!((error.error().name(), error.error().backend()), (Some("one"), Some(world.service())));
}

pub(super) async fn a_stale_release_harms_nobody(world: Arena) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let stale = node.mutex("one").lock().await.expect("locked");
    scene.expire(&node).await;
    let fresh = soon("the next is granted", other.mutex("one").lock()).await.expect("locked");
    // How many there are, and not what they are called: where a grant is announced, that may still be under way.
    let before = scene.listing().await.len();
    assert!(matches!(stale.release().await, Err(ReleaseError::Lost(_))));
    let third = soon("a session follows", node.mutex("one").try_lock()).await.expect("answered");
    assert!(third.is_none(), "the second still holds");
    assert_eq!(scene.listing().await.len(), before);
    assert!(fresh.is_held());
    fresh.release().await.expect("still its own to release");
}

pub(super) async fn an_entry_removed_by_hand_is_told_at_once(world: Arena) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let guard = node.mutex("one").lock().await.expect("locked");
    let work = tokio::spawn(async move { (guard.while_held(std::future::pending::<()>()).await, guard) });
    // Removed again and again until the watch, which is armed some time after the grant, has seen one.
    scene.observer().await.contenders("one", 1).await;
    world.remove_queue(&scene.path("one")).await;
    let removed = Instant::now();
    let (outcome, guard) = soon("the work is ended", work).await.expect("no panic");
    let error = outcome.expect_err("lost");
    assert_eq!(error.loss_reason(), Some(LossReason::EntryRemoved));
    assert!(removed.elapsed() < world.ttl(), "told by a watch, not by a time-out: {:?}", removed.elapsed());
    assert!(guard.release().await.expect_err("lost").is_lost());
    let again = soon("the session lives", node.mutex("one").lock()).await.expect("locked");
    again.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn a_waiters_lost_session_is_no_grant(world: Arena) {
    let scene = Scene::new(&world);
    let observer = scene.observer().await;
    let (holder, loser, later) = (scene.node().await, scene.node().await, scene.node().await);
    let held = holder.mutex("one").lock().await.expect("locked");
    let losing = tokio::spawn({
        let mutex = loser.mutex("one");
        async move { mutex.lock().await }
    });
    observer.contenders("one", 2).await;
    let behind = tokio::spawn(async move { later.mutex("one").lock().await });
    observer.contenders("one", 3).await;
    let mut sessions = loser.status();
    let lost = sessions.borrow_and_update().session.clone();
    scene.expire(&loser).await;
    // It comes back at the queue's end, in its next session.
    soon("the next session", sessions.wait_for(|s| s.session.is_some() && s.session != lost))
        .await
        .expect("open");
    observer.contenders("one", 3).await;
    assert!(!losing.is_finished() && !behind.is_finished(), "nobody is granted while the holder holds");
    held.release().await.expect("released");
    let second = soon("the one behind is next", behind).await.expect("no panic").expect("locked");
    assert!(!losing.is_finished(), "the lost session has cost its place");
    second.release().await.expect("released");
    let last = soon("the wait went on", losing).await.expect("no panic").expect("locked");
    assert!(last.is_held());
    last.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn a_cut_holder_is_told_before_the_lock_is_given_away(world: Arena) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let guard = node.mutex("one").lock().await.expect("locked");
    let held = guard.held();
    world.cut().await;
    let cut = Instant::now();
    let reason = soon("the local deadline", held.lost()).await;
    assert_eq!(reason, LossReason::DeadlinePassed);
    assert!(cut.elapsed() < world.ttl() + QUIET, "by the TTL: {:?}", cut.elapsed());
    let listing = scene.listing().await;
    assert_eq!(listing.len(), 1, "the service still keeps the entry when the holder gives up: {listing:?}");
    assert!(guard.release().await.expect_err("lost").is_lost());
    world.heal().await;
    let again = soon("the next session", node.mutex("one").lock()).await.expect("locked");
    again.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn a_dead_holder_frees_its_lock(world: Arena) {
    let scene = Scene::new(&world);
    let mut mortal = scene.mortal().await;
    let guard = mortal.coordinator.mutex("one").lock().await.expect("locked");
    mortal.kill();
    assert_eq!(soon("the guard is told", guard.lost()).await, LossReason::DriverGone);
    assert!(!guard.is_held());
    let error = mortal.coordinator.mutex("two").lock().await.expect_err("nothing drives it");
    assert_eq!(error.kind(), ErrorKind::DriverGone);
    let node = scene.node().await;
    let next = soon("the service frees it", node.mutex("one").lock()).await.expect("locked");
    assert!(next.fencing_token() > guard.fencing_token());
    // Neither of these may panic or wait.
    drop(guard);
    drop(mortal);
    next.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn a_dead_waiter_does_not_stall_the_queue(world: Arena) {
    let scene = Scene::new(&world);
    let (node, observer) = (scene.node().await, scene.observer().await);
    let mut mortal = scene.mortal().await;
    let held = node.mutex("one").lock().await.expect("locked");
    let dead = tokio::spawn({
        let mutex = mortal.coordinator.mutex("one");
        async move { mutex.lock().await }
    });
    observer.contenders("one", 2).await;
    let mutex = node.mutex("one");
    let behind = tokio::spawn(async move { mutex.lock().await });
    observer.contenders("one", 3).await;
    mortal.kill();
    assert_eq!(dead.await.expect("no panic").expect_err("its driver is gone").kind(), ErrorKind::DriverGone);
    held.release().await.expect("released");
    let next =
        soon("granted when the dead one's session ends", behind).await.expect("no panic").expect("locked");
    next.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn a_holder_outlives_many_ttls(world: Arena) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let guard = node.mutex("one").lock().await.expect("locked");
    let lost = tokio::time::timeout(world.ttl() * 3, guard.lost()).await;
    assert!(lost.is_err(), "renewed all the time, and yet {lost:?}");
    guard.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn a_blocked_application_keeps_its_locks(world: Arena) {
    let scene = Scene::new(&world);
    let (namespace_builder, ttl, exclusive) = (scene.builder(), world.ttl(), scene.exclusive());
    let other = scene.node().await;
    // An application that blocks the only thread of its runtime.
    let application = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let node = namespace_builder.connect().await.expect("the service is reached");
            let node = Node::new(node, exclusive);
            let guard = node.mutex("one").lock().await.expect("locked");
            std::thread::sleep(ttl * 3);
            let held = guard.is_held();
            guard.release().await.expect("released by the one who held it all the time");
            held
        })
    });
    let observer = scene.observer().await;
    observer.contenders("one", 1).await;
    let next = soon("granted after the release", other.mutex("one").lock()).await.expect("locked");
    let held =
        tokio::task::spawn_blocking(move || application.join()).await.expect("joined").expect("no panic");
    assert!(held, "the lock was lost while the application was blocked");
    next.release().await.expect("released");
    scene.nothing_is_left().await;
}

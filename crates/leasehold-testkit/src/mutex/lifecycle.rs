//! Coordinators from the first connection to the shutdown.

use std::time::Duration;

use leasehold_core::{ErrorKind, LossReason, State};

use super::arena::{Arena, Scene};
use crate::scene::soon;

pub(super) async fn a_shutdown_waits_for_the_work_and_hands_over(world: Arena) {
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    let (begun, beginning) = tokio::sync::oneshot::channel();
    let mutex = node.mutex("one");
    let working = tokio::spawn(async move {
        let work = |held: leasehold_core::Held| async move {
            begun.send(()).expect("the case listens");
            held.cancellation_token().cancelled().await;
            // Asked to stop, and still entitled to bring the work to its end.
            tokio::time::sleep(Duration::from_millis(50)).await;
            held.is_held()
        };
        mutex.with(work).await
    });
    soon("the work begins", beginning).await.expect("begun");
    let waiting = tokio::spawn({
        let mutex = node.mutex("one");
        async move { mutex.lock().await }
    });
    observer.contenders("one", 2).await;
    let next = tokio::spawn(async move { other.mutex("one").lock().await });
    observer.contenders("one", 3).await;
    soon("the shutdown ends", node.shutdown(Duration::from_secs(20)))
        .await
        .expect("everything ended in time");
    let next =
        soon("handed over without waiting for the TTL", next).await.expect("no panic").expect("locked");
    assert!(working.await.expect("no panic").expect("not lost"), "held to the end of the work");
    assert_eq!(waiting.await.expect("no panic").expect_err("shut down").kind(), ErrorKind::Closed);
    let refused = node.mutex("two").lock().await.expect_err("shut down");
    assert_eq!((refused.kind(), refused.name()), (ErrorKind::Closed, Some("two")));
    assert_eq!(node.mutex("two").try_lock().await.expect_err("shut down").kind(), ErrorKind::Closed);
    assert_eq!(node.status().borrow().state, State::Closed);
    node.shutdown(Duration::ZERO).await.expect("a second time is nothing new");
    next.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn a_shutdown_does_not_take_locks_from_work_that_goes_on(world: Arena) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let stubborn = node.mutex("one").lock().await.expect("locked");
    let error = node.shutdown(Duration::from_millis(50)).await.expect_err("the guard is not given up");
    assert_eq!(error.unfinished, 1);
    assert_eq!(soon("the guard is told", stubborn.lost()).await, LossReason::ShutDown);
    assert!(!stubborn.is_held());
    assert!(other.mutex("one").try_lock().await.expect("answered").is_none(), "not before the TTL");
    let next = soon("free after the TTL", other.mutex("one").lock()).await.expect("locked");
    assert!(stubborn.release().await.expect_err("lost").is_lost());
    next.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn the_last_handle_closes_the_session(world: Arena) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let mut status = node.status();
    let guard = node.mutex("one").lock().await.expect("locked");
    drop(node);
    assert!(guard.is_held(), "a guard keeps the session");
    assert_eq!(status.borrow_and_update().state, State::Live);
    drop(guard);
    soon("the session is closed", status.wait_for(|s| s.state == State::Closed)).await.expect("told");
    scene.nothing_is_left().await;
}

pub(super) async fn dropped_outside_a_runtime(world: Arena) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let guard = node.mutex("one").lock().await.expect("locked");
    let mut waiting = Box::pin({
        let mutex = node.mutex("one");
        async move { mutex.lock().await }
    });
    assert!(futures::poll!(&mut waiting).is_pending(), "another holds it");
    std::thread::spawn(move || {
        assert!(tokio::runtime::Handle::try_current().is_err());
        drop(waiting);
        drop(guard);
        drop(node);
    })
    .join()
    .expect("no panic");
    scene.nothing_is_left().await;
}

pub(super) async fn one_coordinator_serves_several_runtimes(world: Arena) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    for _ in 0..3 {
        let mutex = node.mutex("one");
        let worked = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers");
            runtime.block_on(mutex.with(|_held| async {}))
        });
        let worked =
            tokio::task::spawn_blocking(move || worked.join()).await.expect("joined").expect("no panic");
        worked.expect("locked, worked and released");
    }
    // Nor does it take a tokio runtime at all.
    let mutex = node.mutex("one");
    let worked = std::thread::spawn(move || futures::executor::block_on(mutex.with(|_held| async {})));
    tokio::task::spawn_blocking(move || worked.join())
        .await
        .expect("joined")
        .expect("no panic")
        .expect("worked");
    scene.nothing_is_left().await;
}

pub(super) async fn the_status_follows_the_session(world: Arena) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let mut status = node.status();
    {
        let now = status.borrow_and_update();
        assert!(now.is_healthy() && now.backend == world.service() && now.ttl.is_some(), "{now:?}");
    }
    world.cut().await;
    soon("suspect", status.wait_for(|s| s.state == State::Suspect)).await.expect("told");
    soon("lost", status.wait_for(|s| s.state == State::Connecting && s.session.is_none()))
        .await
        .expect("told");
    world.heal().await;
    soon("live again", status.wait_for(|s| s.is_healthy())).await.expect("told");
    node.shutdown(Duration::from_secs(5)).await.expect("nothing is held");
    assert_eq!(status.borrow().state, State::Closed);
}

pub(super) async fn a_lazy_coordinator_waits_for_its_service(world: Arena) {
    let scene = Scene::new(&world);
    world.cut().await;
    let error = soon("an answer", scene.builder().connect_timeout(Duration::from_secs(1)).connect()).await;
    let error = error.expect_err("nobody answers");
    assert_eq!((error.kind(), error.backend()), (ErrorKind::Unavailable, Some(world.service())));
    let lazy = scene
        .builder()
        .connect_timeout(Duration::from_secs(1))
        .connect_lazy()
        .expect("a sound configuration");
    let lazy = scene.as_node(lazy);
    let tried = lazy.mutex("one").try_lock_for(Duration::from_millis(200)).await.expect_err("nobody answers");
    assert_eq!(tried.kind(), ErrorKind::Unavailable);
    let waiting = tokio::spawn({
        let mutex = lazy.mutex("one");
        async move { mutex.lock().await }
    });
    world.heal().await;
    let guard =
        soon("granted as soon as there is a service", waiting).await.expect("no panic").expect("locked");
    guard.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn another_ttl_is_another_session(world: Arena) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let longer = node.session().ttl(world.ttl() * 3).connect().await.expect("the service is reached");
    let longer = scene.as_node(longer);
    let (first, second) = (node.status().borrow().clone(), longer.status().borrow().clone());
    assert_ne!(first.session, second.session);
    assert!(second.ttl > first.ttl, "{:?} > {:?}", second.ttl, first.ttl);
    let guard = longer.mutex("one").lock().await.expect("locked");
    assert!(node.mutex("one").try_lock().await.expect("answered").is_none(), "the names are the same");
    guard.release().await.expect("released");
    scene.nothing_is_left().await;
}

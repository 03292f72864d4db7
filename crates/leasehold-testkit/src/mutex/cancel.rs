//! Callers that stop waiting, at whatever moment.

use std::time::{Duration, Instant};

use super::arena::{Arena, Scene};
use crate::polls::poll_times;
use crate::scene::{BRIEF, soon};

pub(super) async fn cancelled_while_waiting(world: Arena) {
    let scene = Scene::new(&world);
    let (node, observer) = (scene.node().await, scene.observer().await);
    let mutex = node.mutex("one");
    let held = mutex.lock().await.expect("locked");
    for _ in 0..5 {
        let waiting = tokio::spawn({
            let mutex = mutex.clone();
            async move { mutex.lock().await }
        });
        observer.contenders("one", 2).await;
        waiting.abort();
        observer.contenders("one", 1).await;
    }
    assert!(held.is_held());
    held.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn out_of_time_while_waiting(world: Arena) {
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    let held = node.mutex("one").lock().await.expect("locked");
    let ahead = tokio::spawn({
        let mutex = node.mutex("one");
        async move { mutex.lock().await }
    });
    observer.contenders("one", 2).await;
    let patience = BRIEF;
    let start = Instant::now();
    let mutex = other.mutex("one");
    let waiting = tokio::spawn(async move { mutex.try_lock_for(patience).await });
    observer.contenders("one", 3).await;
    // A change of the predecessor does not start the time anew.
    tokio::time::sleep(patience / 2).await;
    ahead.abort();
    let outcome =
        soon("the time runs out", waiting).await.expect("no panic").expect("contention is no error");
    let took = start.elapsed();
    assert!(outcome.is_none());
    assert!(took >= patience && took < patience + patience / 2, "one budget in all: {took:?}");
    observer.contenders("one", 1).await;
    assert!(other.mutex("one").try_lock_for(Duration::ZERO).await.expect("answered").is_none());
    held.release().await.expect("released");
    scene.nothing_is_left().await;
    let free = other.mutex("one").try_lock_for(Duration::ZERO).await.expect("answered").expect("free");
    free.release().await.expect("released");
}

pub(super) async fn out_of_time_racing_the_grant(world: Arena) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    for round in 0..40_u64 {
        let held = node.mutex("one").lock().await.expect("locked");
        let patience = Duration::from_millis(8) + Duration::from_micros(137 * round);
        let mutex = other.mutex("one");
        let racing = tokio::spawn(async move { mutex.try_lock_for(patience).await });
        tokio::time::sleep(Duration::from_millis(8)).await;
        held.release().await.expect("released");
        match soon("an answer", racing).await.expect("no panic") {
            Ok(Some(guard)) => guard.release().await.expect("a grant that was won is a real one"),
            Ok(None) => {}
            Err(error) => assert!(error.is_retryable(), "the service was slower than the patience: {error}"),
        }
    }
    let next = soon("nothing is in the way", node.mutex("one").lock()).await.expect("locked");
    next.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn cancelled_before_it_began(world: Arena) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let mutex = node.mutex("one");
    drop(mutex.lock());
    assert!(scene.listing().await.is_empty(), "a future that is not polled does nothing");
    for _ in 0..20 {
        // On a busy machine a service in memory may answer within the one poll; then the guard is dropped.
        drop(poll_times(mutex.lock(), 1, Duration::ZERO).await);
        drop(poll_times(mutex.try_lock(), 1, Duration::ZERO).await);
        drop(poll_times(mutex.try_lock_for(Duration::from_secs(9)), 1, Duration::ZERO).await);
    }
    scene.nothing_is_left().await;
    let other = scene.node().await;
    let free = soon("free", other.mutex("one").lock()).await.expect("locked");
    free.release().await.expect("released");
    scene.nothing_is_left().await;
}

/// For every k: the future is dropped at its k-th poll, paced so that the polls fall into every stage of it.
pub(super) async fn dropped_at_every_poll(world: Arena) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let mutex = node.mutex("one");
    let pace = Duration::from_micros(150);
    // Free: until the future ends by itself.
    let mut polls = 0;
    loop {
        polls += 1;
        assert!(polls < 10_000, "the lock is free and yet not granted");
        let granted = poll_times(mutex.lock(), polls, pace).await;
        let finished = granted.is_some();
        drop(granted.map(|guard| guard.expect("locked")));
        let next = soon("the next waiter is granted", other.mutex("one").lock()).await.expect("locked");
        next.release().await.expect("released");
        if finished {
            break;
        }
        if polls % 16 == 1 {
            scene.nothing_is_left().await;
        }
    }
    scene.nothing_is_left().await;
    // Held by somebody: past the arming of every watch.
    for polls in (1..40).chain([80, 160, 320, 640]) {
        let held = other.mutex("one").lock().await.expect("locked");
        assert!(poll_times(mutex.lock(), polls, pace).await.is_none(), "granted while another holds");
        let next = tokio::spawn({
            let mutex = node.mutex("one");
            async move { mutex.lock().await }
        });
        held.release().await.expect("released");
        let next = soon("the next waiter is granted", next).await.expect("no panic").expect("locked");
        next.release().await.expect("released");
    }
    scene.nothing_is_left().await;
    // A release goes on when its future is dropped.
    for polls in 1..20 {
        let guard = mutex.lock().await.expect("locked");
        if let Some(released) = poll_times(guard.release(), polls, pace).await {
            released.expect("released");
        }
        let next = soon("the next waiter is granted", other.mutex("one").lock()).await.expect("locked");
        next.release().await.expect("released");
    }
    scene.nothing_is_left().await;
}

pub(super) async fn work_is_dropped_with_its_caller(world: Arena) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let (begun, beginning) = tokio::sync::oneshot::channel();
    let mutex = node.mutex("one");
    let working = tokio::spawn(async move {
        mutex
            .with(|held| async move {
                begun.send(held).expect("the case listens");
                std::future::pending::<()>().await
            })
            .await
    });
    let held = soon("the work begins", beginning).await.expect("begun");
    assert!(held.is_held());
    working.abort();
    scene.nothing_is_left().await;
    assert!(!held.is_held());
    let sum = node.mutex("one").with(|_held| async { 1 + 1 }).await.expect("done under the lock");
    assert_eq!(sum, 2);
    scene.nothing_is_left().await;
}

//! Callers that stop waiting, at whatever moment.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use leasehold_core::Kind;
use tokio::task::JoinSet;

use super::sharing::{acquiring, granted};
use crate::contract::World;
use crate::recipes::common;
use crate::scene::{BRIEF, Scene, soon};

pub(super) async fn cancelled_while_waiting(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, observer) = (scene.node().await, scene.observer().await);
    let semaphore = node.semaphore("one", 3);
    let held = semaphore.acquire_many(2).await.expect("acquired");
    for _ in 0..5 {
        // The first in line, and one behind it.
        let first = acquiring(semaphore.clone(), 2);
        observer.contenders_of(Kind::Semaphore, "one", 2).await;
        let second = acquiring(semaphore.clone(), 3);
        observer.contenders_of(Kind::Semaphore, "one", 3).await;
        second.abort();
        observer.contenders_of(Kind::Semaphore, "one", 2).await;
        first.abort();
        observer.contenders_of(Kind::Semaphore, "one", 1).await;
        let one = semaphore.try_acquire().await.expect("answered").expect("nobody waits any more");
        one.release().await.expect("released");
        observer.contenders_of(Kind::Semaphore, "one", 1).await;
    }
    assert!(held.is_held());
    held.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn out_of_time_while_waiting(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    let held = node.semaphore("one", 3).acquire_many(2).await.expect("acquired");
    let patience = BRIEF;
    let semaphore = other.semaphore("one", 3);
    let waiting = tokio::spawn(async move { semaphore.try_acquire_many_for(3, patience).await });
    observer.contenders_of(Kind::Semaphore, "one", 2).await;
    let behind = acquiring(node.semaphore("one", 3), 1);
    let outcome = soon("the time runs out", waiting).await.expect("no panic");
    assert!(outcome.expect("contention is no error").is_none());
    let behind = granted("who was behind fits", behind).await;
    assert!(held.is_held() && behind.is_held());
    observer.contenders_of(Kind::Semaphore, "one", 2).await;
    drop((held, behind));
    let free = other.semaphore("one", 3).try_acquire_for(Duration::from_secs(9)).await.expect("answered");
    free.expect("free").release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn nothing_is_left_behind(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let mut workers = JoinSet::new();
    for node in 0..3 {
        let coordinator = scene.node().await;
        for task in 0..4 {
            let semaphore = coordinator.semaphore("one", 2);
            workers.spawn(async move {
                for round in 0..6_u64 {
                    let count = 1 + u32::try_from((node + task + round) % 2).expect("small");
                    let patience = Duration::from_millis(3 * (1 + (task + round) % 5));
                    match (node + round) % 4 {
                        0 => drop(tokio::time::timeout(patience, semaphore.acquire_many(count)).await),
                        1 => drop(semaphore.try_acquire_many_for(count, patience).await),
                        2 => drop(semaphore.try_acquire_many(count).await),
                        _ => drop(tokio::time::timeout(patience, semaphore.with(|_held| async {})).await),
                    }
                }
            });
        }
    }
    soon("all have ended", workers.join_all()).await;
    scene.nothing_is_left().await;
    let all = scene.node().await.semaphore("one", 2).try_acquire_many(2).await.expect("answered");
    all.expect("everything is free").release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn dropped_at_every_poll(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (near, far) = (scene.node().await.semaphore("one", 4), scene.node().await.semaphore("one", 4));
    let acquire = || {
        let near = near.clone();
        async move { near.acquire_many(3).await.expect("acquired") }.boxed()
    };
    let probe = || {
        let far = far.clone();
        async move { far.acquire_many(4).await.expect("acquired").release().await.expect("released") }.boxed()
    };
    let block = || {
        let far = far.clone();
        async move { far.acquire_many(2).await.expect("acquired") }.boxed()
    };
    common::dropped_at_every_poll(&scene, acquire, probe, block).await;
}

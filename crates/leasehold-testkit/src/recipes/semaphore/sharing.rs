//! How much is held at once.

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{Semaphore, SemaphorePermit};
use tokio::task::{JoinHandle, JoinSet};

use crate::contract::World;
use crate::recipes::common::Gauge;
use crate::scene::{Scene, soon};

/// A task that waits for so many permits.
pub(super) fn acquiring(semaphore: Semaphore, count: u32) -> JoinHandle<SemaphorePermit> {
    tokio::spawn(async move { semaphore.acquire_many(count).await.expect("acquired") })
}

/// What such a task ends with.
pub(super) async fn granted(what: &str, waiting: JoinHandle<SemaphorePermit>) -> SemaphorePermit {
    soon(what, waiting).await.expect("no panic")
}

pub(super) async fn the_limit_is_reached_and_never_exceeded(world: Arc<dyn World>) {
    const LIMIT: u32 = 3;
    let scene = Scene::new(&world);
    let gauge = Gauge::new(LIMIT);
    let mut workers = JoinSet::new();
    for _ in 0..3 {
        let node = scene.node().await;
        for _ in 0..4 {
            let (semaphore, gauge) = (node.semaphore("one", LIMIT), gauge.clone());
            workers.spawn(async move {
                for _ in 0..5 {
                    let permit = semaphore.acquire().await.expect("acquired");
                    let inside = gauge.enter(&permit, permit.count());
                    tokio::time::sleep(Duration::from_millis(3)).await;
                    // Who came first stays until as many are inside as there may be, and everybody else hurries.
                    while gauge.most() < LIMIT {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    drop(inside);
                    permit.release().await.expect("released");
                }
            });
        }
    }
    soon("the limit is reached, and all have held", workers.join_all()).await;
    assert_eq!(gauge.most(), LIMIT);
    // And once more, by tries.
    let semaphore = scene.node().await.semaphore("one", LIMIT);
    let mut permits = Vec::new();
    for _ in 0..LIMIT {
        permits.push(semaphore.try_acquire().await.expect("answered").expect("free"));
    }
    assert!(semaphore.try_acquire().await.expect("answered").is_none());
    let mut tokens: Vec<_> = permits.iter().map(|permit| permit.fencing_token()).collect();
    tokens.dedup();
    assert!(tokens.len() == permits.len() && tokens.is_sorted(), "{tokens:?}");
    drop(permits);
    let sum = semaphore.with(|held| async move { u32::from(held.is_held()) + 1 }).await.expect("done");
    assert_eq!(sum, 2);
    scene.nothing_is_left().await;
}

pub(super) async fn weighted_permits_keep_the_limit(world: Arc<dyn World>) {
    const LIMIT: u32 = 5;
    let scene = Scene::new(&world);
    let gauge = Gauge::new(LIMIT);
    let mut workers = JoinSet::new();
    for node in 0..3 {
        let coordinator = scene.node().await;
        for task in 0..4 {
            let (semaphore, gauge) = (coordinator.semaphore("one", LIMIT), gauge.clone());
            workers.spawn(async move {
                for round in 0..5 {
                    let count = 1 + (node * 2 + task * 3 + round) % LIMIT;
                    let permit = semaphore.acquire_many(count).await.expect("acquired");
                    assert_eq!(permit.count(), count);
                    let inside = gauge.enter(&permit, count);
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    drop(inside);
                    permit.release().await.expect("released");
                }
            });
        }
    }
    soon("all have held", workers.join_all()).await;
    // What is left fits exactly.
    let (one, other) =
        (scene.node().await.semaphore("one", LIMIT), scene.node().await.semaphore("one", LIMIT));
    let two = soon("free", one.acquire_many(2)).await.expect("acquired");
    let three = soon("beside it", other.acquire_many(3)).await.expect("acquired");
    assert!(two.is_held() && three.is_held());
    assert!(one.try_acquire().await.expect("answered").is_none(), "the limit is reached");
    drop((two, three));
    scene.nothing_is_left().await;
}

//! Callers that stop waiting, at whatever moment.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use leasehold_core::{Kind, RwLock};

use super::sharing::{granted, reading, writing};
use crate::contract::World;
use crate::polls::poll_times;
use crate::recipes::common::dropped_at_every_poll;
use crate::scene::{BRIEF, Scene, soon};

pub(super) async fn cancelled_while_waiting(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, observer) = (scene.node().await, scene.observer().await);
    let lock = node.rw_lock("one");
    let held = lock.write().await.expect("locked");
    for _ in 0..5 {
        let waiting = reading(lock.clone());
        observer.contenders_of(Kind::RwLock, "one", 2).await;
        waiting.abort();
        observer.contenders_of(Kind::RwLock, "one", 1).await;
        let waiting = writing(lock.clone());
        observer.contenders_of(Kind::RwLock, "one", 2).await;
        waiting.abort();
        observer.contenders_of(Kind::RwLock, "one", 1).await;
    }
    assert!(held.is_held());
    held.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn out_of_time_while_waiting(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    let held = node.rw_lock("one").write().await.expect("locked");
    let behind = {
        let (reader, writer) = (other.rw_lock("one"), other.rw_lock("one"));
        let patience = BRIEF;
        let reader = tokio::spawn(async move { reader.try_read_for(patience).await });
        observer.contenders_of(Kind::RwLock, "one", 2).await;
        let writer = tokio::spawn(async move { writer.try_write_for(patience).await });
        observer.contenders_of(Kind::RwLock, "one", 3).await;
        let behind = reading(node.rw_lock("one"));
        let read = soon("the time runs out", reader).await.expect("no panic");
        assert!(read.expect("contention is no error").is_none());
        let written = soon("the time runs out", writer).await.expect("no panic");
        assert!(written.expect("contention is no error").is_none());
        behind
    };
    observer.contenders_of(Kind::RwLock, "one", 2).await;
    held.release().await.expect("released");
    granted("nothing is in the way", behind).await.release().await.expect("released");
    let free = other.rw_lock("one").try_write_for(Duration::from_secs(9)).await.expect("answered");
    free.expect("free").release().await.expect("released");
    scene.nothing_is_left().await;
}

async fn probe(lock: RwLock) {
    lock.write().await.expect("locked").release().await.expect("released");
}

pub(super) async fn reading_dropped_at_every_poll(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (lock, other) = (scene.node().await.rw_lock("one"), scene.node().await.rw_lock("one"));
    let read = || {
        let lock = lock.clone();
        async move { lock.read().await.expect("locked") }.boxed()
    };
    let block = || {
        let other = other.clone();
        async move { other.write().await.expect("locked") }.boxed()
    };
    dropped_at_every_poll(&scene, read, || probe(other.clone()).boxed(), block).await;
}

pub(super) async fn writing_dropped_at_every_poll(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (lock, other) = (scene.node().await.rw_lock("one"), scene.node().await.rw_lock("one"));
    let write = || {
        let lock = lock.clone();
        async move { lock.write().await.expect("locked") }.boxed()
    };
    let block = || {
        let other = other.clone();
        async move { other.read().await.expect("locked") }.boxed()
    };
    dropped_at_every_poll(&scene, write, || probe(other.clone()).boxed(), block).await;
}

pub(super) async fn downgrading_dropped_at_every_poll(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (lock, other) = (scene.node().await.rw_lock("one"), scene.node().await.rw_lock("one"));
    let pace = Duration::from_micros(150);
    let mut polls = 0;
    loop {
        polls += 1;
        assert!(polls < 10_000, "the downgrade does not end");
        let writer = lock.write().await.expect("locked");
        let held = writer.held();
        let downgraded = poll_times(writer.downgrade(), polls, pace).await;
        let finished = downgraded.is_some();
        assert_eq!(held.is_held(), finished, "a dropped downgrade has given the lock up");
        drop(downgraded.map(|reader| reader.expect("still held")));
        soon("nothing is in the way", probe(other.clone())).await;
        if finished {
            break;
        }
    }
    scene.nothing_is_left().await;
}

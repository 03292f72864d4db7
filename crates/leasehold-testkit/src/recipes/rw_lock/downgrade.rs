//! From writer to reader, and not back.

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::fencing::Fence;
use leasehold_core::{ErrorKind, Kind, LossReason};

use super::sharing::{granted, reading, writing};
use crate::contract::World;
use crate::recipes::common::still_waits;
use crate::scene::{Scene, soon};

pub(super) async fn a_downgrade_keeps_the_hold(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    let writer = node.rw_lock("one").write().await.expect("locked");
    let reader = reading(other.rw_lock("one"));
    observer.contenders_of(Kind::RwLock, "one", 2).await;
    let mut next_writer = writing(node.rw_lock("one"));
    observer.contenders_of(Kind::RwLock, "one", 3).await;
    let mut last_reader = reading(other.rw_lock("one"));
    observer.contenders_of(Kind::RwLock, "one", 4).await;
    let (held, token) = (writer.held(), writer.fencing_token());
    let downgraded = soon("the service answers", writer.downgrade()).await.expect("still held");
    assert!(held.is_held() && downgraded.fencing_token() == token, "it is the same hold");
    let reader = granted("the reader behind comes in", reader).await;
    assert!(downgraded.is_held());
    still_waits("a writer beside readers", &mut next_writer).await;
    still_waits("a reader that overtook a writer", &mut last_reader).await;
    downgraded.release().await.expect("released");
    assert!(!held.is_held());
    still_waits("a writer beside a reader", &mut next_writer).await;
    reader.release().await.expect("released");
    let next_writer = granted("the writer is next", next_writer).await;
    still_waits("a reader beside a writer", &mut last_reader).await;
    next_writer.release().await.expect("released");
    granted("and the reader is last", last_reader).await.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn a_downgrade_lets_no_writer_in_between(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    for round in 0..10 {
        let name = format!("round {round}");
        let writer = node.rw_lock(&name).write().await.expect("locked");
        let next = writing(other.rw_lock(&name));
        observer.contenders_of(Kind::RwLock, &name, 2).await;
        let reader = writer.downgrade().await.expect("still held");
        // What would have come in between is there by now.
        let early = tokio::time::timeout(Duration::from_millis(20), async {
            while !next.is_finished() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        assert!(early.await.is_err(), "a writer beside a reader");
        let token = reader.fencing_token();
        reader.release().await.expect("released");
        let next = granted("the writer is next", next).await;
        assert!(next.fencing_token() > token);
        next.release().await.expect("released");
    }
    scene.nothing_is_left().await;
}

pub(super) async fn a_downgrade_whose_reply_is_lost(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let writer = node.rw_lock("one").write().await.expect("locked");
    let held = writer.held();
    world.cut_replies().await;
    let downgrading = tokio::spawn(writer.downgrade());
    tokio::time::sleep(world.ttl() / 8).await;
    world.heal().await;
    let reader = soon("it is found out", downgrading).await.expect("no panic").expect("still held");
    assert!(held.is_held());
    let other = scene.node().await;
    let beside = soon("readers come in", other.rw_lock("one").read()).await.expect("locked");
    assert!(other.rw_lock("one").try_write().await.expect("answered").is_none());
    beside.release().await.expect("released");
    reader.release().await.expect("released");
    scene.nothing_is_left_of(&node).await;
}

pub(super) async fn a_downgrade_of_a_lost_hold(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let writer = node.rw_lock("one").write().await.expect("locked");
    scene.expire(&node).await;
    soon("the loss is told", writer.lost()).await;
    let error = soon("an answer", writer.downgrade()).await.expect_err("lost");
    assert_eq!((error.kind(), error.name()), (ErrorKind::Lost, Some("one")), "{error}");
    assert!(error.loss_reason().is_some() && error.to_string().starts_with("downgrade"), "{error}");
    // One that is removed by hand, and found out by the change itself or by the watch.
    let writer = soon("granted", other.rw_lock("one").write()).await.expect("locked");
    scene.observer().await.contenders_of(Kind::RwLock, "one", 1).await;
    world.remove_queue(&scene.path_of(Kind::RwLock, "one")).await;
    let held = writer.held();
    let error = soon("an answer", writer.downgrade()).await.expect_err("removed");
    assert_eq!(error.loss_reason(), Some(LossReason::EntryRemoved), "{error}");
    assert!(!held.is_held());
    let free = soon("nothing is in the way", other.rw_lock("one").write()).await.expect("locked");
    free.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn an_upgrade_is_refused(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (one, other) = (scene.node().await.rw_lock("one"), scene.node().await.rw_lock("one"));
    // Two that would wait for each other.
    let readers = [one.read().await.expect("locked"), other.read().await.expect("locked")];
    // How many there are, and not what they are called: where a grant is announced, that may still be under way.
    let before = scene.listing().await.len();
    for reader in &readers {
        let error = reader.upgrade().expect_err("always");
        assert_eq!((error.kind(), error.name()), (ErrorKind::Unsupported, Some("one")));
        assert!(
            !error.is_retryable() && error.to_string().contains("release"),
            "it says what to do: {error}"
        );
    }
    assert_eq!(scene.listing().await.len(), before);
    assert!(readers.iter().all(|reader| reader.is_held()));
    for reader in readers {
        reader.release().await.expect("released");
    }
    let writer = soon("free", one.write()).await.expect("locked");
    writer.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn readers_and_writers_pass_a_resource_with_two_marks(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    let mut resource = Fence::new();
    let early = node.rw_lock("one").read().await.expect("locked");
    let late = other.rw_lock("one").read().await.expect("locked");
    assert!(late.fencing_token() > early.fencing_token());
    // Side by side, in whatever order.
    assert!(
        resource.check_shared(late.fencing_token()).is_ok()
            && resource.check_shared(early.fencing_token()).is_ok()
    );
    // Both lose their sessions, and do not notice.
    for node in [&node, &other] {
        scene.expire(node).await;
    }
    let writer = soon("granted", scene.node().await.rw_lock("one").write()).await.expect("locked");
    let written = writer.fencing_token();
    assert!(resource.check_exclusive(written).is_ok());
    for stale in [early.fencing_token(), late.fencing_token()] {
        assert!(resource.check_shared(stale).is_err(), "a writer was there");
    }
    let behind = reading(node.rw_lock("one"));
    observer.contenders_of(Kind::RwLock, "one", 2).await;
    let downgraded = writer.downgrade().await.expect("still held");
    let behind = granted("the reader comes in", behind).await;
    assert!(
        resource.check_shared(behind.fencing_token()).is_ok()
            && resource.check_shared(downgraded.fencing_token()).is_ok()
    );
    assert!(
        resource.check_exclusive(written).is_err(),
        "it is a writer's no more, and a reader has come since"
    );
    behind.release().await.expect("released");
    downgraded.release().await.expect("released");
    let last = soon("granted", other.rw_lock("one").write()).await.expect("locked");
    assert!(resource.check_exclusive(last.fencing_token()).is_ok());
    last.release().await.expect("released");
    scene.nothing_is_left().await;
}

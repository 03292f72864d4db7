//! One holder at a time, in order, with rising tokens.

use std::time::Duration;

use leasehold_core::{FencingToken, LossReason};
use tokio::task::JoinSet;

use super::arena::{Arena, Scene};
use crate::counting::Counting;
use crate::scene::{Record, soon};

pub(super) async fn many_contenders_one_holder(world: Arena) {
    let scene = Scene::new(&world);
    let record = Record::default();
    let mut workers = JoinSet::new();
    for _ in 0..4 {
        let node = scene.node().await;
        for _ in 0..4 {
            let (mutex, record) = (node.mutex("one"), record.clone());
            workers.spawn(async move {
                for _ in 0..5 {
                    let guard = mutex.lock().await.expect("locked");
                    record.tenure(&guard).await;
                    guard.release().await.expect("released");
                }
            });
        }
    }
    soon("all have held", workers.join_all()).await;
    assert_eq!(record.tenures(), 4 * 4 * 5);
    scene.nothing_is_left().await;
}

pub(super) async fn a_waiter_waits_for_all_ahead(world: Arena) {
    let scene = Scene::new(&world);
    let (node, observer) = (scene.node().await, scene.observer().await);
    let mutex = node.mutex("one");
    let first = mutex.lock().await.expect("locked");
    let second = tokio::spawn({
        let mutex = mutex.clone();
        async move { mutex.lock().await }
    });
    observer.contenders("one", 2).await;
    let mut third = tokio::spawn({
        let mutex = mutex.clone();
        async move { mutex.lock().await }
    });
    observer.contenders("one", 3).await;
    // The one next ahead of the third goes; the holder stays.
    second.abort();
    observer.contenders("one", 2).await;
    let early = tokio::time::timeout(Duration::from_millis(300), &mut third).await;
    assert!(early.is_err(), "granted while another holds: {early:?}");
    first.release().await.expect("released");
    let third = soon("the third is granted", third).await.expect("no panic").expect("locked");
    third.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn first_come_first_served(world: Arena) {
    let scene = Scene::new(&world);
    let observer = scene.observer().await;
    let nodes = [scene.node().await, scene.node().await, scene.node().await];
    let held = nodes[0].mutex("one").lock().await.expect("locked");
    let (granted, mut order) = tokio::sync::mpsc::unbounded_channel();
    for waiter in 0..9 {
        let (mutex, granted) = (nodes[waiter % 3].mutex("one"), granted.clone());
        tokio::spawn(async move {
            let guard = mutex.lock().await.expect("locked");
            granted.send(waiter).expect("the case listens");
            guard.release().await.expect("released");
        });
        observer.contenders("one", waiter + 2).await;
    }
    held.release().await.expect("released");
    for waiter in 0..9 {
        assert_eq!(soon("the next is granted", order.recv()).await, Some(waiter));
    }
    scene.nothing_is_left().await;
}

pub(super) async fn tasks_of_one_session_exclude_each_other(world: Arena) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let first = node.mutex("one").lock().await.expect("locked");
    assert!(node.mutex("one").try_lock().await.expect("answered").is_none());
    let other = node.clone();
    let second = tokio::spawn(async move { other.mutex("one").lock().await });
    scene.observer().await.contenders("one", 2).await;
    assert!(!second.is_finished());
    first.release().await.expect("released");
    let second = soon("the second is granted", second).await.expect("no panic").expect("locked");
    second.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn a_hundred_tasks(world: Arena) {
    let scene = Scene::new(&world);
    let (node, record) = (scene.node().await, Record::default());
    let mut workers = JoinSet::new();
    for _ in 0..100 {
        let (mutex, record) = (node.mutex("one"), record.clone());
        workers.spawn(async move {
            let guard = mutex.lock().await.expect("locked");
            record.tenure(&guard).await;
        });
    }
    soon("all have held", workers.join_all()).await;
    assert_eq!(record.tenures(), 100);
    scene.nothing_is_left().await;
}

pub(super) async fn try_lock_from_several_nodes(world: Arena) {
    let scene = Scene::new(&world);
    let nodes = [scene.node().await, scene.node().await, scene.node().await];
    for round in 0..10 {
        let name = format!("round {round}");
        let tries = nodes.iter().map(|node| {
            let mutex = node.mutex(&name);
            tokio::spawn(async move { mutex.try_lock().await.expect("answered") })
        });
        let mut guards = Vec::new();
        for tried in tries.collect::<Vec<_>>() {
            guards.extend(tried.await.expect("no panic"));
        }
        assert_eq!(guards.len(), 1, "exactly one of the three gets it");
        // How many there are, and not what they are called: where a grant is announced, that may still be under way.
        let before = scene.listing().await.len();
        for node in &nodes {
            assert!(node.mutex(&name).try_lock().await.expect("answered").is_none(), "it is held");
        }
        assert_eq!(scene.listing().await.len(), before, "a busy try leaves nothing");
        for guard in guards {
            guard.release().await.expect("released");
        }
        let again = nodes[0].mutex(&name).try_lock().await.expect("answered").expect("free again");
        again.release().await.expect("released");
    }
    scene.nothing_is_left().await;
}

pub(super) async fn try_lock_does_not_overtake(world: Arena) {
    let scene = Scene::new(&world);
    let (node, observer) = (scene.node().await, scene.observer().await);
    for round in 0..20 {
        // A name of its own: what the observer sees may be older than what others have done, and must not be the last round.
        let name = format!("round {round}");
        let mutex = node.mutex(&name);
        let first = mutex.lock().await.expect("locked");
        let waiting = tokio::spawn({
            let mutex = mutex.clone();
            async move { mutex.lock().await.expect("locked") }
        });
        observer.contenders(&name, 2).await;
        // While the lock changes hands there is no moment in which a try gets in between.
        let (released, tried) = tokio::join!(first.release(), mutex.try_lock());
        released.expect("released");
        assert!(tried.expect("answered").is_none(), "the try overtook the waiter");
        soon("the waiter is granted", waiting).await.expect("no panic").release().await.expect("released");
    }
    scene.nothing_is_left().await;
}

pub(super) async fn a_release_is_reported_and_final(world: Arena) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let guard = node.mutex("one").lock().await.expect("locked");
    let held = guard.held();
    let stop = held.cancellation_token();
    assert!(held.is_held() && !stop.is_cancelled());
    guard.release().await.expect("released");
    scene.nothing_is_left().await;
    assert!(!held.is_held() && stop.is_cancelled());
    assert_eq!(held.lost().await, LossReason::Released);
    assert!(held.while_held(async {}).await.is_err(), "no work under a released lock");
    drop(node.mutex("one").lock().await.expect("free at once"));
    scene.nothing_is_left().await;
}

pub(super) async fn tokens_rise_over_every_handover(world: Arena) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let mut last: Option<FencingToken> = None;
    let mut rises = |token: FencingToken, over: &str| {
        assert!(last.is_none_or(|last| token > last), "over {over}: {last:?} then {token:?}");
        last = Some(token);
    };
    let mutex = node.mutex("one");

    let guard = mutex.lock().await.expect("locked");
    rises(guard.fencing_token(), "nothing");
    guard.release().await.expect("released");

    let guard = mutex.lock().await.expect("locked");
    rises(guard.fencing_token(), "a release");
    drop(guard);

    let guard = mutex.lock().await.expect("locked");
    rises(guard.fencing_token(), "a drop");
    scene.expire(&node).await;

    let guard = soon("granted after the expiry", other.mutex("one").lock()).await.expect("locked");
    rises(guard.fencing_token(), "an expiry");
    guard.release().await.expect("released");

    // As when the parent of an idle queue is reaped.
    world.remove_queue(&scene.path("one")).await;
    let guard = soon("a session follows the lost one", mutex.lock()).await.expect("locked");
    rises(guard.fencing_token(), "the removal of the queue");
    world.remove_queue(&scene.path("one")).await;
    assert_eq!(soon("the loss is told", guard.lost()).await, LossReason::EntryRemoved);

    let guard = soon("granted", other.mutex("one").lock()).await.expect("locked");
    rises(guard.fencing_token(), "the removal of a holder");
    guard.release().await.expect("released");

    world.restart().await;
    let guard = soon("granted after the restart", mutex.lock()).await.expect("locked");
    rises(guard.fencing_token(), "a restart of the service");
    guard.release().await.expect("released");
    scene.nothing_is_left_of(&node).await;
}

pub(super) async fn a_release_wakes_one_waiter(world: Arena) {
    const WAITERS: usize = 50;
    let scene = Scene::new(&world);
    let backend = Counting::new(world.backend());
    let counts = backend.counts().clone();
    let connecting = scene.builder_over(backend).connect();
    let node = scene.as_node(soon("a session is opened", connecting).await.expect("the service is reached"));
    let held = node.mutex("one").lock().await.expect("locked");
    let (granted, mut grants) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..WAITERS {
        let (mutex, granted) = (node.mutex("one"), granted.clone());
        tokio::spawn(async move {
            granted.send(mutex.lock().await.expect("locked")).expect("every grant is waited for");
        });
    }
    scene.observer().await.contenders("one", WAITERS + 1).await;
    // Until every waiter has armed its watches, the one of its own entry included.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = (counts.wake_ups(), counts.looks());
    held.release().await.expect("released");
    for _ in 0..WAITERS {
        let next = soon("the next is granted", grants.recv()).await.expect("a grant");
        next.release().await.expect("released");
    }
    // Nobody waits any more, so nothing is woken later, and all that was woken has been counted. In a herd some sleep
    // through several releases; but not all through all of them.
    assert_eq!(counts.wake_ups() - before.0, WAITERS, "one wake-up a release");
    assert_eq!(counts.looks() - before.1, WAITERS, "one look a wake-up");
    scene.nothing_is_left().await;
}

//! Who holds side by side, in which order, and who is woken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use leasehold_core::{Kind, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use crate::contract::World;
use crate::recipes::common::{Gauge, counted, still_waits};
use crate::scene::{Record, Scene, soon};

/// A task that waits to read.
pub(super) fn reading(lock: RwLock) -> JoinHandle<RwLockReadGuard> {
    tokio::spawn(async move { lock.read().await.expect("locked") })
}

/// A task that waits to write.
pub(super) fn writing(lock: RwLock) -> JoinHandle<RwLockWriteGuard> {
    tokio::spawn(async move { lock.write().await.expect("locked") })
}

/// What such a task ends with.
pub(super) async fn granted<G>(what: &str, waiting: JoinHandle<G>) -> G {
    soon(what, waiting).await.expect("no panic")
}

pub(super) async fn many_nodes_read_and_write(world: Arc<dyn World>) {
    const ALL: u32 = 1_000;
    const ROUNDS: usize = 6;
    let scene = Scene::new(&world);
    let (gauge, record) = (Gauge::new(ALL), Record::default());
    let mut workers = JoinSet::new();
    for worker in 0..12 {
        let (lock, gauge, record) = (scene.node().await.rw_lock("one"), gauge.clone(), record.clone());
        workers.spawn(async move {
            for round in 0..ROUNDS {
                if (worker + round) % 3 == 0 {
                    let guard = lock.write().await.expect("locked");
                    let inside = gauge.enter(&guard, ALL);
                    record.tenure(&guard).await;
                    drop(inside);
                    guard.release().await.expect("released");
                } else {
                    let guard = lock.read().await.expect("locked");
                    let inside = gauge.enter(&guard, 1);
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    drop(inside);
                    guard.release().await.expect("released");
                }
            }
        });
    }
    soon("all have held", workers.join_all()).await;
    assert_eq!(record.tenures(), 12 * ROUNDS / 3);
    scene.nothing_is_left().await;
}

pub(super) async fn readers_share_and_writers_are_alone(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (one, other) = (scene.node().await.rw_lock("one"), scene.node().await.rw_lock("one"));
    // Of one session and of two.
    let readers =
        [one.read().await, one.read().await, other.read().await].map(|guard| guard.expect("locked"));
    assert!(readers.iter().all(|guard| guard.is_held()));
    assert!(other.try_write().await.expect("answered").is_none(), "readers are there");
    for guard in readers {
        guard.release().await.expect("released");
    }
    let writer = soon("the readers are gone", other.write()).await.expect("locked");
    assert!(one.try_read().await.expect("answered").is_none(), "a writer is there");
    assert!(other.try_read().await.expect("answered").is_none(), "also for its own session");
    assert!(one.try_write().await.expect("answered").is_none());
    writer.release().await.expect("released");
    let sum = one.with_read(|held| async move { u32::from(held.is_held()) + 1 }).await.expect("done");
    assert_eq!(one.with_write(|_held| async { sum + 1 }).await.expect("done"), 3);
    scene.nothing_is_left().await;
}

pub(super) async fn first_come_first_served(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let observer = scene.observer().await;
    let nodes = [scene.node().await, scene.node().await, scene.node().await];
    let held = nodes[0].rw_lock("one").write().await.expect("locked");
    let (entered, mut order) = mpsc::unbounded_channel();
    let queue = ['r', 'r', 'w', 'r', 'w', 'w', 'r', 'r', 'r', 'w'];
    for (place, kind) in queue.into_iter().enumerate() {
        let (lock, entered) = (nodes[place % 3].rw_lock("one"), entered.clone());
        tokio::spawn(async move {
            let guard: Box<dyn Send> = match kind {
                'r' => Box::new(lock.read().await.expect("locked")),
                _ => Box::new(lock.write().await.expect("locked")),
            };
            entered.send(place).expect("the case listens");
            drop(guard);
        });
        observer.contenders_of(Kind::RwLock, "one", place + 2).await;
    }
    held.release().await.expect("released");
    let mut places = Vec::new();
    for _ in queue {
        places.push(soon("the next is granted", order.recv()).await.expect("a place"));
    }
    // Readers side by side come in any order; between them and the writers it is that of the queue.
    let groups = [0..2, 2..3, 3..4, 4..5, 5..6, 6..9, 9..10];
    for group in groups {
        let mut members = places[group.clone()].to_vec();
        members.sort_unstable();
        assert_eq!(members, group.collect::<Vec<_>>(), "{places:?}");
    }
    scene.nothing_is_left().await;
}

pub(super) async fn a_stream_of_readers_does_not_starve_a_writer(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, observer) = (scene.node().await, scene.observer().await);
    let written = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    for _ in 0..2 {
        let node = scene.node().await;
        for _ in 0..3 {
            let (lock, written) = (node.rw_lock("one"), written.clone());
            readers.spawn(async move {
                let mut tokens = Vec::new();
                while !written.load(Ordering::SeqCst) {
                    let guard = lock.read().await.expect("locked");
                    tokens.push((guard.fencing_token(), written.load(Ordering::SeqCst)));
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    guard.release().await.expect("released");
                }
                tokens
            });
        }
    }
    // At no moment is there nobody reading.
    let first = node.rw_lock("one").read().await.expect("locked");
    let writer = writing(node.rw_lock("one"));
    // The writer and this reader, and all six that wait behind the writer by then.
    observer.contenders_of(Kind::RwLock, "one", 8).await;
    first.release().await.expect("released");
    let writer = granted("the writer is granted", writer).await;
    written.store(true, Ordering::SeqCst);
    let token = writer.fencing_token();
    writer.release().await.expect("released");
    for tokens in soon("the readers go on", readers.join_all()).await {
        assert!(!tokens.is_empty());
        for (reader, after) in tokens {
            assert_eq!(
                reader > token,
                after,
                "{reader:?} came in before the writer {token:?}, or long after"
            );
        }
    }
    scene.nothing_is_left().await;
}

pub(super) async fn tries_neither_overtake_nor_wait(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (one, other) = (scene.node().await.rw_lock("one"), scene.node().await.rw_lock("one"));
    let observer = scene.observer().await;
    let reader = one.try_read().await.expect("answered").expect("free");
    let beside = other.try_read().await.expect("answered").expect("free for readers");
    beside.release().await.expect("released");
    let writer = writing(other.clone());
    observer.contenders_of(Kind::RwLock, "one", 2).await;
    // How many there are, and not what they are called: where a grant is announced, that may still be under way.
    let before = scene.listing().await.len();
    for lock in [&one, &other] {
        assert!(lock.try_read().await.expect("answered").is_none(), "it would overtake the writer");
        assert!(lock.try_read_for(Duration::ZERO).await.expect("answered").is_none());
        assert!(lock.try_write().await.expect("answered").is_none());
        assert!(lock.try_write_for(Duration::ZERO).await.expect("answered").is_none());
    }
    assert_eq!(scene.listing().await.len(), before, "a busy try leaves nothing");
    // While the lock changes hands there is no moment in which a try gets in between.
    let (released, tried) = tokio::join!(reader.release(), one.try_read());
    released.expect("released");
    assert!(tried.expect("answered").is_none(), "the try overtook the writer");
    granted("the writer is granted", writer).await.release().await.expect("released");
    let again = other.try_write().await.expect("answered").expect("free again");
    again.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn who_is_woken(world: Arc<dyn World>) {
    const READERS: usize = 20;
    let scene = Scene::new(&world);
    let (node, counts) = counted(&scene).await;
    let observer = scene.observer().await;
    let lock = node.rw_lock("one");
    let (entered, mut guards) = mpsc::unbounded_channel();
    let read = |count: usize| {
        for _ in 0..count {
            let (lock, entered) = (lock.clone(), entered.clone());
            tokio::spawn(async move {
                entered.send(lock.read().await.expect("locked")).expect("the case listens");
            });
        }
    };
    // A writer that holds; readers; a writer; and readers behind that one.
    let first = lock.write().await.expect("locked");
    read(READERS);
    observer.contenders_of(Kind::RwLock, "one", READERS + 1).await;
    let second = writing(lock.clone());
    observer.contenders_of(Kind::RwLock, "one", READERS + 2).await;
    read(READERS);
    observer.contenders_of(Kind::RwLock, "one", 2 * READERS + 2).await;
    // Until every waiter has armed its watches, the one of its own entry included.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = counts.wake_ups();
    let woken = || counts.wake_ups() - before;
    let mut readers = async || {
        let mut held = Vec::new();
        for _ in 0..READERS {
            held.push(soon("the readers are granted", guards.recv()).await.expect("a guard"));
        }
        held.sort_by_key(|guard| guard.fencing_token());
        held
    };
    first.release().await.expect("released");
    let held = readers().await;
    assert_eq!(woken(), READERS, "those that were granted");
    for guard in held {
        guard.release().await.expect("released");
    }
    let second = granted("the second writer is granted", second).await;
    assert_eq!(woken(), READERS + 1, "the writer hears of the reader right ahead of it");
    second.release().await.expect("released");
    let held = readers().await;
    assert_eq!(woken(), 2 * READERS + 1);
    for guard in held {
        guard.release().await.expect("released");
    }
    assert_eq!(woken(), 2 * READERS + 1, "there is nobody left to wake");
    scene.nothing_is_left().await;
}

pub(super) async fn readers_do_not_wait_for_each_other(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    let writer = node.rw_lock("one").write().await.expect("locked");
    let mut waiting = Vec::new();
    for place in 0..6 {
        let from = if place % 2 == 0 { &node } else { &other };
        waiting.push(reading(from.rw_lock("one")));
        observer.contenders_of(Kind::RwLock, "one", place + 2).await;
    }
    // One from the middle gives up; those behind it do not depend on it.
    waiting.remove(2).abort();
    observer.contenders_of(Kind::RwLock, "one", 6).await;
    writer.release().await.expect("released");
    let mut held = Vec::new();
    for reader in waiting {
        held.push(granted("all are granted while all hold", reader).await);
    }
    assert!(held.iter().all(|guard| guard.is_held()));
    drop(held);
    scene.nothing_is_left().await;
}

pub(super) async fn a_waiter_that_leaves_lets_those_behind_it_go_on(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    let lock = node.rw_lock("one");
    // A writer that waits goes: the reader behind it holds beside the one ahead of it.
    let reader = lock.read().await.expect("locked");
    let gives_up = writing(other.rw_lock("one"));
    observer.contenders_of(Kind::RwLock, "one", 2).await;
    let behind = reading(lock.clone());
    observer.contenders_of(Kind::RwLock, "one", 3).await;
    gives_up.abort();
    let behind = granted("the reader goes on", behind).await;
    assert!(reader.is_held());
    behind.release().await.expect("released");
    reader.release().await.expect("released");
    // The same behind a writer that holds: the reader goes on waiting, for the right one.
    let writer = lock.write().await.expect("locked");
    observer.contenders_of(Kind::RwLock, "one", 1).await;
    let gives_up = writing(other.rw_lock("one"));
    observer.contenders_of(Kind::RwLock, "one", 2).await;
    let mut behind = reading(other.rw_lock("one"));
    observer.contenders_of(Kind::RwLock, "one", 3).await;
    gives_up.abort();
    observer.contenders_of(Kind::RwLock, "one", 2).await;
    still_waits("a reader beside a writer", &mut behind).await;
    // A reader that waits goes: the writer behind it goes on waiting too.
    let mut last = writing(lock.clone());
    observer.contenders_of(Kind::RwLock, "one", 3).await;
    behind.abort();
    observer.contenders_of(Kind::RwLock, "one", 2).await;
    still_waits("two writers", &mut last).await;
    writer.release().await.expect("released");
    granted("the last writer is granted", last).await.release().await.expect("released");
    scene.nothing_is_left().await;
}

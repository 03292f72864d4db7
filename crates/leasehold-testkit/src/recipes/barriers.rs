//! The conformance suite of the barrier and the count-down latch.
//!
//! | case | what it proves |
//! |---|---|
//! | `a_barrier_that_was_never_set`, `a_latch_that_nobody_has_used` | waiting on one that does not exist |
//! | `a_restart_while_waiting_at_a_barrier`, `a_restart_while_waiting_for_a_latch` | the server crashes while clients wait |
//! | `many_wait_at_a_barrier`, `many_count_a_latch_down` | many clients |
//! | `spurious_wake_ups_at_a_barrier`, `spurious_wake_ups_at_a_latch` | waiters are woken and have to look |
//!
//! Beyond those of the table: `a_barrier_is_set_and_lifted`, `waits_outlast_cuts_and_lost_sessions`, `disagreeing_counts_are_refused`,
//! `a_latch_is_used_again` (a reset misses no waiter), `a_dropped_count_is_counted_at_most_once` (dropped at every poll),
//! `a_latch_is_exact_over_lost_replies`, `a_shutdown_ends_the_waits`, `strangers_and_bad_names`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use leasehold_core::{
    Barrier, Coordinator, CountDownLatch, ErrorKind, KeyPath, Kind, RegisterWrite, Session,
};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::table;
use crate::contract::World;
use crate::polls::poll_times;
use crate::scene::{BRIEF, PATIENCE, Scene, not_yet, soon};

table! {
    a_barrier_that_was_never_set [60]
    a_barrier_is_set_and_lifted
    a_restart_while_waiting_at_a_barrier [61]
    many_wait_at_a_barrier [62]
    spurious_wake_ups_at_a_barrier [64]
    a_latch_that_nobody_has_used [60]
    a_restart_while_waiting_for_a_latch [61]
    many_count_a_latch_down [62]
    spurious_wake_ups_at_a_latch [64]
    waits_outlast_cuts_and_lost_sessions
    disagreeing_counts_are_refused
    a_latch_is_used_again
    a_dropped_count_is_counted_at_most_once
    a_latch_is_exact_over_lost_replies
    a_shutdown_ends_the_waits
    strangers_and_bad_names
}

fn at_barrier(node: &Coordinator) -> JoinHandle<Result<(), leasehold_core::Error>> {
    let barrier = node.barrier("one");
    tokio::spawn(async move { barrier.wait().await })
}

fn at_latch(node: &Coordinator, count: u32) -> JoinHandle<Result<(), leasehold_core::Error>> {
    let latch = node.latch("one", count);
    tokio::spawn(async move { latch.wait().await })
}

async fn pass(waiting: JoinHandle<Result<(), leasehold_core::Error>>) {
    soon("the waiter goes on", waiting).await.expect("no panic").expect("the wait ends well");
}

/// Does what may meet a service that is about to start, until it is done.
async fn insist<H: Clone, T, F>(what: &str, handle: H, operation: impl Fn(H) -> F) -> T
where
    F: Future<Output = Result<T, leasehold_core::Error>>,
{
    soon(what, async {
        loop {
            match operation(handle.clone()).await {
                Ok(done) => return done,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
            }
        }
    })
    .await
}

async fn a_barrier_that_was_never_set(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let barrier = node.barrier("one");
    assert!(!barrier.is_set().await.expect("read"));
    soon("it lets pass", barrier.wait()).await.expect("the wait ends well");
    assert!(barrier.wait_for(Duration::ZERO).await.expect("answered"));
    barrier.lift().await.expect("there is nothing to lift");
    assert!(
        scene.world.listing(scene.path_of(Kind::Barrier, "one").as_str()).await.is_empty(),
        "nothing is written"
    );
}

async fn a_barrier_is_set_and_lifted(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.direct_node().await);
    let (barrier, theirs) = (node.barrier("one"), other.barrier("one"));
    for _ in 0..3 {
        theirs.set().await.expect("set");
        theirs.set().await.expect("it is set");
        soon("it is seen", async { while !barrier.is_set().await.expect("read") {} }).await;
        let waiting = at_barrier(&node);
        not_yet("it is set", barrier.wait()).await;
        assert!(!barrier.wait_for(Duration::ZERO).await.expect("answered"));
        let start = Instant::now();
        assert!(!barrier.wait_for(BRIEF).await.expect("answered"));
        assert!(start.elapsed() >= BRIEF);
        assert!(!waiting.is_finished());
        theirs.lift().await.expect("lifted");
        pass(waiting).await;
        soon("it lets pass", barrier.wait()).await.expect("the wait ends well");
        theirs.lift().await.expect("it is lifted");
    }
}

async fn a_restart_while_waiting_at_a_barrier(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let nodes = [scene.node().await, scene.node().await];
    nodes[0].barrier("one").set().await.expect("set");
    let waiting = nodes.each_ref().map(at_barrier);
    not_yet("it is set", nodes[1].barrier("one").wait()).await;
    world.restart().await;
    assert!(insist("it is still set", nodes[0].barrier("one"), |it| async move { it.is_set().await }).await);
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    insist("it is lifted", nodes[1].barrier("one"), |it| async move { it.lift().await }).await;
    for waiting in waiting {
        pass(waiting).await;
    }
}

async fn many_wait_at_a_barrier(world: Arc<dyn World>) {
    const WAITERS: usize = 100;
    let scene = Scene::new(&world);
    let nodes = [scene.node().await, scene.node().await, scene.direct_node().await];
    nodes[0].barrier("one").set().await.expect("set");
    let waiting: Vec<_> = nodes.iter().cycle().take(WAITERS).map(at_barrier).collect();
    not_yet("it is set", nodes[1].barrier("one").wait()).await;
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    nodes[2].barrier("one").lift().await.expect("lifted");
    for waiting in waiting {
        pass(waiting).await;
    }
}

/// Writes what is there once more: the version changes, and nothing else. Who waits at a latch may still be writing how much it is for.
async fn touch(session: &Arc<dyn Session>, path: &KeyPath) {
    let there = async {
        loop {
            match session.read(path).await.expect("read") {
                Some(seen) => break seen,
                None => sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let seen = soon("it is there", there).await;
    let write = RegisterWrite { value: seen.value, if_version: Some(seen.version), if_held: None };
    session.write(path, write).await.expect("written");
}

async fn spurious_wake_ups_at_a_barrier(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, stranger) = (scene.node().await, scene.stranger().await);
    let barrier = node.barrier("one");
    barrier.set().await.expect("set");
    let waiting = at_barrier(&node);
    for _ in 0..10 {
        touch(&stranger, &scene.path_of(Kind::Barrier, "one")).await;
        sleep(Duration::from_millis(5)).await;
    }
    not_yet("it is set", barrier.wait()).await;
    assert!(!waiting.is_finished());
    barrier.lift().await.expect("lifted");
    pass(waiting).await;
}

async fn a_latch_that_nobody_has_used(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.direct_node().await);
    let latch = node.latch("one", 2);
    assert_eq!(latch.count().await.expect("read"), 2);
    assert!(
        scene.world.listing(scene.path_of(Kind::Latch, "one").as_str()).await.is_empty(),
        "nothing is written"
    );
    assert!(!latch.wait_for(Duration::ZERO).await.expect("answered"));
    let waiting = at_latch(&node, 2);
    not_yet("everything is left", latch.wait()).await;
    let theirs = other.latch("one", 2);
    assert_eq!(theirs.count_down().await.expect("counted"), 1);
    not_yet("one is left", latch.wait()).await;
    assert!(!waiting.is_finished());
    assert_eq!(theirs.count_down().await.expect("counted"), 0);
    pass(waiting).await;
    assert_eq!(theirs.count_down().await.expect("counted"), 0, "at zero it stays");
    soon("at once", latch.wait()).await.expect("the wait ends well");
    assert!(latch.wait_for(Duration::ZERO).await.expect("answered"));
    assert_eq!(latch.count().await.expect("read"), 0);
}

async fn a_restart_while_waiting_for_a_latch(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let nodes = [scene.node().await, scene.node().await];
    assert_eq!(nodes[0].latch("one", 2).count_down().await.expect("counted"), 1);
    let waiting = nodes.each_ref().map(|node| at_latch(node, 2));
    not_yet("one is left", nodes[1].latch("one", 2).wait()).await;
    world.restart().await;
    assert_eq!(
        insist("one is still left", nodes[0].latch("one", 2), |it| async move { it.count().await }).await,
        1
    );
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    assert_eq!(
        insist("counted", nodes[1].latch("one", 2), |it| async move { it.count_down().await }).await,
        0
    );
    for waiting in waiting {
        pass(waiting).await;
    }
}

async fn many_count_a_latch_down(world: Arc<dyn World>) {
    const COUNT: u32 = 60;
    let scene = Scene::new(&world);
    let nodes = [scene.node().await, scene.node().await, scene.direct_node().await];
    let waiting: Vec<_> = nodes.iter().cycle().take(30).map(|node| at_latch(node, COUNT)).collect();
    let counting = nodes.iter().cycle().take(COUNT as usize - 1).map(|node| {
        let latch = node.latch("one", COUNT);
        async move { latch.count_down().await.expect("counted") }
    });
    let mut left = soon("all have counted", join_all(counting)).await;
    left.sort_unstable();
    assert!(left.into_iter().eq(1..COUNT), "each count was counted once");
    not_yet("one is left", nodes[0].latch("one", COUNT).wait()).await;
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    assert_eq!(nodes[1].latch("one", COUNT).count_down().await.expect("counted"), 0);
    for waiting in waiting {
        pass(waiting).await;
    }
}

async fn spurious_wake_ups_at_a_latch(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, stranger) = (scene.node().await, scene.stranger().await);
    let latch = node.latch("one", 1);
    let waiting = at_latch(&node, 1);
    not_yet("one is left", latch.wait()).await;
    for _ in 0..10 {
        touch(&stranger, &scene.path_of(Kind::Latch, "one")).await;
        sleep(Duration::from_millis(5)).await;
    }
    not_yet("one is left", latch.wait()).await;
    assert!(!waiting.is_finished());
    assert_eq!(latch.count_down().await.expect("counted"), 0);
    pass(waiting).await;
}

async fn waits_outlast_cuts_and_lost_sessions(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.direct_node().await);
    other.barrier("one").set().await.expect("set");
    other.latch("one", 1).count().await.expect("read");
    let (barrier, latch) = (at_barrier(&node), at_latch(&node, 1));
    not_yet("it is set", node.barrier("one").wait()).await;
    scene.expire(&node).await;
    sleep(Duration::from_millis(50)).await;
    world.cut().await;
    // Longer than the session lasts: what goes on waits in the one after the next.
    sleep(world.ttl() + world.ttl() / 8).await;
    assert!(!barrier.is_finished() && !latch.is_finished());
    let unreached =
        node.barrier("one").wait_for(Duration::from_millis(100)).await.expect_err("nobody answers");
    assert_eq!(unreached.kind(), ErrorKind::Unavailable, "{unreached}");
    other.barrier("one").lift().await.expect("lifted");
    other.latch("one", 1).count_down().await.expect("counted");
    world.heal().await;
    pass(barrier).await;
    pass(latch).await;
}

async fn disagreeing_counts_are_refused(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let refused = async |latch: CountDownLatch, kind: ErrorKind| {
        for error in [
            latch.count().await.expect_err("refused"),
            latch.count_down().await.expect_err("refused"),
            latch.wait().await.expect_err("refused"),
            latch.wait_for(Duration::from_secs(9)).await.expect_err("refused"),
            latch.reset().await.expect_err("refused"),
        ] {
            assert_eq!((error.kind(), error.name()), (kind, Some("one")), "{error}");
        }
    };
    refused(node.latch("one", 0), ErrorKind::InvalidArgument).await;
    assert!(
        scene.world.listing(scene.path_of(Kind::Latch, "one").as_str()).await.is_empty(),
        "nothing is written"
    );
    let waiting = at_latch(&node, 2);
    not_yet("everything is left", node.latch("one", 2).wait()).await;
    refused(other.latch("one", 3), ErrorKind::Mismatch).await;
    assert_eq!(node.latch("one", 2).count().await.expect("read"), 2, "the others count on");
    waiting.abort();
}

async fn a_latch_is_used_again(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.direct_node().await);
    let latch = other.latch("one", 1);
    assert!(!latch.reset().await.expect("answered"), "it is at its beginning");
    for _ in 0..20 {
        let waiting = [at_latch(&node, 1), at_latch(&node, 1), at_latch(&other, 1)];
        // They wait for this round, or for the next: what must not be is that one waits for ever.
        assert_eq!(latch.count_down().await.expect("counted"), 0);
        assert!(latch.reset().await.expect("answered"), "nothing was left");
        assert_eq!(latch.count().await.expect("read"), 1);
        assert!(!latch.reset().await.expect("answered"), "one is left");
        assert_eq!(latch.count_down().await.expect("counted"), 0);
        for waiting in waiting {
            pass(waiting).await;
        }
        assert!(latch.reset().await.expect("answered"));
    }
    // Who waits for a round hears of its end, although the next one has begun by the time that it looks.
    let waiting = at_latch(&node, 1);
    not_yet("one is left", node.latch("one", 1).wait()).await;
    world.cut().await;
    latch.count_down().await.expect("counted");
    assert!(latch.reset().await.expect("answered"));
    world.heal().await;
    pass(waiting).await;
    assert_eq!(latch.count().await.expect("read"), 1);
}

async fn a_dropped_count_is_counted_at_most_once(world: Arc<dyn World>) {
    const COUNT: u32 = 1_000_000;
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let latch = node.latch("one", COUNT);
    let pace = Duration::from_micros(300);
    let mut before = COUNT;
    for polls in 0.. {
        assert!(polls < 10_000, "nobody is in the way");
        let finished = poll_times(latch.count_down(), polls, pace).await;
        let after = latch.count_down().await.expect("counted");
        assert!(
            (before - 2..=before - 1).contains(&after),
            "{after} after {before}, dropped after {polls} polls"
        );
        if let Some(left) = finished {
            assert_eq!((left.expect("counted"), after), (before - 1, before - 2));
            break;
        }
        sleep(pace * 10).await;
        assert_eq!(latch.count().await.expect("read"), after, "and nothing comes after it");
        before = after;
    }
    // A wait that is dropped leaves nothing but the latch.
    for polls in 1..30 {
        assert!(poll_times(latch.wait(), polls, pace).await.is_none());
    }
    assert_eq!(latch.count().await.expect("read"), before - 2);
}

async fn a_latch_is_exact_over_lost_replies(world: Arc<dyn World>) {
    const COUNT: u32 = 10_000;
    let scene = Scene::new(&world);
    let (nodes, sound) = ([scene.node().await, scene.node().await], scene.direct_node().await);
    let (mut counted, mut doubtful) = (0, 0);
    for _ in 0..3 {
        let healed = &AtomicBool::new(false);
        let counting = join_all(nodes.iter().map(|node| {
            let latch = node.latch("one", COUNT);
            async move {
                let mut outcomes = Vec::new();
                while !healed.load(Ordering::SeqCst) {
                    outcomes.push(latch.count_down().await);
                    sleep(Duration::from_millis(2)).await;
                }
                outcomes
            }
        }));
        let disturbance = async {
            sleep(Duration::from_millis(2)).await;
            world.cut_replies().await;
            sleep(world.ttl() / 20).await;
            world.heal().await;
            healed.store(true, Ordering::SeqCst);
        };
        let (outcomes, ()) = soon("all are answered", async { tokio::join!(counting, disturbance) }).await;
        for outcome in outcomes.concat() {
            match outcome {
                Ok(_) => counted += 1,
                Err(error) if error.kind() == ErrorKind::Indeterminate => doubtful += 1,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
            }
        }
    }
    let left = sound.latch("one", COUNT).count_down().await.expect("counted");
    let done = COUNT - left - 1;
    assert!((counted..=counted + doubtful).contains(&done), "{done} of {counted} and {doubtful} in doubt");
}

async fn a_shutdown_ends_the_waits(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    node.barrier("one").set().await.expect("set");
    let waiting = [at_barrier(&node), at_latch(&node, 1)];
    not_yet("everything is left", node.latch("one", 1).wait()).await;
    soon("the shutdown ends", node.shutdown(PATIENCE)).await.expect("nothing is held");
    for waiting in waiting {
        let error = soon("the wait ends", waiting).await.expect("no panic").expect_err("closed");
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    }
    assert_eq!(node.barrier("one").set().await.expect_err("closed").kind(), ErrorKind::Closed);
    assert_eq!(node.latch("one", 1).count_down().await.expect_err("closed").kind(), ErrorKind::Closed);
    scene.nothing_is_left().await;
}

async fn strangers_and_bad_names(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, stranger) = (scene.node().await, scene.stranger().await);
    let refused = async |barrier: Barrier, latch: CountDownLatch, kind: ErrorKind| {
        for error in [
            barrier.set().await.expect_err("refused"),
            barrier.lift().await.expect_err("refused"),
            barrier.is_set().await.expect_err("refused"),
            barrier.wait().await.expect_err("refused"),
            latch.count().await.expect_err("refused"),
            latch.count_down().await.expect_err("refused"),
            latch.wait().await.expect_err("refused"),
            latch.reset().await.expect_err("refused"),
        ] {
            assert_eq!((error.kind(), error.name()), (kind, Some(barrier.name())), "{error}");
        }
    };
    for name in ["", "a\0", &"x".repeat(256)] {
        refused(node.barrier(name), node.latch(name, 1), ErrorKind::InvalidName).await;
    }
    for foreign in [&b"set"[..], b"leasehold/1 0:1\nround=0", b"\xff\n"] {
        for kind in [Kind::Barrier, Kind::Latch] {
            let write = RegisterWrite { value: foreign.into(), if_version: None, if_held: None };
            stranger.write(&scene.path_of(kind, "one"), write).await.expect("written");
        }
        soon("it is seen", async {
            while node.barrier("one").is_set().await.is_ok() || node.latch("one", 1).count().await.is_ok() {}
        })
        .await;
        refused(node.barrier("one"), node.latch("one", 1), ErrorKind::Corrupt).await;
    }
}

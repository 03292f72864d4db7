//! First come, first served, whatever it is that they ask for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use leasehold_core::Kind;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::sharing::{acquiring, granted};
use crate::contract::World;
use crate::recipes::common::still_waits;
use crate::scene::{Scene, soon};

pub(super) async fn first_come_first_served(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let observer = scene.observer().await;
    let nodes = [scene.node().await, scene.node().await, scene.node().await];
    let held = nodes[0].semaphore("one", 3).acquire_many(3).await.expect("acquired");
    let (entered, mut order) = mpsc::unbounded_channel();
    // No two neighbours fit together, so they come one after the other.
    let counts = [2, 2, 3, 1, 3, 2, 2, 3, 1];
    for (place, count) in counts.into_iter().enumerate() {
        let (semaphore, entered) = (nodes[place % 3].semaphore("one", 3), entered.clone());
        tokio::spawn(async move {
            let permit = semaphore.acquire_many(count).await.expect("acquired");
            entered.send(place).expect("the case listens");
            permit.release().await.expect("released");
        });
        observer.contenders_of(Kind::Semaphore, "one", place + 2).await;
    }
    held.release().await.expect("released");
    for place in 0..counts.len() {
        assert_eq!(soon("the next is granted", order.recv()).await, Some(place));
    }
    scene.nothing_is_left().await;
}

pub(super) async fn a_large_request_is_not_overtaken(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    let (near, far) = (node.semaphore("one", 3), other.semaphore("one", 3));
    let held = near.acquire().await.expect("acquired");
    let mut large = acquiring(far.clone(), 3);
    observer.contenders_of(Kind::Semaphore, "one", 2).await;
    let mut small = acquiring(near.clone(), 1);
    observer.contenders_of(Kind::Semaphore, "one", 3).await;
    let mut last = acquiring(far.clone(), 2);
    observer.contenders_of(Kind::Semaphore, "one", 4).await;
    // Two permits are free, and nobody may have them.
    for semaphore in [&near, &far] {
        assert!(semaphore.try_acquire().await.expect("answered").is_none());
    }
    still_waits("a small request overtook a large one", &mut small).await;
    assert!(!large.is_finished());
    held.release().await.expect("released");
    let large_permit = soon("the large one is first", &mut large).await.expect("no panic");
    still_waits("there is nothing left", &mut small).await;
    still_waits("there is nothing left", &mut last).await;
    large_permit.release().await.expect("released");
    let (small, last) = (granted("both fit", small).await, granted("both fit", last).await);
    assert!(small.is_held() && last.is_held() && small.fencing_token() < last.fencing_token());
    drop((small, last));
    scene.nothing_is_left().await;
}

pub(super) async fn small_requests_do_not_starve_a_large_one(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, observer) = (scene.node().await, scene.observer().await);
    let done = Arc::new(AtomicBool::new(false));
    let mut workers = JoinSet::new();
    for _ in 0..2 {
        let node = scene.node().await;
        for _ in 0..3 {
            let (semaphore, done) = (node.semaphore("one", 4), done.clone());
            workers.spawn(async move {
                let mut tokens = Vec::new();
                while !done.load(Ordering::SeqCst) {
                    let permit = semaphore.acquire().await.expect("acquired");
                    tokens.push((permit.fencing_token(), done.load(Ordering::SeqCst)));
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    permit.release().await.expect("released");
                }
                tokens
            });
        }
    }
    // At no moment are all permits free.
    let first = node.semaphore("one", 4).acquire().await.expect("acquired");
    let large = acquiring(node.semaphore("one", 4), 4);
    observer.contenders_of(Kind::Semaphore, "one", 8).await;
    first.release().await.expect("released");
    let large = granted("the large request is granted", large).await;
    done.store(true, Ordering::SeqCst);
    let token = large.fencing_token();
    large.release().await.expect("released");
    for tokens in soon("the small ones go on", workers.join_all()).await {
        for (small, after) in tokens {
            assert_eq!(small > token, after, "{small:?} came in before {token:?}, or long after");
        }
    }
    scene.nothing_is_left().await;
}

pub(super) async fn tries_neither_overtake_nor_wait(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let nodes = [scene.node().await, scene.node().await, scene.node().await];
    for round in 0..10 {
        let name = format!("round {round}");
        // Six tries at once for two permits each, of four.
        let tries = [&nodes[..], &nodes[..]].concat().into_iter().map(|node| {
            let semaphore = node.semaphore(&name, 4);
            tokio::spawn(async move { semaphore.try_acquire_many(2).await })
        });
        let (mut permits, mut undecided) = (Vec::new(), 0);
        for tried in tries.collect::<Vec<_>>() {
            match soon("a try answers", tried).await.expect("no panic") {
                Ok(permit) => permits.extend(permit),
                // The queue changed so often that the service could not decide in time.
                Err(error) => {
                    assert!(error.is_retryable(), "{error}");
                    undecided += 1;
                }
            }
        }
        assert!(permits.len() <= 2, "never more than fit");
        // Where an entry is tried out and taken back, two tries may be in each other's way, but not for long.
        while permits.len() < 2 {
            assert!(undecided < 100, "it is free");
            undecided += 1;
            permits.extend(nodes[0].semaphore(&name, 4).try_acquire_many(2).await.expect("answered"));
        }
        // How many there are, and not what they are called: a permit may still be saying that it was granted.
        let before = scene.listing().await.len();
        for node in &nodes {
            assert!(node.semaphore(&name, 4).try_acquire().await.expect("answered").is_none());
            let patience = Duration::ZERO;
            assert!(node.semaphore(&name, 4).try_acquire_for(patience).await.expect("answered").is_none());
        }
        assert_eq!(scene.listing().await.len(), before, "a busy try leaves nothing");
        for permit in permits {
            permit.release().await.expect("released");
        }
        let all = nodes[1].semaphore(&name, 4).try_acquire_many(4).await.expect("answered");
        all.expect("everything is free again").release().await.expect("released");
    }
    scene.nothing_is_left().await;
}

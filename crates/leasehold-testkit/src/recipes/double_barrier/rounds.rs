//! Parties that come and leave, round after round.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use leasehold_core::{Error, ErrorKind};
use tokio::time::sleep;

use super::{KIND, all_leave, done, entering, leaving, nothing_is_left};
use crate::contract::World;
use crate::scene::{Scene, soon};

pub(super) async fn all_come_and_all_leave_round_after_round(world: Arc<dyn World>) {
    const PARTIES: usize = 3;
    const ROUNDS: usize = 12;
    let scene = Scene::new(&world);
    let nodes = [scene.node().await, scene.node().await];
    let (come, out) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let parties: Vec<_> = (0..PARTIES)
        .map(|party| {
            // Two of them share a session.
            let barrier = nodes[party % 2].double_barrier("one", PARTIES as u32);
            let (come, out) = (come.clone(), out.clone());
            tokio::spawn(async move {
                let mut last = 0;
                for round in 1..=ROUNDS {
                    come.fetch_add(1, Ordering::SeqCst);
                    let inside = barrier.enter().await.expect("let in");
                    assert!(come.load(Ordering::SeqCst) >= round * PARTIES, "let in before all have come");
                    assert!(inside.round() > last && inside.is_held());
                    last = inside.round();
                    if party == 0 {
                        sleep(Duration::from_millis(3)).await;
                    }
                    out.fetch_add(1, Ordering::SeqCst);
                    inside.leave().await.expect("left");
                    assert!(out.load(Ordering::SeqCst) >= round * PARTIES, "out before all leave");
                }
                last
            })
        })
        .collect();
    for party in parties {
        assert_eq!(soon("all rounds", party).await.expect("no panic"), ROUNDS as u64);
    }
    nothing_is_left(&scene).await;
}

pub(super) async fn a_restart_while_waiting(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let mut passed = 0;
    for round in 0..2 {
        // The session of an observer may be lost to a restart as well.
        let observer = scene.observer().await;
        let first = entering(&node, 2);
        observer.contenders_of(KIND, "one", 1).await;
        if round == 0 {
            world.restart().await;
        }
        let mut second = entering(&other, 2);
        // The sessions may be lost to the restart: then the round is broken, and nobody hangs.
        let told_of_loss = |error: Error| {
            let lost = [ErrorKind::Lost, ErrorKind::PeerLost].contains(&error.kind());
            assert!(round == 0 && lost, "{error}");
        };
        match done("an answer", first).await {
            Ok(first) => {
                let mut leaving_first = leaving(first);
                if round == 0 {
                    world.restart().await;
                }
                // If the second one's session was lost with an entry that it knew nothing of, the first one is inside with that, and
                // hears of its end; the second one came again, for the next round.
                let second_in = async {
                    tokio::select! {
                        second = &mut second => Some(second.expect("no panic").expect("both are in, or none is")),
                        left = &mut leaving_first => {
                            told_of_loss(left.expect("no panic").expect_err("nobody else was inside"));
                            None
                        }
                    }
                };
                match soon("the other is in, or gone", second_in).await {
                    Some(second) => {
                        let outcomes = [done("out", leaving(second)).await, done("out", leaving_first).await];
                        outcomes.into_iter().filter_map(Result::err).for_each(told_of_loss);
                        passed += 1;
                    }
                    None => second.abort(),
                }
            }
            Err(error) => {
                told_of_loss(error);
                // The other one waits alone now, or was told.
                second.abort();
            }
        }
        nothing_is_left(&scene).await;
    }
    assert!(passed >= 1);
}

pub(super) async fn too_many_pass_in_turn(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    let first = entering(&node, 2);
    observer.contenders_of(KIND, "one", 1).await;
    let second = entering(&other, 2);
    let [first, second] =
        [done("in", first).await, done("in", second).await].map(|party| party.expect("let in"));
    // Three more, while the first two are inside.
    let third = entering(&node, 2);
    observer.contenders_of(KIND, "one", 3).await;
    let fourth = entering(&other, 2);
    observer.contenders_of(KIND, "one", 4).await;
    let fifth = entering(&node, 2);
    observer.contenders_of(KIND, "one", 5).await;
    sleep(world.ttl() / 4).await;
    assert!(!third.is_finished() && !fourth.is_finished() && !fifth.is_finished(), "the round is not over");
    let round = first.round();
    let out = leaving(first);
    sleep(world.ttl() / 8).await;
    assert!(!out.is_finished() && !third.is_finished(), "one is still inside");
    done("out", leaving(second)).await.expect("left");
    done("out", out).await.expect("left");
    let [third, fourth] =
        [done("in", third).await, done("in", fourth).await].map(|party| party.expect("let in"));
    assert!(third.round() == fourth.round() && third.round() > round);
    assert!(!fifth.is_finished(), "the last one is a round's first");
    all_leave([third, fourth]).await;
    observer.contenders_of(KIND, "one", 1).await;
    let sixth = entering(&other, 2);
    let [fifth, sixth] =
        [done("in", fifth).await, done("in", sixth).await].map(|party| party.expect("let in"));
    all_leave([fifth, sixth]).await;
    // Eight at once: four rounds of two.
    let crowd: Vec<_> = (0..8).map(|number| entering([&node, &other][number % 2], 2)).collect();
    let mut rounds = Vec::new();
    let crowd: Vec<_> = crowd
        .into_iter()
        .map(|task| {
            tokio::spawn(async move {
                let inside = task.await.expect("no panic")?;
                let round = inside.round();
                inside.leave().await?;
                Ok(round)
            })
        })
        .collect();
    for party in crowd {
        rounds.push(done("in and out", party).await.expect("passed"));
    }
    rounds.sort_unstable();
    assert!(rounds.chunks(2).all(|pair| pair[0] == pair[1]), "{rounds:?}");
    rounds.dedup();
    assert_eq!(rounds.len(), 4, "exactly two a round");
    nothing_is_left(&scene).await;
}

//! Data of strangers, parties that disagree, and calls that are dropped.

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{Error, ErrorKind, Kind, RegisterWrite};
use tokio::time::{sleep, timeout};

use super::{KIND, all_leave, assert_peer_lost, done, entering, inside, leaving, nothing_is_left};
use crate::contract::World;
use crate::polls::poll_times;
use crate::scene::{Scene, soon};

pub(super) async fn strangers_and_changes_wake_nobody_through(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    world.plant_foreign(&scene.path_of(KIND, "one")).await;
    let planted = scene.listing().await;
    let first = entering(&node, 2);
    observer.contenders_of(KIND, "one", 1).await;
    // Parties of another number come and are refused; each of them wakes the one that waits.
    for _ in 0..5 {
        let error = other.double_barrier("one", 9).enter().await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
    }
    assert!(!first.is_finished(), "nobody has come");
    let second = entering(&other, 2);
    let [first, second] =
        [done("in", first).await, done("in", second).await].map(|party| party.expect("let in"));
    let out = leaving(first);
    for _ in 0..5 {
        let error = other.double_barrier("one", 9).enter().await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
    }
    assert!(!out.is_finished() && second.is_held(), "one is still inside");
    done("out", leaving(second)).await.expect("left");
    done("out", out).await.expect("left");
    soon("what was planted is left alone", async {
        while scene.listing().await != planted {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

pub(super) async fn what_strangers_wrote_is_told(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, stranger) = (scene.node().await, scene.stranger().await);
    let write = async |value: &'static str| {
        let write = RegisterWrite { value: value.into(), if_version: None, if_held: None };
        stranger.write(&scene.path_of(Kind::DoubleBarrierRound, "one"), write).await.expect("written");
    };
    let refused = |error: Error| {
        assert_eq!((error.kind(), error.name()), (ErrorKind::Corrupt, Some("one")), "{error}");
    };
    // The number of the second is one that no other follows.
    for foreign in ["x", "round=18446744073709551615&phase=done&parties=", "round=1&phase=open&parties=me"] {
        write(foreign).await;
        refused(done("it is told", entering(&node, 1)).await.expect_err("not a round"));
        nothing_is_left(&scene).await;
    }
    write("round=7&phase=done&parties=").await;
    let [inside] = inside([&node]).await;
    assert_eq!(inside.round(), 8);
    write("x").await;
    refused(done("it is told", leaving(inside)).await.expect_err("not a round"));
    nothing_is_left(&scene).await;
}

pub(super) async fn parties_that_disagree(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    let error = node.double_barrier("one", 0).enter().await.expect_err("no parties");
    assert_eq!((error.kind(), error.name()), (ErrorKind::InvalidArgument, Some("one")), "{error}");
    let error = node.double_barrier("", 1).enter().await.expect_err("a bad name");
    assert_eq!(error.kind(), ErrorKind::InvalidName);
    nothing_is_left(&scene).await;
    let first = entering(&node, 3);
    observer.contenders_of(KIND, "one", 1).await;
    let error = done("refused", entering(&other, 2)).await.expect_err("another number");
    assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
    assert!(error.to_string().contains('3') && error.to_string().contains('2'), "{error}");
    observer.contenders_of(KIND, "one", 1).await;
    assert!(!first.is_finished(), "who came first is not disturbed");
    first.abort();
    observer.contenders_of(KIND, "one", 0).await;
    // Alone.
    let [alone] = inside([&node]).await;
    all_leave([alone]).await;
    nothing_is_left(&scene).await;
}

pub(super) async fn dropped_at_every_poll(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let pace = Duration::from_micros(150);
    // The way in, alone, which is a way through: until it ends by itself.
    let mut polls = 0;
    loop {
        polls += 1;
        assert!(polls < 10_000, "nobody is waited for, and yet it does not get in");
        if let Some(inside) = poll_times(node.double_barrier("one", 1).enter(), polls, pace).await {
            inside.expect("let in").leave().await.expect("left");
            break;
        }
        if polls % 16 == 1 {
            nothing_is_left(&scene).await;
        }
    }
    nothing_is_left(&scene).await;
    // Beside another one: either both are let in, or that one goes on or is told. Then it gets in.
    for polls in (1..40).chain([80, 160, 320]) {
        let waits = entering(&other, 2);
        match poll_times(node.double_barrier("one", 2).enter(), polls, pace).await {
            Some(inside) => {
                let pair = [inside.expect("let in"), done("in", waits).await.expect("let in")];
                all_leave(pair).await;
            }
            None => {
                let mut waits = waits;
                let partner = soon("it is told, or goes on and finds another", async {
                    tokio::select! {
                        outcome = &mut waits => outcome.expect("no panic"),
                        () = sleep(world.ttl() / 16) => {
                            let mut partner = entering(&node, 2);
                            match waits.await.expect("no panic") {
                                // The two of them.
                                Ok(inside) => {
                                    match timeout(world.ttl(), &mut partner).await {
                                        Ok(partner) => {
                                            let partner = partner.expect("no panic").expect("let in");
                                            all_leave([inside, partner]).await;
                                        }
                                        // It was let in with the one that was dropped, which was slow to show: it is told
                                        // so, while the partner waits on.
                                        Err(_) => {
                                            assert_peer_lost(done("an answer", leaving(inside)).await);
                                            partner.abort();
                                            nothing_is_left(&scene).await;
                                        }
                                    }
                                    return None;
                                }
                                Err(error) => {
                                    partner.abort();
                                    Err(error)
                                }
                            }
                        }
                    }
                    .into()
                })
                .await;
                match partner {
                    None => {}
                    // Let in with the one that was dropped at that moment.
                    Some(Ok(inside)) => assert_peer_lost(done("an answer", leaving(inside)).await),
                    Some(Err(error)) => assert_eq!(error.kind(), ErrorKind::PeerLost, "{error}"),
                }
            }
        }
    }
    // The way out goes on.
    for polls in 1..24 {
        let [a, b] = inside([&node, &other]).await;
        if let Some(left) = poll_times(a.leave(), polls, pace).await {
            panic!("out before all leave: {left:?}");
        }
        done("all are out", leaving(b)).await.expect("the other one has left");
    }
    nothing_is_left(&scene).await;
}

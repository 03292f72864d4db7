//! The conformance suite of the double barrier.
//!
//! | case | what it proves |
//! |---|---|
//! | `all_come_and_all_leave_round_after_round` | nobody is let in before all have come, nobody is out before all leave; a quick party leaves a slow one nothing to miss |
//! | `a_restart_while_waiting` | server crash |
//! | `too_many_pass_in_turn` | exactly n pass, in order, the others in the next round |
//! | `a_party_that_dies_inside` | told to those that leave |
//! | `a_party_that_dies_while_it_waits` | told to those that wait, and who enters again is not disturbed by it |
//! | `a_party_that_gives_up` | dropping the way in, or what is inside, is as dying; leaving goes on |
//! | `all_die_inside` | the next parties find the barrier usable |
//! | `its_own_loss_is_told` | a party whose session ends is told so, on both ways, and the others as well |
//! | `strangers_and_changes_wake_nobody_through` | spurious wake-ups, foreign data |
//! | `what_strangers_wrote_is_told` | hostile data in the register of the rounds: `Corrupt`, on both ways |
//! | `parties_that_disagree` | other numbers are refused, none at all too |
//! | `dropped_at_every_poll` | what is left behind, and that the barrier can be used afterwards |

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use leasehold_core::{Coordinator, Error, ErrorKind, Inside, Kind, RegisterWrite};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::table;
use crate::contract::World;
use crate::polls::poll_times;
use crate::scene::{PATIENCE, Scene, soon};

table! {
    all_come_and_all_leave_round_after_round
    a_restart_while_waiting [61]
    too_many_pass_in_turn [62, 65]
    a_party_that_dies_inside [63]
    a_party_that_dies_while_it_waits [63]
    a_party_that_gives_up [63]
    all_die_inside [63]
    its_own_loss_is_told
    strangers_and_changes_wake_nobody_through [64]
    what_strangers_wrote_is_told
    parties_that_disagree
    dropped_at_every_poll
}

const KIND: Kind = Kind::DoubleBarrier;

fn entering(node: &Coordinator, parties: u32) -> JoinHandle<Result<Inside, Error>> {
    let barrier = node.double_barrier("one", parties);
    tokio::spawn(async move { barrier.enter().await })
}

fn leaving(inside: Inside) -> JoinHandle<Result<(), Error>> {
    tokio::spawn(inside.leave())
}

async fn done<T>(what: &str, task: JoinHandle<Result<T, Error>>) -> Result<T, Error> {
    soon(what, task).await.expect("no panic")
}

/// The parties of a round, let in.
async fn inside<const N: usize>(nodes: [&Coordinator; N]) -> [Inside; N] {
    let tasks = nodes.map(|node| entering(node, N as u32));
    let mut inside = Vec::new();
    for task in tasks {
        inside.push(done("all are let in", task).await.expect("let in"));
    }
    assert!(inside.iter().all(|party| party.round() == inside[0].round() && party.is_held()));
    inside.try_into().expect("as many as came")
}

async fn all_leave<const N: usize>(parties: [Inside; N]) {
    for task in parties.map(leaving) {
        done("all are out", task).await.expect("left");
    }
}

/// What is in the register of the rounds stays; the entries do not.
async fn nothing_is_left(scene: &Scene) {
    scene.nothing_is_left().await;
}

async fn all_come_and_all_leave_round_after_round(world: Arc<dyn World>) {
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

async fn a_restart_while_waiting(world: Arc<dyn World>) {
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
        let second = entering(&other, 2);
        // The sessions may be lost to the restart: then the round is broken, and nobody hangs.
        let (first, second) = (done("an answer", first).await, second);
        match first {
            Ok(first) => {
                let second = done("let in", second).await.expect("both are in, or none is");
                let leaving_first = leaving(first);
                if round == 0 {
                    world.restart().await;
                }
                let outcomes = [done("out", leaving(second)).await, done("out", leaving_first).await];
                assert!(round == 0 || outcomes.iter().all(Result::is_ok), "{outcomes:?}");
                passed += 1;
            }
            Err(error) => {
                assert!(
                    round == 0 && [ErrorKind::Lost, ErrorKind::PeerLost].contains(&error.kind()),
                    "{error}"
                );
                // The other one waits alone now, or was told.
                second.abort();
            }
        }
        nothing_is_left(&scene).await;
    }
    assert!(passed >= 1);
}

async fn too_many_pass_in_turn(world: Arc<dyn World>) {
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

/// The parties that wait have looked since the last one came: who has never seen another one does not miss it.
async fn they_have_met(world: &Arc<dyn World>) {
    sleep(world.ttl() / 4).await;
}

fn assert_peer_lost<T: std::fmt::Debug>(outcome: Result<T, Error>) {
    let error = outcome.expect_err("a party is gone");
    assert_eq!((error.kind(), error.name()), (ErrorKind::PeerLost, Some("one")), "{error}");
}

async fn a_party_that_dies_inside(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let mut mortal = scene.mortal().await;
    let [a, b, dead] = inside([&node, &other, &mortal.coordinator]).await;
    let early = leaving(a);
    mortal.kill();
    assert_peer_lost(done("the one that waits to be out", early).await);
    assert_peer_lost(done("and the one that works on", leaving(b)).await);
    assert!(!dead.is_held());
    drop(dead);
    let parties = inside([&node, &other, &node]).await;
    all_leave(parties).await;
    nothing_is_left(&scene).await;
}

async fn a_party_that_dies_while_it_waits(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    let mut mortal = scene.mortal().await;
    let dead = entering(&mortal.coordinator, 4);
    observer.contenders_of(KIND, "one", 1).await;
    let waiting = [entering(&node, 4), entering(&other, 4)];
    observer.contenders_of(KIND, "one", 3).await;
    they_have_met(&world).await;
    mortal.kill();
    for party in waiting {
        assert_peer_lost(done("those that wait are told", party).await);
    }
    assert_eq!(dead.await.expect("no panic").expect_err("its driver is gone").kind(), ErrorKind::DriverGone);
    a_party_dies_before_its_round(&scene).await;
    // All of them at once, while the entries of before may still be there.
    let parties = inside([&node, &other, &node, &other]).await;
    all_leave(parties).await;
    nothing_is_left(&scene).await;
}

/// It waits for the end of a round that it is not in; the one beside it must not wait for it afterwards.
async fn a_party_dies_before_its_round(scene: &Scene) {
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    observer.contenders_of(KIND, "one", 0).await;
    let mut mortal = scene.mortal().await;
    let [a, b] = inside([&node, &other]).await;
    let dead = entering(&mortal.coordinator, 2);
    observer.contenders_of(KIND, "one", 3).await;
    let waits = entering(&node, 2);
    observer.contenders_of(KIND, "one", 4).await;
    they_have_met(&scene.world).await;
    mortal.kill();
    observer.contenders_of(KIND, "one", 3).await;
    assert!(!waits.is_finished(), "the round before is not over");
    all_leave([a, b]).await;
    assert_peer_lost(done("it is told", waits).await);
    assert_eq!(dead.await.expect("no panic").expect_err("its driver is gone").kind(), ErrorKind::DriverGone);
    observer.contenders_of(KIND, "one", 0).await;
}

async fn a_party_that_gives_up(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    for _ in 0..3 {
        let (gives_up, waits) = (entering(&node, 3), entering(&other, 3));
        observer.contenders_of(KIND, "one", 2).await;
        they_have_met(&world).await;
        gives_up.abort();
        assert_peer_lost(done("the one that waits is told", waits).await);
        observer.contenders_of(KIND, "one", 0).await;
        // Out without a word.
        let [a, b] = inside([&node, &other]).await;
        drop(a);
        assert_peer_lost(done("the one that leaves is told", leaving(b)).await);
        // Out with a word, whoever waits for the answer.
        let [a, b] = inside([&node, &other]).await;
        assert!(poll_times(a.leave(), 1, Duration::ZERO).await.is_none(), "not before the other one");
        done("all are out", leaving(b)).await.expect("the other one has left");
        observer.contenders_of(KIND, "one", 0).await;
    }
    nothing_is_left(&scene).await;
}

async fn all_die_inside(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let (mut first, mut second) = (scene.mortal().await, scene.mortal().await);
    let parties = inside([&first.coordinator, &second.coordinator]).await;
    first.kill();
    second.kill();
    // While the service still believes in the dead, and afterwards.
    let [a, b] = inside([&node, &node]).await;
    assert!(a.round() > parties[0].round());
    all_leave([a, b]).await;
    drop(parties);
    nothing_is_left(&scene).await;
}

async fn its_own_loss_is_told(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    let (lost, waits) = (entering(&node, 3), entering(&other, 3));
    observer.contenders_of(KIND, "one", 2).await;
    they_have_met(&world).await;
    scene.expire(&node).await;
    let error = done("the loss is told", lost).await.expect_err("lost");
    assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
    assert!(error.loss_reason().is_some());
    assert_peer_lost(done("and to the other", waits).await);
    // Their entries count three parties as long as they are there.
    observer.contenders_of(KIND, "one", 0).await;
    let [a, b] = inside([&node, &other]).await;
    let held = a.held();
    scene.expire(&node).await;
    soon("the one inside is told", held.lost()).await;
    let error = done("an answer", leaving(a)).await.expect_err("lost");
    assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
    assert_peer_lost(done("and the other", leaving(b)).await);
    let parties = inside([&node, &other]).await;
    all_leave(parties).await;
    // A shutdown ends the wait.
    let waits = entering(&node, 2);
    observer.contenders_of(KIND, "one", 1).await;
    node.shutdown(PATIENCE).await.expect("nothing is held");
    assert_eq!(done("an answer", waits).await.expect_err("shut down").kind(), ErrorKind::Closed);
    nothing_is_left(&scene).await;
}

async fn strangers_and_changes_wake_nobody_through(world: Arc<dyn World>) {
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

async fn what_strangers_wrote_is_told(world: Arc<dyn World>) {
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

async fn parties_that_disagree(world: Arc<dyn World>) {
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

async fn dropped_at_every_poll(world: Arc<dyn World>) {
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

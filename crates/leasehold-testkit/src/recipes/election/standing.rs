//! Candidacies, and how leaderships end.

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{ErrorKind, LossReason};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::contract::World;
use crate::polls::poll_times;
use crate::scene::{BRIEF, PATIENCE};

pub(super) async fn the_next_leads_when_the_leader_is_gone(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let observer = scene.observer().await;
    let mut mortal = scene.mortal().await;
    let (second, third, fourth) = (scene.node().await, scene.node().await, scene.node().await);
    let believers = Believers::default();
    let dies = lead(&mortal.coordinator, "first").await;
    believers.elected(&dies);
    let second_stands = stand(&second, "second");
    stands(&observer, 2).await;
    let third_stands = stand(&third, "third");
    stands(&observer, 3).await;
    let fourth_stands = stand(&fourth, "fourth");
    stands(&observer, 4).await;
    let listed = election(&fourth).candidates().await.expect("answered");
    let values: Vec<_> = listed.iter().map(|candidate| candidate.value()).collect();
    assert_eq!(values, [&b"first"[..], b"second", b"third", b"fourth"], "in order");
    assert_eq!(listed[0].fencing_token(), dies.fencing_token());
    assert_eq!(listed[0].holder().pid, std::process::id());

    mortal.kill();
    let expires = elected(second_stands).await;
    believers.elected(&expires);
    scene.expire(&second).await;
    let resigns = elected(third_stands).await;
    // Ended from outside and not by its deadline, so it has to be told, and that takes its time.
    let reason = soon("the loss is told", expires.lost()).await;
    believers.elected(&resigns);
    let reasons = [LossReason::SessionEnded, LossReason::EntryRemoved, LossReason::DeadlinePassed];
    assert!(reasons.contains(&reason), "{reason:?}");
    assert!(expires.resign().await.expect_err("lost").is_lost());
    resigns.resign().await.expect("resigned");
    let last = elected(fourth_stands).await;
    believers.elected(&last);
    drop(last);
    scene.nothing_is_left().await;
}

pub(super) async fn a_session_lost_while_standing_is_no_leadership(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (leader, loser) = (scene.node().await, scene.node().await);
    let observer = scene.observer().await;
    let leads = lead(&leader, "leader").await;
    let losing = stand(&loser, "loser");
    stands(&observer, 2).await;
    let mut sessions = loser.status();
    let lost = sessions.borrow_and_update().session.clone();
    scene.expire(&loser).await;
    soon("the next session", sessions.wait_for(|s| s.session.is_some() && s.session != lost))
        .await
        .expect("open");
    stands(&observer, 2).await;
    assert!(leads.is_held() && !losing.is_finished());
    leads.resign().await.expect("resigned");
    let next = elected(losing).await;
    assert!(next.is_held());
    next.resign().await.expect("resigned");
    scene.nothing_is_left().await;
}

pub(super) async fn a_campaign_that_fails_leaves_nothing(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    let too_large = vec![b'x'; node.capabilities().max_value_bytes + 1];
    for refused in [
        election(&node).campaign(too_large.clone()).await,
        election(&node).try_campaign(too_large.clone()).await.map(|_| unreachable!("too large")),
    ] {
        let error = refused.expect_err("too large");
        assert_eq!((error.kind(), error.name()), (ErrorKind::TooLarge, Some(NAME)), "{error}");
    }
    let unnamed = node.election("");
    assert_eq!(unnamed.campaign("x").await.expect_err("no name").kind(), ErrorKind::InvalidName);
    assert_eq!(unnamed.leader().await.expect_err("no name").kind(), ErrorKind::InvalidName);
    assert_eq!(unnamed.observe().expect_err("no name").kind(), ErrorKind::InvalidName);
    scene.nothing_is_left().await;

    let leads = lead(&other, "leader").await;
    assert!(election(&node).try_campaign("x").await.expect("answered").is_none());
    let patience = BRIEF;
    assert!(election(&node).try_campaign_for("x", patience).await.expect("answered").is_none());
    stands(&observer, 1).await;
    let cancelled = stand(&node, "x");
    stands(&observer, 2).await;
    cancelled.abort();
    stands(&observer, 1).await;
    let shut_down = stand(&node, "x");
    stands(&observer, 2).await;
    node.shutdown(PATIENCE).await.expect("nothing is held");
    assert_eq!(shut_down.await.expect("no panic").expect_err("shut down").kind(), ErrorKind::Closed);
    stands(&observer, 1).await;
    assert!(leads.is_held());
    leads.resign().await.expect("resigned");
    scene.nothing_is_left().await;
}

/// For every k: the future is dropped at its k-th poll, paced so that the polls fall into every stage of it.
pub(super) async fn campaigns_dropped_at_every_poll(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let pace = Duration::from_micros(150);
    for polls in 0_usize.. {
        assert!(polls < 10_000, "nobody leads and yet nobody is elected");
        let led = poll_times(election(&node).campaign("dropped"), polls, pace).await;
        let finished = led.is_some();
        drop(led.map(|led| led.expect("elected")));
        lead(&other, "next").await.resign().await.expect("resigned");
        if finished {
            break;
        }
    }
    scene.nothing_is_left().await;
    for polls in (1..30).chain([60, 120, 240, 480]) {
        let leads = lead(&other, "leader").await;
        let dropped = poll_times(election(&node).campaign("dropped"), polls, pace).await;
        assert!(dropped.is_none(), "elected while another leads");
        let next = stand(&node, "next");
        leads.resign().await.expect("resigned");
        elected(next).await.resign().await.expect("resigned");
    }
    scene.nothing_is_left().await;
}

pub(super) async fn a_resignation_after_an_error_is_a_resignation(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, direct_node(&scene).await);
    let leads = lead(&node, "leader").await;
    let next = stand(&other, "next");
    stands(&scene.observer().await, 2).await;
    let too_large = vec![b'x'; node.capabilities().max_value_bytes + 1];
    let error = leads.proclaim(too_large).await.expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert!(error.to_string().starts_with("proclaim \"one\" on "), "{error}");
    assert!(leads.is_held());
    world.cut().await;
    let hung = tokio::time::timeout(world.ttl() / 8, leads.proclaim("unheard")).await;
    assert!(hung.is_err(), "nobody answers, and the leadership lasts: {hung:?}");
    world.heal().await;
    assert!(leads.is_held(), "shorter than the TTL");
    let leader = election(&other).leader().await.expect("answered").expect("somebody leads");
    assert_eq!(leader.fencing_token(), leads.fencing_token());
    leads.resign().await.expect("it knows what it resigns");
    elected(next).await.resign().await.expect("resigned");
    scene.nothing_is_left().await;
}

pub(super) async fn an_entry_removed_by_hand_is_stood_for_again(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let session = node.status().borrow().session.clone();
    let mut before = lead(&node, "leader").await;
    for _ in 0..3 {
        stands(&scene.observer().await, 1).await;
        world.remove_queue(&scene.path_of(Kind::Election, NAME)).await;
        assert_eq!(soon("the loss is told", before.lost()).await, LossReason::EntryRemoved);
        assert!(!before.is_held());
        let error = before.proclaim("x").await.expect_err("lost");
        assert_eq!(error.loss_reason(), Some(LossReason::EntryRemoved));
        let again = lead(&node, "again").await;
        assert!(again.fencing_token() > before.fencing_token());
        assert!(before.resign().await.expect_err("lost").is_lost());
        assert!(again.is_held(), "the stale resignation is not its own");
        before = again;
    }
    assert_eq!(node.status().borrow().session, session, "all on one session");
    before.resign().await.expect("resigned");
    scene.nothing_is_left().await;
}

/// Candidates on both sides of a network that is cut for shorter and for longer than the TTL, while leaders resign, each of
/// them at its own pace. (Who is ended by an administrator, not by its own deadline, has to be told; that is no case of these.)
pub(super) async fn never_two_that_believe(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (believers, stop) = (Believers::default(), CancellationToken::new());
    let mut candidates = Vec::new();
    for nth in 0_u32..4 {
        let node = if nth < 3 { scene.node().await } else { direct_node(&scene).await };
        let (believers, stop) = (believers.clone(), stop.clone());
        candidates.push(tokio::spawn(async move {
            let election = election(&node);
            while !stop.is_cancelled() {
                let leadership = tokio::select! {
                    leadership = election.campaign("candidate") => leadership.expect("elected"),
                    () = stop.cancelled() => break,
                };
                believers.elected(&leadership);
                // Some are lost, some resigned, some dropped.
                let tenure = Duration::from_millis(40 + 90 * u64::from(nth));
                tokio::select! {
                    _ = leadership.lost() => {}
                    () = sleep(tenure) => {}
                    () = stop.cancelled() => {}
                }
                match nth % 2 {
                    0 => drop(leadership),
                    _ => drop(leadership.resign().await),
                }
            }
            drop(election);
            node
        }));
    }
    for _ in 0..3 {
        world.cut().await;
        sleep(world.ttl() / 6).await;
        world.heal().await;
        sleep(world.ttl() / 6).await;
        world.cut().await;
        sleep(world.ttl() + world.ttl() / 4).await;
        world.heal().await;
        sleep(world.ttl() / 4).await;
    }
    stop.cancel();
    for candidate in candidates {
        let node = soon("the candidate ends", candidate).await.expect("no two leaders");
        node.shutdown(PATIENCE).await.expect("nothing is held");
    }
    assert!(believers.count() > 6, "{} leaders are no test", believers.count());
    scene.nothing_is_left().await;
}

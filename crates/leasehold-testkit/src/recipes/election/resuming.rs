//! Leaderships that outlive the process that had them.
//!
//! A service that cannot resume sessions has to say so; the cases then end with that.

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{CoordinatorBuilder, ErrorKind, LeadershipTicket, LossReason};
use tokio::time::sleep;

use super::*;
use crate::contract::World;
use crate::polls::poll_times;
use crate::scene::PATIENCE;

/// The leadership's ticket, as the next incarnation reads it.
fn ticket(node: &Coordinator, leadership: &Leadership) -> LeadershipTicket {
    let ticket = leadership.ticket().expect("sessions can be resumed");
    let read = LeadershipTicket::from_bytes(&ticket.to_bytes()).expect("what was written");
    assert_eq!(read, ticket);
    assert_eq!(Some(ticket.credentials()), node.credentials().as_ref());
    read
}

fn successor(scene: &Scene, ticket: &LeadershipTicket) -> CoordinatorBuilder {
    scene.builder_over(scene.world.direct()).resume(ticket.credentials().clone())
}

/// The next incarnation's coordinator.
async fn restarted(scene: &Scene, ticket: &LeadershipTicket) -> Coordinator {
    soon("it is resumed", successor(scene, ticket).connect()).await.expect("the session lives")
}

async fn resume(node: &Coordinator, ticket: &LeadershipTicket) -> Leadership {
    soon("it leads again", election(node).resume(ticket)).await.expect("the leadership lasts")
}

pub(super) async fn no_ticket_without_resumption(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let leads = lead(&node, "leads").await;
    let error = leads.ticket().expect_err("sessions cannot be resumed");
    assert_eq!((error.kind(), error.name()), (ErrorKind::Unsupported, Some(NAME)));
    assert!(node.credentials().is_none() && leads.is_held());
}

pub(super) async fn a_restarted_leader_goes_on_without_a_gap(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (mut mortal, other) = (scene.mortal().await, direct_node(&scene).await);
    let first = lead(&mortal.coordinator, "first").await;
    first.proclaim("leader").await.expect("proclaimed");
    let ticket = ticket(&mortal.coordinator, &first);
    let waits = stand(&other, "waits");
    stands(&scene.observer().await, 2).await;
    let mut stream = election(&other).observe().expect("a sound name");
    let seen = next(&mut stream).await.expect("somebody leads");
    let watching = tokio::spawn(async move {
        // Whoever is seen to lead until the end: always the same, under rising tokens.
        let mut tokens = vec![seen.fencing_token()];
        loop {
            let leader = stream.next().await.expect("the stream goes on").expect("somebody leads");
            if leader.value() == b"waits" {
                return tokens;
            }
            assert_eq!(leader.value(), b"leader");
            tokens.push(leader.fencing_token());
        }
    });
    // Killed; then taken over from one that goes on; then once more.
    mortal.kill();
    let mut tokens = vec![first.fencing_token()];
    let mut incarnations: Vec<(Coordinator, Leadership)> = Vec::new();
    for turn in 1..=3 {
        let node = restarted(&scene, &ticket).await;
        let leads = resume(&node, &ticket).await;
        let token = leads.fencing_token();
        assert_eq!((token.order(), token.sub_order()), (tokens[0].order(), turn));
        assert!(token > tokens[tokens.len() - 1]);
        tokens.push(token);
        if let Some((_, older)) = incarnations.last() {
            assert_eq!(soon("the older one is told", older.lost()).await, LossReason::Superseded);
            assert_eq!(older.proclaim("x").await.expect_err("over").kind(), ErrorKind::Lost);
            assert_eq!(older.ticket().expect_err("over").loss_reason(), Some(LossReason::Superseded));
        }
        assert_eq!(leads.ticket().expect("it leads"), ticket, "it stays the same");
        let leader = election(&node).leader().await.expect("answered").expect("it leads");
        assert_eq!((leader.value(), leader.fencing_token()), (&b"leader"[..], token));
        incarnations.push((node, leads));
    }
    let (node, leads) = incarnations.pop().expect("three");
    // What becomes of the older ones concerns nobody.
    for (node, older) in incarnations {
        assert!(older.resign().await.expect_err("superseded").is_lost());
        node.shutdown(PATIENCE).await.expect("nothing is held");
    }
    drop(first);
    let lost = tokio::time::timeout(world.ttl() * 2, leads.lost()).await;
    assert!(lost.is_err() && !waits.is_finished(), "for longer than an unrenewed session: {lost:?}");
    leads.resign().await.expect("resigned");
    let next = elected(waits).await;
    assert!(next.fencing_token() > tokens[3]);
    let seen = soon("the end is seen", watching).await.expect("the same leader all the time");
    assert!(seen.is_sorted() && tokens.iter().any(|token| seen.contains(token)), "{seen:?}");
    next.resign().await.expect("resigned");
    node.shutdown(PATIENCE).await.expect("nothing is held");
    scene.nothing_is_left().await;
}

/// The older incarnation resigns, drops and proclaims in the moment in which it is superseded.
pub(super) async fn an_older_incarnation_cannot_resign_for_the_newer(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (mut resumed, mut over) = (0, 0);
    for round in 0_u64..24 {
        let older = scene.node().await;
        let leads = lead(&older, "older").await;
        let ticket = ticket(&older, &leads);
        let held = leads.held();
        let pause = Duration::from_micros(150 * (round / 3));
        let ends = tokio::spawn(async move {
            sleep(pause).await;
            match round % 3 {
                0 => drop(leads.resign().await),
                1 => drop(leads),
                _ => drop(leads.proclaim("late").await),
            }
        });
        let node = restarted(&scene, &ticket).await;
        match soon("an answer", election(&node).resume(&ticket)).await {
            Ok(newer) => {
                resumed += 1;
                assert!(!held.is_held() || newer.fencing_token() > held.fencing_token());
                ends.await.expect("no panic");
                // Longer than anything of the older one can be on its way.
                let lost = tokio::time::timeout(world.ttl() / 20, newer.lost()).await;
                assert!(lost.is_err() && newer.is_held(), "the older one ended it: {lost:?}");
                let leader = election(&node).leader().await.expect("answered").expect("it leads");
                assert_eq!(leader.fencing_token(), newer.fencing_token());
                newer.resign().await.expect("its own to resign");
            }
            Err(error) => {
                over += 1;
                assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
                ends.await.expect("no panic");
                assert!(!held.is_held(), "resigned before");
            }
        }
        for node in [older, node] {
            node.shutdown(PATIENCE).await.expect("nothing is held");
        }
        scene.nothing_is_left().await;
    }
    assert!(resumed > 0, "{resumed} resumed, {over} were over");
}

pub(super) async fn a_leadership_that_is_over_is_not_resumed(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let leads = lead(&node, "leader").await;
    let kept = ticket(&node, &leads);
    assert_eq!(format!("{kept:?}"), "LeadershipTicket(…)");
    // Resigned while the session lives.
    leads.resign().await.expect("resigned");
    let next = restarted(&scene, &kept).await;
    let error = election(&next).resume(&kept).await.expect_err("resigned");
    let about = (error.kind(), error.name(), error.backend());
    assert_eq!(about, (ErrorKind::Lost, Some(NAME), Some(world.service())), "{error}");
    assert!(error.to_string().starts_with("resume "), "{error}");
    assert_eq!(error.loss_reason(), Some(LossReason::EntryRemoved));
    // Removed by hand.
    let leads = lead(&next, "leader").await;
    let removed = ticket(&next, &leads);
    stands(&scene.observer().await, 1).await;
    world.remove_queue(&scene.path_of(Kind::Election, NAME)).await;
    soon("the loss is told", leads.lost()).await;
    assert_eq!(leads.ticket().expect_err("over").kind(), ErrorKind::Lost);
    let later = restarted(&scene, &removed).await;
    assert_eq!(election(&later).resume(&removed).await.expect_err("removed").kind(), ErrorKind::Lost);
    // Gone with its session.
    let leads = lead(&later, "leader").await;
    let expired = ticket(&later, &leads);
    scene.expire(&later).await;
    soon("the loss is told", leads.lost()).await;
    let error = soon("an answer", successor(&scene, &expired).connect()).await.expect_err("expired");
    assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
    let fresh = successor(&scene, &expired).connect_lazy().expect("a sound configuration");
    let error = soon("an answer", election(&fresh).resume(&expired)).await.expect_err("expired");
    assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
    // One that was never in the session.
    let stranger = scene.node().await;
    let leads = lead(&fresh, "leader").await;
    let lasts = ticket(&fresh, &leads);
    let error = election(&stranger).resume(&lasts).await.expect_err("another session");
    assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
    assert!(leads.is_held());
    fresh.shutdown(Duration::ZERO).await.expect_err("it still leads");
    let error = election(&fresh).resume(&lasts).await.expect_err("shut down");
    assert_eq!(error.kind(), ErrorKind::Closed);
    drop(leads);
    for node in [node, next, later, stranger] {
        node.shutdown(PATIENCE).await.expect("nothing is held");
    }
    scene.nothing_is_left().await;
}

pub(super) async fn a_ticket_is_good_for_one_leadership(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let leads = lead(&node, "leader").await;
    let ticket = ticket(&node, &leads);
    let refused = async |node: &Coordinator, name: &str| {
        let error = soon("an answer", node.election(name).resume(&ticket)).await.expect_err("refused");
        assert_eq!((error.kind(), error.name()), (ErrorKind::InvalidArgument, Some(name)), "{error}");
    };
    refused(&node, NAME).await;
    assert!(leads.is_held(), "its own ticket is no use to it, and does no harm");
    let next = restarted(&scene, &ticket).await;
    refused(&next, "another").await;
    let resumed = resume(&next, &ticket).await;
    refused(&next, NAME).await;
    assert!(resumed.is_held());
    resumed.resign().await.expect("resigned");
    refused(&next, NAME).await;
    lead(&next, "again").await.resign().await.expect("resigned");
    next.shutdown(PATIENCE).await.expect("nothing is held");
    node.shutdown(PATIENCE).await.expect("nothing is held");
    scene.nothing_is_left().await;
}

pub(super) async fn of_two_resumers_one_leads(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    for _ in 0..6 {
        let (older, other) = (scene.node().await, scene.node().await);
        let first = lead(&older, "leader").await;
        let ticket = ticket(&older, &first);
        let waits = stand(&other, "waits");
        let race = async || {
            let node = successor(&scene, &ticket).connect().await?;
            let leads = election(&node).resume(&ticket).await;
            leads.map(|leads| (node, leads))
        };
        let (one, two) = soon("both end", async { tokio::join!(race(), race()) }).await;
        let mut resumed = Vec::new();
        for outcome in [one, two] {
            match outcome {
                Ok(resumer) => resumed.push(resumer),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Lost, "{error}"),
            }
        }
        resumed.sort_by_key(|(_, leads)| leads.fencing_token());
        let (_, last) = resumed.pop().expect("the last to resume leads");
        if let Some((_, older)) = resumed.pop() {
            assert!(older.fencing_token() < last.fencing_token(), "no token twice");
            assert_eq!(soon("it is told", older.lost()).await, LossReason::Superseded);
        }
        assert_eq!(soon("it is told", first.lost()).await, LossReason::Superseded);
        assert!(last.is_held() && !waits.is_finished());
        last.resign().await.expect("resigned");
        elected(waits).await.resign().await.expect("resigned");
        drop(first);
        scene.nothing_is_left().await;
    }
}

pub(super) async fn resumptions_dropped_at_every_poll(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let other = scene.node().await;
    let pace = Duration::from_micros(150);
    for polls in 0_usize.. {
        assert!(polls < 10_000, "a resumption does not end");
        let older = scene.node().await;
        let leads = lead(&older, "leader").await;
        let ticket = ticket(&older, &leads);
        let waits = stand(&other, "waits");
        stands(&scene.observer().await, 2).await;
        let node = restarted(&scene, &ticket).await;
        let resumed = poll_times(election(&node).resume(&ticket), polls, pace).await;
        let finished = resumed.is_some();
        match resumed {
            Some(resumed) => resumed.expect("resumed").resign().await.expect("resigned"),
            // Nothing has happened yet.
            None if polls == 0 => resume(&node, &ticket).await.resign().await.expect("resigned"),
            // If it was begun it is resigned; if it was not, it can be resumed, and is then resigned.
            None => drop(election(&node).resume(&ticket).await),
        }
        elected(waits).await.resign().await.expect("resigned");
        drop(leads);
        for node in [older, node] {
            node.shutdown(PATIENCE).await.expect("nothing is held");
        }
        if finished {
            break;
        }
    }
    scene.nothing_is_left().await;
}

//! Values that leaders publish.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use leasehold_core::{ErrorKind, LossReason};
use tokio::time::sleep;

use super::*;
use crate::contract::World;
use crate::polls::poll_times;

async fn value(node: &Coordinator) -> Vec<u8> {
    let leader = soon("an answer", election(node).leader()).await.expect("answered");
    leader.expect("somebody leads").value().to_vec()
}

pub(super) async fn a_proclamation_keeps_leadership_and_token(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let leads = lead(&node, "").await;
    let next = stand(&other, "next");
    stands(&scene.observer().await, 2).await;
    let token = leads.fencing_token();
    let mut stream = election(&other).observe().expect("a sound name");
    assert_eq!(next_value(&mut stream).await, b"");
    for value in [&b"plain"[..], b"", b"\0\xff&value=x=\n%", &[b'x'; 10_000]] {
        leads.proclaim(value.to_vec()).await.expect("proclaimed");
        let leader = election(&node).leader().await.expect("answered").expect("it leads");
        assert_eq!((leader.value(), leader.fencing_token()), (value, token));
        assert_eq!(next_value(&mut stream).await, value);
    }
    assert!(leads.is_held() && !next.is_finished());
    assert_eq!(leads.fencing_token(), token);
    let held = leads.held();
    leads.resign().await.expect("resigned");
    assert_eq!(held.lost().await, LossReason::Released);
    let next = elected(next).await;
    scene.expire(&other).await;
    soon("the loss is told", next.lost()).await;
    assert_eq!(next.proclaim("x").await.expect_err("lost").kind(), ErrorKind::Lost);
    drop(next);
    scene.nothing_is_left().await;
}

async fn next_value(stream: &mut LeaderStream) -> Vec<u8> {
    next(stream).await.expect("somebody leads").value().to_vec()
}

pub(super) async fn proclamations_are_ordered(world: Arc<dyn World>) {
    const MANY: usize = 40;
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let leads = lead(&node, "0").await;
    let mut stream = election(&other).observe().expect("a sound name");
    let observing = tokio::spawn(async move {
        let mut seen = Vec::new();
        while seen.last() != Some(&MANY) {
            let leader = stream.next().await.expect("the stream goes on").expect("somebody leads");
            seen.push(String::from_utf8_lossy(leader.value()).parse::<usize>().expect("a number"));
        }
        seen
    });
    // Polled in this order.
    let all = join_all((1..=MANY).map(|nth| leads.proclaim(nth.to_string())));
    for outcome in soon("all are published", all).await {
        outcome.expect("proclaimed");
    }
    assert_eq!(value(&node).await, MANY.to_string().as_bytes());
    let seen = soon("the last is seen", observing).await.expect("no panic");
    assert!(seen.is_sorted_by(|a, b| a < b), "one after the other: {seen:?}");
    leads.resign().await.expect("resigned");
    scene.nothing_is_left().await;
}

pub(super) async fn proclamations_bear_cuts_and_lost_replies(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, direct_node(&scene).await);
    let leads = Arc::new(lead(&node, "first").await);
    let proclaim = |value: &'static str| {
        let leads = leads.clone();
        tokio::spawn(async move { leads.proclaim(value).await })
    };
    world.cut().await;
    let second = proclaim("second");
    sleep(world.ttl() / 8).await;
    assert!(!second.is_finished());
    world.heal().await;
    soon("it is published", second).await.expect("no panic").expect("proclaimed");
    assert_eq!(value(&other).await, b"second");
    world.cut_replies().await;
    let third = proclaim("third");
    sleep(world.ttl() / 8).await;
    assert!(!third.is_finished());
    world.heal().await;
    soon("it is found", third).await.expect("no panic").expect("proclaimed");
    assert_eq!(value(&other).await, b"third");
    assert!(leads.is_held());
    drop(leads);
    scene.nothing_is_left().await;
}

pub(super) async fn a_proclamation_does_not_keep_a_resignation_waiting(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, direct_node(&scene).await);
    let leads = lead(&node, "first").await;
    world.cut().await;
    let pace = Duration::from_millis(20);
    assert!(poll_times(leads.proclaim("unheard"), 3, pace).await.is_none(), "nobody answers");
    let held = leads.held();
    let begun = std::time::Instant::now();
    let error = soon("an answer", leads.resign()).await.expect_err("nobody confirms");
    assert!(!error.is_lost(), "it led when it resigned: {error}");
    let took = begun.elapsed();
    assert!(took < world.ttl(), "within the request time-out, not by the end of the session: {took:?}");
    assert_eq!(held.lost().await, LossReason::Released);
    world.heal().await;
    lead(&other, "next").await.resign().await.expect("resigned");
    scene.nothing_is_left().await;
}

pub(super) async fn proclamations_and_resignations_dropped_at_every_poll(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let pace = Duration::from_micros(150);
    let leads = lead(&node, "start").await;
    for polls in 0_usize.. {
        assert!(polls < 10_000, "a proclamation does not end");
        let before = value(&node).await;
        let dropped = format!("dropped at {polls}");
        let done = poll_times(leads.proclaim(dropped.clone()), polls, pace).await;
        let now = value(&node).await;
        assert!(now == before || now == dropped.as_bytes(), "{:?}", String::from_utf8_lossy(&now));
        // One that was polled goes on, and nothing that comes later is overtaken by it.
        let later = format!("after {polls}");
        leads.proclaim(later.clone()).await.expect("proclaimed");
        assert_eq!(value(&node).await, later.as_bytes());
        if let Some(done) = done {
            done.expect("proclaimed");
            break;
        }
    }
    // Polled once, it is published without anybody waiting for it.
    let mut stream = election(&other).observe().expect("a sound name");
    assert!(poll_times(leads.proclaim("unwatched"), 1, pace).await.is_none());
    shows(&mut stream, Some("unwatched")).await;
    drop(stream);
    leads.resign().await.expect("resigned");
    for polls in 0_usize.. {
        let leads = lead(&node, "resigns").await;
        // Not polled at all, it is a guard that is dropped.
        let resigned = poll_times(leads.resign(), polls, pace).await;
        lead(&other, "next").await.resign().await.expect("resigned");
        if let Some(resigned) = resigned {
            resigned.expect("resigned");
            break;
        }
    }
    scene.nothing_is_left().await;
}

//! Who is seen to lead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use leasehold_core::{ErrorKind, FencingToken};
use tokio::time::sleep;

use super::*;
use crate::contract::World;
use crate::polls::poll_times;
use crate::scene::PATIENCE;

pub(super) async fn an_election_that_nobody_entered(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    assert!(election(&node).leader().await.expect("answered").is_none());
    assert!(election(&node).candidates().await.expect("answered").is_empty());
    let mut stream = election(&node).observe().expect("a sound name");
    assert!(next(&mut stream).await.is_none(), "it begins with nobody");
    let quiet = tokio::time::timeout(world.ttl() / 8, stream.next()).await;
    assert!(quiet.is_err(), "nothing has changed: {quiet:?}");
    scene.nothing_is_left().await;
    let leads = lead(&other, "somebody").await;
    let seen = next(&mut stream).await.expect("somebody leads");
    assert_eq!((seen.value(), seen.fencing_token()), (&b"somebody"[..], leads.fencing_token()));
    assert_eq!(election(&other).leader().await.expect("answered"), Some(seen));
    leads.resign().await.expect("resigned");
    assert!(next(&mut stream).await.is_none());
    assert!(election(&other).leader().await.expect("answered").is_none());
    drop(stream);
    scene.nothing_is_left().await;
}

pub(super) async fn the_newest_of_a_burst_is_delivered(world: Arc<dyn World>) {
    const BURST: usize = 30;
    let scene = Scene::new(&world);
    let (node, watcher) = (scene.node().await, scene.node().await);
    let mut lazy = election(&watcher).observe().expect("a sound name");
    let mut eager = election(&watcher).observe().expect("a sound name");
    let following = tokio::spawn(async move {
        let mut tokens: Vec<FencingToken> = Vec::new();
        let mut last = None;
        while last.as_deref() != Some(&b"newest"[..]) {
            let leader = eager.next().await.expect("the stream goes on");
            tokens.extend(leader.as_ref().map(Leader::fencing_token));
            last = leader.map(|leader| leader.value().to_vec());
        }
        tokens
    });
    let mut last = None;
    for nth in 0..BURST {
        let leads = lead(&node, "one of many").await;
        leads.proclaim(format!("value {nth}")).await.expect("proclaimed");
        if nth + 1 == BURST {
            leads.proclaim("newest").await.expect("proclaimed");
            last = Some(leads);
        } else if nth % 2 == 0 {
            leads.resign().await.expect("resigned");
        }
    }
    let tokens = soon("the newest is seen", following).await.expect("no panic");
    assert!(tokens.is_sorted(), "no leader of before comes again: {tokens:?}");
    let seen = shows(&mut lazy, Some("newest")).await;
    let leads = last.expect("the last one leads");
    assert_eq!(seen.map(|leader| leader.fencing_token()), Some(leads.fencing_token()));
    // What a dropped future would have answered is the next one's.
    leads.proclaim("one more").await.expect("proclaimed");
    let mut polls = 0;
    let seen = loop {
        polls += 1;
        if let Some(seen) = poll_times(lazy.next(), polls, world.ttl() / 100).await {
            break seen.expect("the stream goes on");
        }
    };
    assert_eq!(seen.expect("it leads").value(), b"one more");
    leads.resign().await.expect("resigned");
    scene.nothing_is_left().await;
}

pub(super) async fn observers_bear_a_compaction(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (watcher, leader) = (scene.node().await, direct_node(&scene).await);
    let session = watcher.status().borrow().session.clone();
    let mut stream = election(&watcher).observe().expect("a sound name");
    assert!(next(&mut stream).await.is_none());
    // Compacted under a watch that is open, and under one that is cut off and lags behind.
    lead(&leader, "gone").await.resign().await.expect("resigned");
    world.compact().await;
    let mut leads = lead(&leader, "first").await;
    shows(&mut stream, Some("first")).await;
    let waits = stand(&watcher, "waits");
    stands(&scene.observer().await, 2).await;
    world.cut().await;
    for value in ["a", "b", "newest"] {
        leads.proclaim(value).await.expect("proclaimed");
        world.compact().await;
    }
    world.heal().await;
    shows(&mut stream, Some("newest")).await;
    assert!(!waits.is_finished());
    // And once more with another leader.
    waits.abort();
    stands(&scene.observer().await, 1).await;
    world.cut().await;
    leads.resign().await.expect("resigned");
    leads = lead(&leader, "another").await;
    world.compact().await;
    world.heal().await;
    let seen = shows(&mut stream, Some("another")).await.expect("somebody leads");
    assert_eq!(seen.fencing_token(), leads.fencing_token());
    assert_eq!(watcher.status().borrow().session, session, "on one session");
    leads.resign().await.expect("resigned");
    shows(&mut stream, None).await;
    drop(stream);
    scene.nothing_is_left().await;
}

pub(super) async fn observers_bear_the_loss_of_their_session(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (watcher, leader) = (scene.node().await, direct_node(&scene).await);
    let mut stream = election(&watcher).observe().expect("a sound name");
    assert!(next(&mut stream).await.is_none());
    scene.expire(&watcher).await;
    let leads = lead(&leader, "first").await;
    shows(&mut stream, Some("first")).await;
    // Longer than the TTL.
    let mut status = watcher.status();
    world.cut().await;
    soon("lost", status.wait_for(|s| s.session.is_none())).await.expect("told");
    leads.proclaim("second").await.expect("proclaimed");
    world.heal().await;
    shows(&mut stream, Some("second")).await;
    // The leader's session ends: nobody leads, and then it does again.
    scene.expire(&leader).await;
    shows(&mut stream, None).await;
    drop(leads);
    let leads = lead(&leader, "third").await;
    shows(&mut stream, Some("third")).await;
    leads.resign().await.expect("resigned");
    drop(stream);
    scene.nothing_is_left().await;
}

pub(super) async fn observers_bear_a_restart_of_the_service(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (watcher, leader) = (scene.node().await, scene.node().await);
    let mut stream = election(&watcher).observe().expect("a sound name");
    let leads = lead(&leader, "before").await;
    shows(&mut stream, Some("before")).await;
    world.restart().await;
    // The leadership may be lost to the restart; the stream is not.
    drop(leads);
    let leads = lead(&leader, "after").await;
    shows(&mut stream, Some("after")).await;
    drop(leads);
    shows(&mut stream, None).await;
    for node in [watcher, leader] {
        node.shutdown(PATIENCE).await.expect("nothing is held");
    }
    drop(stream);
    scene.nothing_is_left().await;
}

pub(super) async fn a_leader_that_goes_during_a_cut(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (cut_off, leader) = (scene.node().await, direct_node(&scene).await);
    let session = cut_off.status().borrow().session.clone();
    let mut stream = election(&cut_off).observe().expect("a sound name");
    let believers = Believers::default();
    for _ in 0..3 {
        let leads = lead(&leader, "goes").await;
        believers.elected(&leads);
        shows(&mut stream, Some("goes")).await;
        let next = stand(&cut_off, "next");
        stands(&scene.observer().await, 2).await;
        world.cut().await;
        leads.resign().await.expect("resigned");
        world.heal().await;
        let next = elected(next).await;
        believers.elected(&next);
        shows(&mut stream, Some("next")).await;
        next.resign().await.expect("resigned");
        shows(&mut stream, None).await;
    }
    assert_eq!(cut_off.status().borrow().session, session, "shorter than the TTL");
    drop(stream);
    scene.nothing_is_left().await;
}

pub(super) async fn candidates_that_vanish_while_they_are_read(world: Arc<dyn World>) {
    const ROUNDS: usize = 60;
    let scene = Scene::new(&world);
    let (node, other, reader) = (scene.node().await, scene.node().await, scene.node().await);
    let done = Arc::new(AtomicBool::new(false));
    let reading = tokio::spawn({
        let (election, done) = (election(&reader), done.clone());
        async move {
            let mut tokens = Vec::new();
            while !done.load(Ordering::SeqCst) {
                let leader = election.leader().await.expect("who vanishes is no error");
                tokens.extend(leader.map(|leader| leader.fencing_token()));
                let candidates = election.candidates().await.expect("who vanishes is no error");
                let order: Vec<_> = candidates.iter().map(|c| c.fencing_token()).collect();
                assert!(order.is_sorted(), "{order:?}");
            }
            tokens
        }
    });
    let come_and_go = async |node: &Coordinator| {
        for _ in 0..ROUNDS {
            let leading = lead(node, "comes and goes").await;
            // Where nothing has to be waited for, nobody else would come to look.
            tokio::task::yield_now().await;
            leading.resign().await.expect("resigned");
        }
    };
    tokio::join!(come_and_go(&node), come_and_go(&other));
    done.store(true, Ordering::SeqCst);
    let tokens = soon("the reader ends", reading).await.expect("no panic");
    assert!(tokens.is_sorted(), "no leader of before comes again: {tokens:?}");
    assert!(!tokens.is_empty(), "nothing was seen");
    assert!(election(&reader).leader().await.is_ok());
    scene.nothing_is_left().await;
}

pub(super) async fn a_stream_ends_with_its_coordinator(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let mut stream = election(&node).observe().expect("a sound name");
    assert!(next(&mut stream).await.is_none());
    let mut unread = election(&node).observe().expect("a sound name");
    // The stream alone keeps the session.
    let mut status = node.status();
    let handle = node.clone();
    drop(node);
    let waiting = tokio::spawn(async move { (stream.next().await, stream) });
    sleep(world.ttl() / 8).await;
    assert!(status.borrow_and_update().is_healthy() && !waiting.is_finished());
    handle.shutdown(PATIENCE).await.expect("nothing is held");
    let (end, mut stream) = soon("the stream ends", waiting).await.expect("no panic");
    assert!(end.is_none() && stream.next().await.is_none(), "for good");
    soon("also one that was not read", async { while unread.next().await.is_some() {} }).await;
    let mut late = handle.election(NAME).observe().expect("a sound name");
    assert!(soon("also one of later", late.next()).await.is_none());
    assert_eq!(handle.election(NAME).leader().await.expect_err("shut down").kind(), ErrorKind::Closed);
    scene.nothing_is_left().await;
}

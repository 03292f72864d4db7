//! The conformance suite of the group.
//!
//! | case | what it proves |
//! |---|---|
//! | `who_joins_changes_and_leaves_is_seen_by_everybody` | all observers end up with the same members, in the order of joining |
//! | `a_member_that_dies_is_seen_to_go` | an entry goes with its session, and all hear of it |
//! | `the_sum_of_the_events_is_the_state` | events are the differences between states, over many changes at once |
//! | `entries_of_strangers_are_no_members` | data beside the entries, and entries whose value is not of our making |
//! | `a_lost_membership_says_so` | a membership ends with its session, and stays ended |
//! | `who_stays_is_a_member_again` | `stay` takes the place again, with its newest value, and leaves when it is told to or dropped |
//! | `following_goes_on_over_cuts_and_restarts` | streams are silent meanwhile, and end up with the newest state |
//! | `what_cannot_work_is_refused` | bad names, values that are too large, a coordinator that is shut down |
//! | `dropped_at_every_poll` | a join that is given up leaves nothing, a change and a release go on |

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{
    AttemptIds, Clock, ErrorKind, Group, GroupEvent, Kind, LossReason, Member, MemberEvents, MemberId,
    MemberStream, Mode, NewEntry, OpenSession,
};
use tokio::time::sleep;

use super::table;
use crate::contract::World;
use crate::polls::poll_times;
use crate::scene::{PATIENCE, Scene, soon};

table! {
    who_joins_changes_and_leaves_is_seen_by_everybody
    a_member_that_dies_is_seen_to_go [63]
    the_sum_of_the_events_is_the_state
    entries_of_strangers_are_no_members [13]
    a_lost_membership_says_so
    who_stays_is_a_member_again
    following_goes_on_over_cuts_and_restarts [61]
    what_cannot_work_is_refused
    dropped_at_every_poll
}

fn values(members: &[Member]) -> Vec<String> {
    members.iter().map(|member| String::from_utf8_lossy(&member.value).into_owned()).collect()
}

/// Waits until the stream shows members with these values, in this order.
async fn shows(stream: &mut MemberStream, expected: &[&str]) -> Vec<Member> {
    soon(&format!("the members are {expected:?}"), async {
        loop {
            let members = stream.next().await.expect("the coordinator is not shut down");
            if values(&members) == expected {
                return members;
            }
        }
    })
    .await
}

async fn who_joins_changes_and_leaves_is_seen_by_everybody(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, outsider) = (scene.node().await, scene.node().await, scene.node().await);
    let mut streams = [&node, &other, &outsider].map(|node| node.group("one").watch().expect("a sound name"));
    for stream in &mut streams {
        assert_eq!(soon("the first state", stream.next()).await, Some(Vec::new()));
    }
    let a = node.group("one").join("a").await.expect("joined");
    let b = other.group("one").join("b").await.expect("joined");
    let again = node.group("one").join("a too").await.expect("joined");
    assert!(a.id() != again.id() && a.is_held());
    assert!(a.fencing_token() < b.fencing_token() && b.fencing_token() < again.fencing_token());
    for stream in &mut streams {
        let members = shows(stream, &["a", "b", "a too"]).await;
        assert_eq!(members.iter().map(|m| m.id).collect::<Vec<_>>(), [a.id(), b.id(), again.id()]);
        assert_eq!(members[1].token, b.fencing_token());
        assert_eq!(members[0].holder.pid, std::process::id());
    }
    assert_eq!(values(&node.group("one").members().await.expect("answered")), ["a", "b", "a too"]);
    assert!(node.group("two").members().await.expect("answered").is_empty());
    b.set_value("b changed").await.expect("changed");
    let seen = other.group("one").members().await.expect("answered");
    assert_eq!(values(&seen), ["a", "b changed", "a too"], "its own change is seen by itself at once");
    a.release().await.expect("released");
    for stream in &mut streams {
        let members = shows(stream, &["b changed", "a too"]).await;
        assert_eq!(members[0].id, b.id(), "another value is no other member");
    }
    drop(b);
    drop(again);
    for stream in &mut streams {
        shows(stream, &[]).await;
    }
    scene.nothing_is_left().await;
}

async fn a_member_that_dies_is_seen_to_go(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let mut mortal = scene.mortal().await;
    let dead = mortal.coordinator.group("one").join("dead").await.expect("joined");
    let alive = node.group("one").join("alive").await.expect("joined");
    let mut events = node.group("one").events().expect("a sound name");
    for expected in [&dead, &alive] {
        let event = soon("an event for each that is there", events.next()).await;
        assert!(matches!(event, Some(GroupEvent::Joined(member)) if member.id == expected.id()));
    }
    mortal.kill();
    let event = soon("its session ends", events.next()).await;
    assert!(matches!(event, Some(GroupEvent::Left(member)) if member.id == dead.id()));
    assert_eq!(values(&node.group("one").members().await.expect("answered")), ["alive"]);
    assert!(alive.is_held() && !dead.is_held());
    alive.release().await.expect("released");
    scene.nothing_is_left().await;
}

/// The state that events add up to.
#[derive(Default)]
struct Sum(HashMap<MemberId, Member>);

impl Sum {
    fn add(&mut self, event: GroupEvent) {
        match event {
            GroupEvent::Joined(member) => {
                assert!(self.0.insert(member.id, member).is_none(), "it was not there");
            }
            GroupEvent::Changed(member) => {
                let before = self.0.insert(member.id, member.clone()).expect("it was there");
                assert_ne!(before, member, "it differs");
            }
            GroupEvent::Left(member) => {
                assert!(self.0.remove(&member.id).is_some(), "it was there");
            }
        }
    }

    fn is(&self, members: &[Member]) -> bool {
        self.0.len() == members.len() && members.iter().all(|m| self.0.get(&m.id) == Some(m))
    }

    async fn becomes(&mut self, events: &mut MemberEvents, members: &[Member]) {
        soon("the sum is the state", async {
            while !self.is(members) {
                self.add(events.next().await.expect("the coordinator is not shut down"));
            }
        })
        .await;
    }
}

async fn the_sum_of_the_events_is_the_state(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let nodes = [scene.node().await, scene.node().await, scene.node().await];
    let early = nodes[0].group("one").join("early").await.expect("joined");
    let mut followers: Vec<_> = nodes
        .iter()
        .map(|node| (node.group("one").events().expect("a sound name"), Sum::default()))
        .collect();
    for round in 0..4 {
        let busy = nodes.iter().enumerate().map(|(number, node)| {
            let group = node.group("one");
            tokio::spawn(async move {
                let mut stay = Vec::new();
                for step in 0..6 {
                    let member = group.join(format!("{round}.{number}.{step}")).await.expect("joined");
                    match step % 3 {
                        0 => member.release().await.expect("released"),
                        1 => {
                            member.set_value(format!("{round}.{number}.{step}!")).await.expect("changed");
                            stay.push(member);
                        }
                        _ => stay.push(member),
                    }
                }
                stay
            })
        });
        let mut there = Vec::new();
        for busy in busy.collect::<Vec<_>>() {
            there.extend(soon("all have worked", busy).await.expect("no panic"));
        }
        early.set_value(format!("early, round {round}")).await.expect("changed");
        // The session that wrote last has seen what the others wrote before it, once it sees all of them.
        let mut watch = nodes[0].group("one").watch().expect("a sound name");
        let state = soon("everybody is there", async {
            loop {
                let state = watch.next().await.expect("the coordinator is not shut down");
                let complete = state.len() == there.len() + 1
                    && state.iter().filter(|member| member.value.ends_with(b"!")).count() == 6
                    && state[0].value == format!("early, round {round}");
                if complete {
                    return state;
                }
            }
        })
        .await;
        for (events, sum) in &mut followers {
            sum.becomes(events, &state).await;
        }
        drop(there);
        let mut state = state;
        state.truncate(1);
        for (events, sum) in &mut followers {
            sum.becomes(events, &state).await;
        }
    }
    early.release().await.expect("released");
    scene.nothing_is_left().await;
}

async fn entries_of_strangers_are_no_members(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, path) = (scene.node().await, scene.path_of(Kind::Group, "one"));
    world.plant_foreign(&path).await;
    let planted = scene.listing().await;
    let mut events = node.group("one").events().expect("a sound name");
    let member = node.group("one").join("a").await.expect("strangers are not in the way");
    // An entry of our form whose value says nothing that a member would.
    let options = OpenSession {
        namespace: scene.namespace().clone(),
        ttl: world.ttl(),
        connect_timeout: PATIENCE,
        request_timeout: world.ttl() / 2,
        clock: Clock::system(),
        resume: None,
    };
    let session = world.backend().open_session(options).await.expect("the service is reached");
    let attempt = AttemptIds::new().expect("randomness").next();
    let value = b"\xff\0 nothing of ours"[..].into();
    let entry = NewEntry { attempt, mode: Mode::Shared, value, only_if_free: false };
    session.queue(&path).enqueue(entry).await.expect("placed");
    scene.observer().await.contenders_of(Kind::Group, "one", 2).await;
    let last = node.group("one").join("b").await.expect("joined");
    for expected in [&member, &last] {
        let event = soon("an event", events.next()).await;
        assert!(matches!(event, Some(GroupEvent::Joined(seen)) if seen.id == expected.id()));
    }
    assert_eq!(values(&node.group("one").members().await.expect("answered")), ["a", "b"]);
    session.close().await;
    last.set_value("still b").await.expect("changed");
    let event = soon("an event", events.next()).await;
    assert!(
        matches!(event, Some(GroupEvent::Changed(seen)) if seen.id == last.id()),
        "none for the stranger"
    );
    member.release().await.expect("released");
    last.release().await.expect("released");
    assert_eq!(scene.listing().await, planted, "and are left alone");
}

async fn a_lost_membership_says_so(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let member = node.group("one").join("a").await.expect("joined");
    let mut watch = other.group("one").watch().expect("a sound name");
    shows(&mut watch, &["a"]).await;
    scene.expire(&node).await;
    soon("the loss is told", member.lost()).await;
    shows(&mut watch, &[]).await;
    let error = member.set_value("b").await.expect_err("it is no member");
    assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
    let next = soon("the next session", node.group("one").join("c")).await.expect("joined");
    assert!(!member.is_held() && next.id() != member.id());
    assert!(next.fencing_token() > member.fencing_token());
    assert!(member.release().await.expect_err("lost").is_lost());
    shows(&mut watch, &["c"]).await;
    next.release().await.expect("released");
    scene.nothing_is_left().await;
}

async fn who_stays_is_a_member_again(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let mut watch = other.group("one").watch().expect("a sound name");
    let staying = node.group("one").stay("a").await.expect("joined");
    let dropped = node.group("one").stay("dropped").await.expect("joined");
    let first = shows(&mut watch, &["a", "dropped"]).await[0].id;
    assert_eq!(staying.id(), Some(first));
    let (left, given_up) = (staying.ended(), dropped.ended());
    drop(dropped);
    let told = soon("the end is told", given_up).await;
    assert_eq!((told.kind(), told.loss_reason()), (ErrorKind::Lost, Some(LossReason::Released)), "{told}");
    staying.set_value("b");
    shows(&mut watch, &["b"]).await;
    scene.expire(&node).await;
    let second = soon("it is there again", async {
        loop {
            let members = watch.next().await.expect("the coordinator is not shut down");
            match members.first() {
                Some(member) if member.id != first => return member.clone(),
                _ => {}
            }
        }
    })
    .await;
    assert_eq!(second.value, "b", "the newest value");
    staying.set_value("c");
    shows(&mut watch, &["c"]).await;
    assert_eq!(staying.id(), Some(second.id));
    staying.leave().await.expect("released");
    let told = soon("the end is told", left).await;
    assert_eq!((told.kind(), told.loss_reason()), (ErrorKind::Lost, Some(LossReason::Released)), "{told}");
    shows(&mut watch, &[]).await;
    // A shutdown does not wait for it, and tells it.
    let last = node.group("one").stay("last").await.expect("joined");
    shows(&mut watch, &["last"]).await;
    let ended = last.ended();
    node.shutdown(PATIENCE).await.expect("nothing is in its way");
    assert_eq!(soon("it is told", ended).await.kind(), ErrorKind::Closed);
    assert_eq!(last.id(), None);
    last.leave().await.expect("there is nothing to leave");
    shows(&mut watch, &[]).await;
    scene.nothing_is_left().await;
}

async fn following_goes_on_over_cuts_and_restarts(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let mut events = other.group("one").events().expect("a sound name");
    let mut sum = Sum::default();
    let staying = node.group("one").stay("a").await.expect("joined");
    let members = node.group("one").members().await.expect("answered");
    sum.becomes(&mut events, &members).await;
    // Longer than the sessions last.
    world.cut().await;
    sleep(world.ttl() + world.ttl() / 2).await;
    world.heal().await;
    let mut group = returned(&node.group("one"), members[0].id).await;
    sum.becomes(&mut events, &group).await;
    world.restart().await;
    staying.set_value("b");
    soon("it is there again, with its value", async {
        while group.len() != 1 || group[0].value != "b" {
            // Without an answer there is nothing to compare; the wait goes on.
            if let Ok(members) = node.group("one").members().await {
                group = members;
            }
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    sum.becomes(&mut events, &group).await;
    staying.leave().await.expect("released");
    sum.becomes(&mut events, &[]).await;
    scene.nothing_is_left().await;
}

/// Waits until there is one member alone, and it is another than that one.
async fn returned(group: &Group, before: MemberId) -> Vec<Member> {
    let mut watch = group.watch().expect("a sound name");
    soon("it is there again", async {
        loop {
            let members = watch.next().await.expect("the coordinator is not shut down");
            if members.len() == 1 && members[0].id != before {
                return members;
            }
        }
    })
    .await
}

async fn what_cannot_work_is_refused(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    for name in ["", "a\nb", &"x".repeat(256)] {
        let group = node.group(name);
        assert_eq!(group.join("a").await.expect_err("a bad name").kind(), ErrorKind::InvalidName);
        assert_eq!(group.stay("a").await.expect_err("a bad name").kind(), ErrorKind::InvalidName);
        assert_eq!(group.members().await.expect_err("a bad name").kind(), ErrorKind::InvalidName);
        assert_eq!(group.watch().expect_err("a bad name").kind(), ErrorKind::InvalidName);
        let error = group.events().expect_err("a bad name");
        assert_eq!((error.kind(), error.name()), (ErrorKind::InvalidName, Some(name)));
    }
    let huge = vec![0xff_u8; 1_000_000];
    let error = node.group("one").join(huge.clone()).await.expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    let member = node.group("one").join("a").await.expect("joined");
    let error = member.set_value(huge).await.expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert_eq!(values(&node.group("one").members().await.expect("answered")), ["a"], "as it was");
    assert!(member.is_held());
    member.release().await.expect("released");
    let mut watch = node.group("one").watch().expect("a sound name");
    node.shutdown(PATIENCE).await.expect("nothing is held");
    soon("the stream ends", async { while watch.next().await.is_some() {} }).await;
    assert_eq!(node.group("one").join("a").await.expect_err("shut down").kind(), ErrorKind::Closed);
    assert_eq!(node.group("one").members().await.expect_err("shut down").kind(), ErrorKind::Closed);
    scene.nothing_is_left().await;
}

async fn dropped_at_every_poll(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let group = node.group("one");
    let pace = Duration::from_micros(150);
    let mut polls = 0;
    loop {
        polls += 1;
        assert!(polls < 10_000, "nobody is waited for, and yet it does not join");
        if let Some(joined) = poll_times(group.join("a"), polls, pace).await {
            drop(joined.expect("joined"));
            break;
        }
        if polls % 16 == 1 {
            scene.nothing_is_left().await;
        }
    }
    scene.nothing_is_left().await;
    for polls in 1..12 {
        if let Some(staying) = poll_times(group.stay("a"), polls, pace).await {
            let leaving = staying.expect("joined").leave();
            if let Some(left) = poll_times(leaving, polls, pace).await {
                left.expect("left");
            }
        }
    }
    scene.nothing_is_left().await;
    let member = group.join("a").await.expect("joined");
    for polls in 1..12 {
        // Once polled it goes on, and the next one comes after it.
        if let Some(changed) = poll_times(member.set_value(format!("{polls}")), polls, pace).await {
            changed.expect("changed");
        }
        let mut watch = group.watch().expect("a sound name");
        shows(&mut watch, &[&polls.to_string()]).await;
    }
    if let Some(released) = poll_times(member.release(), 1, pace).await {
        released.expect("released");
    }
    scene.nothing_is_left().await;
}

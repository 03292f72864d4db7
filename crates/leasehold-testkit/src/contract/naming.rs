//! Names, listings, data of strangers.

use std::sync::Arc;

use leasehold_core::{Certainty, KeyPath, Kind, Mode, Namespace};

use super::World;
use super::stage::*;

const HOSTILE: [&str; 24] = [
    "a",
    "A",
    "a/b",
    "a/",
    "/a",
    "/",
    "//",
    ".",
    "..",
    "...",
    "%",
    "%2F",
    "%61",
    "a!b",
    "a b",
    " ",
    "*",
    "\\",
    "'\"",
    "naïve",
    "锁",
    "🔒",
    "zookeeper",
    "locks",
];

pub(super) async fn hostile_names_are_kept_apart(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (session, other) = (stage.open().await, stage.open().await);
    let longest = "x".repeat(leasehold_core::MAX_NAME_BYTES);
    let widest = "锁".repeat(leasehold_core::MAX_NAME_BYTES / 3);
    let mut paths: Vec<_> =
        HOSTILE.iter().copied().chain([&longest[..], &widest]).map(|name| stage.path(name)).collect();
    for path in &paths {
        let seat = Seat::new(Arc::clone(&session), path);
        assert!(seat.enter_if_free(stage.attempt(), Mode::Exclusive).await.is_some(), "{path} is free");
    }
    for path in &paths {
        let seat = Seat::new(Arc::clone(&other), path);
        assert_eq!(seat.look().await.len(), 1, "{path}");
        assert_eq!(seat.enter_if_free(stage.attempt(), Mode::Exclusive).await, None, "{path} is busy");
    }
    paths.sort();
    assert_eq!(other.queues(Kind::Lock).await.expect("listed"), paths);
}

pub(super) async fn queues_lists_what_has_contenders(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let session = stage.open().await;
    let listed = async |kind| session.queues(kind).await.expect("listed");
    assert_eq!(listed(Kind::Lock).await, []);
    let below = Namespace::parse(&format!("{}/locks", stage.namespace.as_str())).expect("a sound namespace");
    let election = KeyPath::new(&stage.namespace, Kind::Election, "b").expect("a sound name");
    let nested = KeyPath::new(&below, Kind::Lock, "c").expect("a sound name");
    let emptied = stage.path("emptied");
    let paths = [stage.path("b"), stage.path("a"), election.clone(), nested, emptied.clone()];
    let mut last = None;
    for path in &paths {
        let attempt = stage.attempt();
        Seat::new(Arc::clone(&session), path).exclusive(attempt).await;
        last = Some(attempt);
    }
    session.write(&stage.path("a register"), write("v", None)).await.expect("written");
    Seat::new(Arc::clone(&session), &emptied).withdraw(last.expect("an attempt")).await;
    assert_eq!(listed(Kind::Lock).await, [stage.path("a"), stage.path("b")], "in the order of their text");
    assert_eq!(listed(Kind::Election).await, [election]);
    assert_eq!(listed(Kind::Group).await, []);
}

pub(super) async fn foreign_data_is_ignored(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, other) = (stage.seat().await, stage.seat().await);
    let path = stage.path("q");
    stage.world.plant_foreign(&path).await;
    assert_eq!(seat.attempts().await, []);
    assert_eq!(seat.entries().await, []);
    assert_eq!(seat.session.queues(Kind::Lock).await.expect("listed"), []);
    let [first, second] = [stage.attempt(), stage.attempt()];
    assert!(seat.enter_if_free(first, Mode::Exclusive).await.is_some(), "the queue is free");
    other.exclusive(second).await;
    seat.until("both are there", &[first, second]).await;
    // And once more while both sessions know the queue.
    stage.world.plant_foreign(&path).await;
    futures::join!(other.gone(first), async {
        seat.publish(first, Mode::Shared, "v").await;
        seat.withdraw(first).await;
    });
    assert_eq!(other.attempts().await, [second]);
    assert_eq!(other.entries().await.len(), 1);
    other.withdraw_as(second, Certainty::Ambiguous).await;
    seat.until("it is empty", &[]).await;
    seat.session.close().await;
    other.session.close().await;
}

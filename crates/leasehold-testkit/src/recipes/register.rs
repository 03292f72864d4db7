//! The conformance suite of the versioned register and the counter.
//!
//! | case | what it proves |
//! |---|---|
//! | `versions_and_conditions` | versions grow; a write on a version that is gone is not applied |
//! | `one_of_many_writers_wins` | of all writes on one version one is applied |
//! | `updates_under_contention_are_exact` | no update is lost, none is applied twice |
//! | `an_update_begins_again_or_gives_up` | lost races, out of patience, declined |
//! | `a_write_depends_on_a_lock` | written while held; not after the release, the loss, the removal; not by another coordinator's guard |
//! | `a_late_holder_writes_nothing` | conditional writes race the loss of the lock: none comes after the next holder's |
//! | `the_last_word_is_written_during_a_shutdown` | work that a shutdown waits for can write |
//! | `a_lost_reply_is_indeterminate` | nothing is called failed that was applied |
//! | `changes_are_followed` | `changed` and `watch`: the newest value, over cuts, restarts and lost sessions |
//! | `bad_names_and_values_are_refused` | typed errors, nothing left |
//! | `data_of_strangers_is_told` | `Corrupt` |
//! | `a_dropped_update_is_applied_at_most_once` | dropped at every poll |
//! | `a_counter_is_exact_under_contention`, `a_counter_is_exact_over_lost_replies` | each increment once, or at most once where it is indeterminate |
//! | `a_counter_keeps_to_its_numbers` | overflow, compare-and-set, no number |

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::join_all;
use leasehold_core::{ErrorKind, Kind, RegisterWrite, Updated, Versioned};
use tokio::time::sleep;

use super::table;
use crate::contract::World;
use crate::polls::poll_times;
use crate::scene::{PATIENCE, QUIET, Scene, not_yet, soon};

table! {
    versions_and_conditions
    one_of_many_writers_wins
    updates_under_contention_are_exact
    an_update_begins_again_or_gives_up
    a_write_depends_on_a_lock {if conditional_writes}
    a_late_holder_writes_nothing {if conditional_writes}
    the_last_word_is_written_during_a_shutdown {if conditional_writes}
    a_lost_reply_is_indeterminate
    changes_are_followed
    bad_names_and_values_are_refused
    data_of_strangers_is_told
    a_dropped_update_is_applied_at_most_once
    a_counter_is_exact_under_contention
    a_counter_is_exact_over_lost_replies
    a_counter_keeps_to_its_numbers
}

async fn versions_and_conditions(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.direct_node().await);
    let (mine, theirs) = (node.register("one"), other.register("one"));
    assert_eq!(mine.read().await.expect("read"), None);
    assert_eq!(mine.compare_and_set(7, "early").await.expect("answered"), None);
    let mut last = 0;
    let every_byte: Vec<u8> = (0..=255).collect();
    for value in [Bytes::from_static(b"first"), Bytes::new(), every_byte.into(), Bytes::from_static(b"\n\n")]
    {
        let version = mine
            .compare_and_set(last, value.clone())
            .await
            .expect("answered")
            .expect("the version was right");
        assert!(version > last, "{version} after {last}");
        for stale in [last, 0, version + 1] {
            assert_eq!(theirs.compare_and_set(stale, "stale").await.expect("answered"), None);
        }
        assert_eq!(mine.read().await.expect("read"), Some(Versioned { value, version }));
        last = version;
    }
    let version = theirs.write("whatever is there").await.expect("written");
    assert!(version > last, "{version} after {last}");
    let seen = soon("the other one sees it", mine.changed(last)).await.expect("read").expect("written");
    assert_eq!(seen, Versioned { value: "whatever is there".into(), version });
    assert_eq!(node.register("One").read().await.expect("read"), None, "another name");
}

async fn one_of_many_writers_wins(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let nodes = [scene.node().await, scene.node().await, scene.direct_node().await];
    let mut version = 0;
    for _ in 0..10 {
        let writes = nodes.iter().flat_map(|node| [node.register("one"), node.register("one")]);
        let writes = writes.enumerate().map(|(number, register)| async move {
            let value = number.to_string();
            (value.clone(), register.compare_and_set(version, value).await.expect("answered"))
        });
        let outcomes = soon("all are answered", join_all(writes)).await;
        let winners: Vec<_> = outcomes.into_iter().filter_map(|(value, won)| Some((value, won?))).collect();
        let [(value, won)] = &winners[..] else { panic!("one wins: {winners:?}") };
        let seen = soon("it is there", nodes[0].register("one").changed(version)).await.expect("read");
        assert_eq!(seen, Some(Versioned { value: value.clone().into(), version: *won }));
        version = *won;
    }
}

/// Adds one to the number in a register.
fn plus_one(seen: Option<Versioned>) -> Option<Bytes> {
    Some((number(seen.as_ref()) + 1).to_string().into())
}

fn number(seen: Option<&Versioned>) -> u64 {
    seen.map_or(0, |seen| {
        let text = std::str::from_utf8(&seen.value).expect("a number");
        text.parse().expect("a number")
    })
}

async fn updates_under_contention_are_exact(world: Arc<dyn World>) {
    const UPDATES: u64 = 10;
    let scene = Scene::new(&world);
    let nodes = [scene.node().await, scene.node().await, scene.direct_node().await];
    let computed = AtomicU64::new(0);
    let tasks = nodes.iter().flat_map(|node| [node.register("one"), node.register("one")]).map(|register| {
        let computed = &computed;
        async move {
            for _ in 0..UPDATES {
                let updated = register.update(|seen| {
                    computed.fetch_add(1, Ordering::SeqCst);
                    plus_one(seen)
                });
                assert!(updated.await.expect("updated").written().is_some());
            }
        }
    });
    soon("all have updated", join_all(tasks)).await;
    let updates = 2 * nodes.len() as u64 * UPDATES;
    let seen = nodes[0].register("one").update(|_| None).await.expect("read");
    assert_eq!(seen, Updated::Declined);
    let last = nodes[1].register("one").update(plus_one).await.expect("updated").written();
    assert_eq!(number(last.as_ref()), updates + 1);
    assert!(computed.load(Ordering::SeqCst) >= updates);
}

async fn an_update_begins_again_or_gives_up(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.direct_node().await);
    let (register, rival) = (node.register("one"), other.register("one"));
    // The closure is where another one can be faster for certain. A driver has a thread of its own, so it may block.
    let interfere =
        || futures::executor::block_on(rival.update(plus_one)).expect("updated").written().expect("written");
    let mut runs = 0;
    let updated = register.update(|seen| {
        runs += 1;
        if runs <= 3 {
            interfere();
        }
        plus_one(seen)
    });
    let written = soon("it wins at last", updated).await.expect("updated").written();
    assert_eq!((number(written.as_ref()), runs), (4, 4));
    for patience in [Duration::ZERO, Duration::from_millis(50)] {
        let (mut runs, mut last) = (0, None);
        let outrun = register.update_for(patience, |seen| {
            runs += 1;
            last = Some(interfere());
            plus_one(seen)
        });
        assert_eq!(soon("it gives up", outrun).await.expect("answered"), Updated::OutOfTime);
        assert!(runs == 1 || !patience.is_zero(), "one try: {runs}");
        let last = last.expect("it was run");
        assert_eq!(rival.read().await.expect("read"), Some(last.clone()), "nothing was written");
        let _ = soon("it is seen", register.changed(last.version - 1)).await.expect("read");
    }
    let before = register.read().await.expect("read");
    assert_eq!(register.update(|_| None).await.expect("answered"), Updated::Declined);
    assert_eq!(register.read().await.expect("read"), before);
}

async fn a_write_depends_on_a_lock(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.direct_node().await);
    let register = node.register("one");
    let guard = node.mutex("one").lock().await.expect("locked");
    let version = register.write_held(&guard, "held").await.expect("written");
    let next = register
        .compare_and_set_held(&guard, version, "still held")
        .await
        .expect("answered")
        .expect("written");
    assert_eq!(register.compare_and_set_held(&guard, version, "stale").await.expect("answered"), None);
    let expected = Some(Versioned { value: "still held".into(), version: next });
    let refused = async |held: &leasehold_core::Held| {
        for error in [
            register.write_held(held, "late").await.expect_err("lost"),
            register.compare_and_set_held(held, next, "late").await.expect_err("lost"),
            register.compare_and_set_held(held, 0, "late").await.expect_err("lost"),
        ] {
            assert_eq!((error.kind(), error.name()), (ErrorKind::Lost, Some("one")), "{error}");
            assert!(error.loss_reason().is_some(), "{error}");
        }
        assert_eq!(register.read().await.expect("read"), expected);
    };
    // Another coordinator's.
    let foreign = other.mutex("theirs").lock().await.expect("locked");
    let error = register.write_held(&foreign, "foreign").await.expect_err("foreign");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    assert_eq!(register.read().await.expect("read"), expected);
    // Removed by hand, whether or not the holder has heard of it.
    world.remove_queue(&scene.path("one")).await;
    refused(&guard).await;
    // Released.
    let guard = node.mutex("one").lock().await.expect("locked");
    let held = guard.held();
    guard.release().await.expect("released");
    refused(&held).await;
    // Its session has ended, whether or not the holder has heard of it.
    let guard = node.rw_lock("one").read().await.expect("locked");
    scene.expire(&node).await;
    refused(&guard).await;
}

/// A holder writes as fast as it can, loses the lock at some moment, and another one holds and writes.
async fn a_late_holder_writes_nothing(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.direct_node().await);
    for round in 0..5_u32 {
        let guard = node.mutex("one").lock().await.expect("locked");
        let (register, held) = (node.register("one"), guard.held());
        let writing = tokio::spawn(async move {
            loop {
                if let Err(error) = register.write_held(&held, "first").await {
                    return error;
                }
            }
        });
        let next = tokio::spawn({
            let mutex = other.mutex("one");
            async move { mutex.lock().await }
        });
        scene.observer().await.contenders("one", 2).await;
        sleep(Duration::from_millis(u64::from(round) * 3)).await;
        scene.expire(&node).await;
        let next = soon("the next is granted", next).await.expect("no panic").expect("locked");
        let version = other.register("one").write_held(&next, "second").await.expect("written");
        let error = soon("the first is refused", writing).await.expect("no panic");
        // A reply may be lost with the session; what was applied was applied before.
        assert!(matches!(error.kind(), ErrorKind::Lost | ErrorKind::Indeterminate), "{error}");
        sleep(QUIET / 10).await;
        let seen = other.register("one").read().await.expect("read");
        assert_eq!(seen, Some(Versioned { value: "second".into(), version }));
        next.release().await.expect("released");
    }
}

async fn the_last_word_is_written_during_a_shutdown(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let guard = node.mutex("one").lock().await.expect("locked");
    let waiting = tokio::spawn({
        let register = node.register("two");
        async move { register.changed(0).await }
    });
    let working = tokio::spawn({
        let register = node.register("one");
        async move {
            guard.cancellation_token().cancelled().await;
            register.write_held(&guard, "last word").await.expect("written");
            let seen = register.read().await.expect("read");
            guard.release().await.expect("released");
            seen
        }
    });
    soon("the shutdown waits for the work", node.shutdown(PATIENCE)).await.expect("the work has ended");
    let seen = working.await.expect("no panic").expect("written");
    assert_eq!(seen.value, "last word");
    let error = waiting.await.expect("no panic").expect_err("a shutdown ends the waits");
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    let error = node.register("one").write("too late").await.expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    scene.nothing_is_left().await;
}

async fn a_lost_reply_is_indeterminate(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.direct_node().await);
    other.register("one").write("before").await.expect("written");
    other.register("two").write("before").await.expect("written");
    let version = node.register("two").read().await.expect("read").expect("written").version;
    world.cut_replies().await;
    let (blind, conditional) = (node.register("one"), node.register("two"));
    let (blind, conditional) = tokio::join!(
        soon("an answer", blind.write("after")),
        soon("an answer", conditional.compare_and_set(version, "after")),
    );
    let errors = [("one", blind.expect_err("no reply")), ("two", conditional.expect_err("no reply"))];
    for (name, error) in &errors {
        // A request that met a broken connection was not sent.
        assert!(matches!(error.kind(), ErrorKind::Indeterminate | ErrorKind::Unavailable), "{error}");
        assert_eq!(
            (error.name(), error.is_retryable()),
            (Some(*name), error.kind() == ErrorKind::Unavailable)
        );
    }
    world.heal().await;
    for (name, error) in errors {
        let seen = other.register(name).read().await.expect("read").expect("written").value;
        let applied = seen == "after";
        assert!(applied || seen == "before", "{seen:?}");
        assert!(!applied || error.kind() == ErrorKind::Indeterminate, "applied, and yet told: {error}");
        soon("the register goes on", async { while node.register(name).write("again").await.is_err() {} })
            .await;
    }
}

async fn changes_are_followed(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.direct_node().await);
    let (register, theirs) = (node.register("one"), other.register("one"));
    let mut watch = std::pin::pin!(register.watch());
    assert_eq!(soon("the value as it is", watch.next()).await.expect("goes on").expect("read"), None);
    not_yet("nothing has changed", watch.next()).await;
    not_yet("nothing has changed", register.changed(0)).await;
    for disturb in ["nothing", "a cut", "a restart", "a lost session"] {
        let before = theirs.read().await.expect("read").map_or(0, |seen| seen.version);
        let changed = tokio::spawn({
            let register = register.clone();
            async move { register.changed(before).await }
        });
        match disturb {
            "a cut" => world.cut().await,
            "a restart" => world.restart().await,
            "a lost session" => scene.expire(&node).await,
            _ => {}
        }
        let version = soon("written", async {
            loop {
                match theirs.write(disturb).await {
                    Ok(version) => return version,
                    Err(error) => assert!(
                        matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Indeterminate),
                        "{error}"
                    ),
                }
            }
        })
        .await;
        world.heal().await;
        let expected = Versioned { value: disturb.into(), version };
        let changed = soon("it is told", changed).await.expect("no panic").expect("the wait goes on");
        assert_eq!(changed.expect("written").value, disturb);
        soon("the stream comes to it", async {
            while watch.next().await.expect("goes on").expect("read").as_ref() != Some(&expected) {}
        })
        .await;
    }
    soon("the coordinator is shut down", node.shutdown(PATIENCE)).await.expect("nothing is held");
    let error = soon("told", watch.next()).await.expect("an error first").expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    assert!(soon("the end", watch.next()).await.is_none());
}

async fn bad_names_and_values_are_refused(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    for name in ["", "a\0", &"x".repeat(256)] {
        let register = node.register(name);
        for error in [
            register.read().await.expect_err("refused"),
            register.write("x").await.expect_err("refused"),
            register.update(plus_one).await.expect_err("refused"),
            register.changed(0).await.expect_err("refused"),
            node.counter(name).add(1).await.expect_err("refused"),
        ] {
            assert_eq!((error.kind(), error.name()), (ErrorKind::InvalidName, Some(name)), "{error}");
        }
    }
    let large = Bytes::from(vec![b'x'; node.capabilities().max_value_bytes]);
    let register = node.register("large");
    for error in [
        register.write(large.clone()).await.expect_err("refused"),
        register.compare_and_set(0, large.clone()).await.expect_err("refused"),
        register.update(|_| Some(large.clone())).await.expect_err("refused"),
    ] {
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    }
    assert_eq!(register.read().await.expect("read"), None);
    let fits = large.slice(1024..);
    register.write(fits.clone()).await.expect("written");
    assert_eq!(register.read().await.expect("read").expect("written").value, fits);
}

async fn data_of_strangers_is_told(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, stranger) = (scene.node().await, scene.stranger().await);
    let path = scene.path_of(Kind::Register, "one");
    let write = |value: &'static [u8]| RegisterWrite { value: value.into(), if_version: None, if_held: None };
    for foreign in [&b"7"[..], b"", b"\xff\n"] {
        stranger.write(&path, write(foreign)).await.expect("written");
        let register = node.register("one");
        soon("it is seen", async { while register.read().await.is_ok() {} }).await;
        for error in [
            register.read().await.expect_err("foreign"),
            register.update(plus_one).await.expect_err("foreign"),
            register.changed(0).await.expect_err("foreign"),
            node.counter("one").get().await.expect_err("foreign"),
        ] {
            assert_eq!((error.kind(), error.name()), (ErrorKind::Corrupt, Some("one")), "{error}");
        }
        let mut watch = std::pin::pin!(register.watch());
        assert!(soon("told", watch.next()).await.expect("an item").is_err());
        assert!(soon("the end", watch.next()).await.is_none());
        register.write("ours").await.expect("what is there is not looked at");
        assert_eq!(register.read().await.expect("read").expect("written").value, "ours");
    }
}

async fn a_dropped_update_is_applied_at_most_once(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let counter = node.counter("one");
    let pace = Duration::from_micros(300);
    let mut before = 0;
    for polls in 0.. {
        assert!(polls < 10_000, "nobody is in the way");
        let finished = poll_times(counter.add(1), polls, pace).await;
        // Whatever is on its way comes before what is added here, or is void.
        let after = counter.add(1).await.expect("added");
        assert!(
            (before + 1..=before + 2).contains(&after),
            "{after} after {before}, dropped after {polls} polls"
        );
        if let Some(sum) = finished {
            assert_eq!((sum.expect("added"), after), (before + 1, before + 2));
            break;
        }
        sleep(pace * 10).await;
        assert_eq!(counter.get().await.expect("read"), after, "and nothing comes after it");
        before = after;
    }
}

async fn a_counter_is_exact_under_contention(world: Arc<dyn World>) {
    const ROUNDS: i64 = 8;
    let scene = Scene::new(&world);
    let nodes = [scene.node().await, scene.node().await, scene.direct_node().await];
    let tasks = nodes.iter().flat_map(|node| [node.counter("one"), node.counter("one")]).enumerate().map(
        |(task, counter)| async move {
            let mut sums = Vec::new();
            for _ in 0..ROUNDS {
                let step = if task % 2 == 0 { 5 } else { -3 };
                let sum = counter.add(step).await.expect("added");
                sums.push(sum);
            }
            sums
        },
    );
    let sums = soon("all have added", join_all(tasks)).await.concat();
    assert_eq!(sums.len() as i64, 6 * ROUNDS);
    let total = 3 * ROUNDS * (5 - 3);
    assert_eq!(nodes[0].counter("one").add(1).await.expect("added"), total + 1);
    assert!(sums.contains(&total), "somebody was the last");
}

/// Several nodes add through connections whose replies are lost now and then, one through a sound one.
async fn a_counter_is_exact_over_lost_replies(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (nodes, sound) = ([scene.node().await, scene.node().await], scene.direct_node().await);
    let (mut applied, mut doubtful) = (0_i64, 0_i64);
    for _ in 0..4 {
        let healed = &AtomicBool::new(false);
        let disturbed = nodes.iter().map(|node| {
            let counter = node.counter("one");
            async move {
                let mut outcomes = Vec::new();
                while !healed.load(Ordering::SeqCst) {
                    outcomes.push(counter.add(1).await);
                    sleep(Duration::from_millis(2)).await;
                }
                outcomes
            }
        });
        let counter = sound.counter("one");
        let others = async {
            for _ in 0..5 {
                counter.add(1).await.expect("added over a sound connection");
                sleep(Duration::from_millis(5)).await;
            }
        };
        let disturbance = async {
            sleep(Duration::from_millis(3)).await;
            world.cut_replies().await;
            sleep(world.ttl() / 20).await;
            world.heal().await;
            healed.store(true, Ordering::SeqCst);
        };
        let (outcomes, (), ()) =
            soon("all are answered", async { tokio::join!(join_all(disturbed), others, disturbance) }).await;
        applied += 5;
        for outcome in outcomes.concat() {
            match outcome {
                Ok(_) => applied += 1,
                Err(error) if error.kind() == ErrorKind::Indeterminate => doubtful += 1,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
            }
        }
    }
    let sum = sound.counter("one").get().await.expect("read");
    assert!((applied..=applied + doubtful).contains(&sum), "{sum} of {applied} and {doubtful} in doubt");
    // Nothing that is still on its way comes later than what is added now.
    let next = sound.counter("one").add(1).await.expect("added");
    assert!(
        (applied + 1..=applied + doubtful + 1).contains(&next),
        "{next} of {applied} and {doubtful} in doubt"
    );
}

async fn a_counter_keeps_to_its_numbers(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let counter = node.counter("one");
    assert_eq!(counter.get().await.expect("read"), 0);
    assert_eq!(counter.add(0).await.expect("added"), 0);
    assert_eq!(node.register("one").read().await.expect("read"), None, "nothing was to be written");
    assert!(counter.compare_and_set(0, i64::MAX).await.expect("answered"));
    assert!(!counter.compare_and_set(0, 5).await.expect("answered"));
    assert!(counter.compare_and_set(i64::MAX, i64::MAX).await.expect("answered"));
    let error = counter.add(1).await.expect_err("too much");
    assert_eq!((error.kind(), error.name()), (ErrorKind::InvalidArgument, Some("one")), "{error}");
    assert_eq!(counter.get().await.expect("read"), i64::MAX);
    assert!(counter.compare_and_set(i64::MAX, i64::MIN).await.expect("answered"));
    assert_eq!(counter.add(-1).await.expect_err("too little").kind(), ErrorKind::InvalidArgument);
    assert_eq!(counter.add(i64::MAX).await.expect("added"), -1);
    assert_eq!(node.register("one").read().await.expect("read").expect("written").value, "-1");
    for foreign in ["", "1.5", "x", "9223372036854775808"] {
        node.register("one").write(foreign).await.expect("written");
        for error in [
            counter.get().await.expect_err("no number"),
            counter.add(1).await.expect_err("no number"),
            counter.compare_and_set(0, 1).await.expect_err("no number"),
        ] {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        }
        assert_eq!(node.register("one").read().await.expect("read").expect("written").value, foreign);
    }
}

//! Who writes on which version.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::join_all;
use leasehold_core::{ErrorKind, Kind, RegisterWrite, Updated, Versioned};
use tokio::time::sleep;

use crate::contract::World;
use crate::polls::poll_times;
use crate::scene::{BRIEF, Scene, soon};

pub(super) async fn versions_and_conditions(world: Arc<dyn World>) {
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

pub(super) async fn one_of_many_writers_wins(world: Arc<dyn World>) {
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

pub(super) async fn updates_under_contention_are_exact(world: Arc<dyn World>) {
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

pub(super) async fn an_update_begins_again_or_gives_up(world: Arc<dyn World>) {
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
    for patience in [Duration::ZERO, BRIEF] {
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

pub(super) async fn a_lost_reply_is_indeterminate(world: Arc<dyn World>) {
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

pub(super) async fn bad_names_and_values_are_refused(world: Arc<dyn World>) {
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

pub(super) async fn data_of_strangers_is_told(world: Arc<dyn World>) {
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

pub(super) async fn a_dropped_update_is_applied_at_most_once(world: Arc<dyn World>) {
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

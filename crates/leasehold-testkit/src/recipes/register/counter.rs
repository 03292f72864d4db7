//! The counter.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use leasehold_core::ErrorKind;
use tokio::time::sleep;

use crate::contract::World;
use crate::scene::{Scene, soon};

pub(super) async fn a_counter_is_exact_under_contention(world: Arc<dyn World>) {
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
pub(super) async fn a_counter_is_exact_over_lost_replies(world: Arc<dyn World>) {
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

pub(super) async fn a_counter_keeps_to_its_numbers(world: Arc<dyn World>) {
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

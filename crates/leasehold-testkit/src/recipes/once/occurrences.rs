//! Names with many occurrences, and how long they are remembered.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::sleep;

use super::{is_done, run};
use crate::contract::World;
use crate::scene::{Scene, soon};

pub(super) async fn occurrences_do_not_block_each_other(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let job = node.once("billing");
    let (first, second) = (job.occurrence("1"), other.once("billing").occurrence("2"));
    let outer = run(&first, async {
        let inner = run(&second, async { "inner" });
        soon("another occurrence runs", inner).await.expect("done").result().clone()
    });
    let outer = soon("it runs", outer).await.expect("done");
    assert!(outer.ran_here());
    assert_eq!(outer.result(), "inner");
    assert_eq!(is_done(&job.occurrence("2")).await.result(), "inner");
}

pub(super) async fn occurrences_completed_together_are_all_recorded(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let nodes = [scene.node().await, scene.direct_node().await];
    let names: Vec<_> = (0..12).map(|number| format!("occurrence/{number}")).collect();
    let barrier = tokio::sync::Barrier::new(names.len());
    let all = names.iter().zip(nodes.iter().cycle()).map(|(name, node)| {
        let (once, barrier) = (node.once("billing").occurrence(name), &barrier);
        async move {
            let work = async {
                barrier.wait().await;
                name.clone()
            };
            assert!(run(&once, work).await.expect("done").ran_here());
        }
    });
    soon("all are done", join_all(all)).await;
    for name in &names {
        assert_eq!(is_done(&nodes[0].once("billing").occurrence(name)).await.result(), name);
    }
}

pub(super) async fn old_occurrences_are_forgotten(world: Arc<dyn World>) {
    const KEPT: usize = 10;
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let job = node.once("billing");
    run(&job, async { "for ever" }).await.expect("done");
    let remembering = |keep: Duration| {
        let job = job.clone();
        move |number: usize| job.occurrence(format!("{number:03}")).retention(keep)
    };
    let (long, short) = (remembering(Duration::from_secs(3600)), remembering(Duration::ZERO));
    for number in 0..15 {
        assert!(run(&long(number), async { "" }).await.expect("done").ran_here());
        // The times are in milliseconds, and who is newest has to be clear.
        sleep(Duration::from_millis(3)).await;
    }
    is_done(&long(0)).await;
    for number in 15..18 {
        assert!(run(&short(number), async { "" }).await.expect("done").ran_here());
        sleep(Duration::from_millis(3)).await;
    }
    // What the last one found and left is the newest ones, and itself.
    for number in (17 - KEPT)..18 {
        is_done(&long(number)).await;
    }
    for number in 0..17 - KEPT {
        assert_eq!(long(number).completion().await.expect("read"), None, "{number} is forgotten");
    }
    assert!(run(&long(0), async { "" }).await.expect("done").ran_here(), "and runs again");
    assert_eq!(is_done(&job).await.result(), "for ever");
}

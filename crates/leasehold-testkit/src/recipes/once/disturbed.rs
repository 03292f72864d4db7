//! A service that restarts or loses replies, a coordinator that shuts down.

use std::convert::Infallible;
use std::sync::Arc;

use leasehold_core::{Coordinator, ErrorKind, Kind};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::{Runner, is_done, run};
use crate::contract::World;
use crate::scene::{PATIENCE, Scene, soon};

pub(super) async fn waits_outlast_a_restart(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let nodes = [scene.node().await, scene.node().await, scene.node().await];
    let mut runner = Runner::start(&nodes[0]);
    runner.begins().await;
    let insist = |node: &Coordinator| {
        let once = node.once("billing");
        // Who finds its own place lost, or does not know whether its completion was recorded, comes again.
        tokio::spawn(async move {
            loop {
                match run(&once, async { "another" }).await {
                    Ok(done) => return done,
                    Err(error) => assert!(
                        matches!(
                            error.kind(),
                            ErrorKind::Lost | ErrorKind::Unavailable | ErrorKind::Indeterminate
                        ),
                        "{error}"
                    ),
                }
            }
        })
    };
    let others = [insist(&nodes[1]), insist(&nodes[2])];
    let only_waiting = tokio::spawn({
        let once = nodes[1].once("billing");
        async move { once.wait().await }
    });
    scene.observer().await.contenders_of(Kind::OnceRun, "billing/", 3).await;
    world.restart().await;
    let first = runner.ends("first").await;
    let mut done = Vec::new();
    for other in others {
        done.push(soon("everybody has it", other).await.expect("no panic"));
    }
    done.push(soon("everybody has it", only_waiting).await.expect("no panic").expect("the wait ends well"));
    // A restart that takes longer than the TTL costs it its place; then it finds what another one has completed.
    done.extend(first);
    assert!(
        done.iter()
            .all(|each| each.result() == done[0].result() && each.completed_at() == done[0].completed_at())
    );
    assert!(done.iter().filter(|each| each.ran_here()).count() <= 1);
    for node in &nodes {
        node.shutdown(PATIENCE).await.expect("nothing is held");
    }
    scene.nothing_is_left().await;
}

pub(super) async fn a_shutdown_waits_for_the_run(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let once = node.once("billing");
    let (begun, beginning) = oneshot::channel();
    let running = tokio::spawn(async move {
        once.run(|held| async move {
            let _ = begun.send(());
            held.cancellation_token().cancelled().await;
            Ok::<_, Infallible>("brought to its end")
        })
        .await
    });
    soon("the work begins", beginning).await.expect("begun");
    soon("the shutdown waits", node.shutdown(PATIENCE)).await.expect("the work has ended");
    let done = running.await.expect("no panic").expect("recorded").expect("done");
    assert!(done.ran_here());
    assert_eq!(is_done(&other.once("billing")).await.result(), "brought to its end");
    let error = run(&node.once("next"), async { "" }).await.expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    scene.nothing_is_left().await;
}

pub(super) async fn a_completion_over_lost_replies(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.direct_node().await);
    for round in 0..3 {
        let name = round.to_string();
        let (mine, theirs) =
            (node.once("billing").occurrence(&name), other.once("billing").occurrence(&name));
        let healing = async {
            sleep(world.ttl() / 10).await;
            world.heal().await;
        };
        let running = run(&mine, async {
            world.cut_replies().await;
            "mine"
        });
        let (ran, ()) = soon("it is answered", async { tokio::join!(running, healing) }).await;
        let done = soon("it is done", run(&theirs, async { "theirs" })).await.expect("done");
        match ran {
            Ok(mine) => assert!(mine.ran_here() && done.result() == "mine"),
            Err(error) => {
                assert!(
                    matches!(
                        error.kind(),
                        ErrorKind::Lost | ErrorKind::Unavailable | ErrorKind::Indeterminate
                    ),
                    "{error}"
                );
                let recorded = done.result() == "mine";
                assert!(
                    !recorded || error.kind() == ErrorKind::Indeterminate,
                    "recorded, and yet told: {error}"
                );
            }
        }
        assert_eq!(is_done(&mine).await.result(), done.result());
    }
}

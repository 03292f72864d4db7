//! The loop around a leader's work.

use std::sync::Arc;

use leasehold_core::{ErrorKind, LossReason};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::contract::World;
use crate::scene::PATIENCE;

pub(super) async fn lead_stands_again_after_a_loss(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let (begun, mut terms) = mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let leading = tokio::spawn({
        let (election, stop) = (election(&node).proclaiming("leader"), stop.clone());
        async move {
            let work = |held: Held| {
                let begun = begun.clone();
                async move {
                    begun.send(held.clone()).expect("the case listens");
                    // Returns in the moment of a loss as well; that is not the end of the work.
                    held.cancellation_token().cancelled().await;
                    held.fencing_token()
                }
            };
            election.lead(stop.cancelled(), work).await
        }
    });
    let mut last = None::<Held>;
    for nth in 0..4 {
        let held = soon("the work begins", terms.recv()).await.expect("begun");
        if let Some(last) = last.replace(held.clone()) {
            assert!(!last.is_held() && held.fencing_token() > last.fencing_token());
        }
        stands(&scene.observer().await, 1).await;
        let leader = election(&node).leader().await.expect("answered").expect("it leads");
        assert_eq!(leader.value(), b"leader");
        match nth {
            0 => world.remove_queue(&scene.path_of(Kind::Election, NAME)).await,
            1 => scene.expire(&node).await,
            2 => {
                world.cut().await;
                soon("the local deadline", held.lost()).await;
                world.heal().await;
            }
            _ => stop.cancel(),
        }
        let reason = soon("the term ends", held.lost()).await;
        assert_eq!(reason == LossReason::Released, nth == 3, "{reason:?} in term {nth}");
    }
    let output = soon("it ends", leading).await.expect("no panic").expect("led");
    assert_eq!(output, last.map(|last| last.fencing_token()), "the output of the last term");
    assert!(terms.recv().await.is_none(), "no further term was begun");
    scene.nothing_is_left().await;
}

pub(super) async fn lead_waits_for_the_work_at_its_shutdown(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    // By the future that is given, and by the coordinator's shutdown.
    for by_coordinator in [false, true] {
        let stop = CancellationToken::new();
        let (begun, beginning) = oneshot::channel();
        let (finish, finishing) = oneshot::channel::<()>();
        let mut channels = Some((begun, finishing));
        let leading = tokio::spawn({
            let (election, stop) = (election(&node), stop.clone());
            async move {
                let work = move |held: Held| {
                    let (begun, finishing) = channels.take().expect("there is one term");
                    async move {
                        begun.send(held.clone()).expect("the case listens");
                        held.cancellation_token().cancelled().await;
                        finishing.await.expect("the case goes on");
                        held.is_held()
                    }
                };
                election.lead(stop.cancelled(), work).await
            }
        });
        let held = soon("the work begins", beginning).await.expect("begun");
        let next = stand(&other, "next");
        stands(&scene.observer().await, 2).await;
        let shutdown = by_coordinator.then(|| {
            let node = node.clone();
            tokio::spawn(async move { node.shutdown(PATIENCE).await })
        });
        if !by_coordinator {
            stop.cancel();
        }
        soon("the work is told", held.cancellation_token().cancelled()).await;
        // For longer than an unrenewed session lasts.
        let lost = tokio::time::timeout(world.ttl() + world.ttl() / 2, held.lost()).await;
        assert!(lost.is_err(), "the leadership is kept until the work has ended: {lost:?}");
        assert!(!leading.is_finished() && !next.is_finished());
        finish.send(()).expect("the work goes on");
        let output = soon("it ends", leading).await.expect("no panic").expect("led");
        assert_eq!(output, Some(true), "held to the end of the work");
        elected(next).await.resign().await.expect("resigned");
        if let Some(shutdown) = shutdown {
            shutdown.await.expect("no panic").expect("nothing is held");
        }
    }
    scene.nothing_is_left().await;
}

pub(super) async fn lead_ends_with_the_work_or_an_error(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    let never = std::future::pending::<()>;
    // By the work itself.
    let output = soon("done", election(&node).lead(never(), async |_held| 42)).await.expect("led");
    assert_eq!(output, Some(42));
    scene.nothing_is_left().await;
    // Shut down before it began, and while it stands.
    let work = async |_held: Held| panic!("nobody elected it");
    assert!(election(&node).lead(std::future::ready(()), work).await.expect("no error").is_none());
    let leads = lead(&other, "leader").await;
    let stop = CancellationToken::new();
    let standing = tokio::spawn({
        let (election, stop) = (election(&node), stop.clone());
        async move { election.lead(stop.cancelled(), async |_held: Held| ()).await }
    });
    stands(&observer, 2).await;
    stop.cancel();
    assert!(soon("it ends", standing).await.expect("no panic").expect("no error").is_none());
    stands(&observer, 1).await;
    leads.resign().await.expect("resigned");
    // Refused.
    let too_large = vec![b'x'; node.capabilities().max_value_bytes + 1];
    let refused = election(&node).proclaiming(too_large).lead(never(), async |_held| ()).await;
    assert_eq!(refused.expect_err("too large").kind(), ErrorKind::TooLarge);
    // Lost while the work is being ended.
    let (stop, begun) = (CancellationToken::new(), CancellationToken::new());
    let leading = tokio::spawn({
        let (election, stop, begun) = (election(&node), stop.clone(), begun.clone());
        async move {
            let work = |_held: Held| {
                begun.cancel();
                std::future::pending::<()>()
            };
            election.lead(stop.cancelled(), work).await
        }
    });
    soon("the work begins", begun.cancelled()).await;
    stop.cancel();
    stands(&observer, 1).await;
    world.remove_queue(&scene.path_of(Kind::Election, NAME)).await;
    let error = soon("it ends", leading).await.expect("no panic").expect_err("lost");
    assert_eq!(error.loss_reason(), Some(LossReason::EntryRemoved));
    // Dropped.
    let (begun, beginning) = oneshot::channel();
    let mut begun = Some(begun);
    let dropped = tokio::spawn({
        let election = election(&node);
        async move {
            let work = |held: Held| {
                begun.take().expect("there is one term").send(held).expect("the case listens");
                std::future::pending::<()>()
            };
            election.lead(std::future::pending::<()>(), work).await
        }
    });
    let held = soon("the work begins", beginning).await.expect("begun");
    dropped.abort();
    assert_eq!(soon("resigned", held.lost()).await, LossReason::Released);
    scene.nothing_is_left().await;
    node.shutdown(PATIENCE).await.expect("nothing is held");
    let closed = election(&node).lead(never(), async |_held| ()).await;
    assert_eq!(closed.expect_err("shut down").kind(), ErrorKind::Closed);
}

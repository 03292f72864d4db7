//! The conformance suite of shared guards.
//!
//! | case | what it shows |
//! |---|---|
//! | `the_last_share_releases`, `dropped_shares_release_with_the_last` | one hold, given up once, with the last share |
//! | `of_shares_that_end_together_one_is_the_last` | many at once |
//! | `a_share_is_unwrapped_when_it_is_alone` | the guard itself comes back |
//! | `a_loss_concerns_all_shares` | losing is told to everybody, and the last release reports it |
//! | `a_share_does_not_make_the_lock_reentrant` | a second acquisition waits |
//! | `guards_of_all_kinds_are_shared` | readers, writers, multi-locks |

use std::sync::Arc;

use leasehold_core::{Guard, MultiLock, MutexGuard, SharedGuard};

use super::table;
use crate::contract::World;
use crate::scene::{Scene, soon};

table! {
    the_last_share_releases
    dropped_shares_release_with_the_last
    of_shares_that_end_together_one_is_the_last
    a_share_is_unwrapped_when_it_is_alone
    a_loss_concerns_all_shares
    a_share_does_not_make_the_lock_reentrant
    guards_of_all_kinds_are_shared
}

async fn the_last_share_releases(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let first = node.mutex("one").lock().await.expect("locked").share();
    let (second, third) = (first.clone(), first.clone());
    let held = third.held();
    assert!(first.fencing_token() == second.fencing_token() && third.name() == "one");
    assert!(!first.release().await.expect("others have it"));
    assert!(!third.release().await.expect("another has it"));
    assert!(second.is_held() && held.is_held());
    assert!(other.mutex("one").try_lock().await.expect("answered").is_none());
    assert!(second.release().await.expect("released"), "that was the last");
    assert!(!held.is_held());
    assert!(other.mutex("one").try_lock().await.expect("answered").is_some(), "it is free by then");
    scene.nothing_is_left().await;
}

async fn dropped_shares_release_with_the_last(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let first = node.mutex("one").lock().await.expect("locked").share();
    let second = first.clone();
    drop(first);
    // A future that is never polled is a share that is dropped.
    let third = second.clone();
    drop(third.release());
    assert!(second.is_held());
    let held = second.held();
    drop(second);
    assert!(!held.is_held());
    scene.nothing_is_left().await;
}

async fn of_shares_that_end_together_one_is_the_last(world: Arc<dyn World>) {
    const SHARES: usize = 8;
    let scene = Scene::new(&world);
    let mutex = scene.node().await.mutex("one");
    for _ in 0..20 {
        let shared = soon("the round before has ended", mutex.lock()).await.expect("locked").share();
        let start = Arc::new(tokio::sync::Barrier::new(SHARES + 1));
        let tasks: Vec<_> = (0..SHARES)
            .map(|_| {
                let (shared, start) = (shared.clone(), start.clone());
                tokio::spawn(async move {
                    start.wait().await;
                    shared.release().await.expect("nothing was lost")
                })
            })
            .collect();
        // Before any of them begins, or this share could be the last.
        drop(shared);
        start.wait().await;
        let mut last = 0;
        for task in tasks {
            last += usize::from(task.await.expect("no panic"));
        }
        assert_eq!(last, 1);
        assert!(scene.listing().await.is_empty(), "the last one has waited for the service");
    }
}

async fn a_share_is_unwrapped_when_it_is_alone(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let first = node.mutex("one").lock().await.expect("locked").share();
    let second = first.clone();
    let first = first.try_unwrap().expect_err("there is another");
    drop(second);
    let guard: MutexGuard = first.try_unwrap().expect("alone");
    guard.release().await.expect("released");
    scene.nothing_is_left().await;
}

async fn a_loss_concerns_all_shares(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let first = node.mutex("one").lock().await.expect("locked").share();
    let second = first.clone();
    scene.expire(&node).await;
    soon("the loss is told", second.lost()).await;
    assert!(!first.is_held() && !second.is_held() && !first.clone().is_held());
    assert!(!first.release().await.expect("not the last"));
    assert!(second.release().await.expect_err("lost").is_lost());
    scene.nothing_is_left().await;
}

async fn a_share_does_not_make_the_lock_reentrant(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let mutex = scene.node().await.mutex("one");
    let shared = mutex.lock().await.expect("locked").share();
    let share = shared.clone();
    assert!(mutex.try_lock().await.expect("answered").is_none(), "the same task, with a share at hand");
    drop((shared, share));
    scene.nothing_is_left().await;
}

async fn guards_of_all_kinds_are_shared(world: Arc<dyn World>) {
    /// Code that takes a share of whatever guard.
    async fn pass_around<G: Guard<ReleaseError: std::fmt::Debug>>(shared: SharedGuard<G>) {
        let passed = shared.clone();
        let shared = shared.try_unwrap().err().expect("there is another");
        tokio::spawn(async { drop(passed) }).await.expect("no panic");
        let Ok(guard) = shared.try_unwrap() else { panic!("alone") };
        guard.release().await.expect("released");
    }
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let lock = node.rw_lock("one");
    pass_around(lock.read().await.expect("locked").share()).await;
    pass_around(lock.write().await.expect("locked").share()).await;
    let multi = MultiLock::new().member("a", node.mutex("one")).member("a", node.mutex("two"));
    let shared = multi.lock().await.expect("locked").share();
    assert_eq!(shared.members().len(), 2);
    let held = shared.held();
    pass_around(shared).await;
    assert!(!held.is_held());
    scene.nothing_is_left().await;
}

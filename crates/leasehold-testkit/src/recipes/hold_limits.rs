//! The conformance suite of minimum and maximum holds. Exact times are tested on paused time, in the workspace's tests; here stands
//! what becomes of the entries.
//!
//! | case | what it proves |
//! |---|---|
//! | `a_maximum_hold_is_lost_and_handed_over` | the holder is told, its entry goes, the next is granted with a higher token |
//! | `a_minimum_hold_outlives_its_guard` | neither drop nor release gives the lock away before |
//! | `a_minimum_hold_dies_with_its_session` | a minimum binds the living |
//! | `a_shutdown_cuts_a_minimum_hold` | a shutdown keeps to its grace; the entry goes with the session |

use std::sync::Arc;
use std::time::{Duration, Instant};

use leasehold_core::LossReason;

use super::table;
use crate::contract::World;
use crate::scene::{Scene, soon};

table! {
    a_maximum_hold_is_lost_and_handed_over
    a_minimum_hold_outlives_its_guard
    a_minimum_hold_dies_with_its_session
    a_shutdown_cuts_a_minimum_hold
}

/// Longer than any case.
const LONG: Duration = Duration::from_secs(3600);

async fn a_maximum_hold_is_lost_and_handed_over(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let mutex = node.mutex("one").max_hold(Duration::from_millis(300));
    let guard = mutex.lock().await.expect("locked");
    let next = tokio::spawn(async move { other.mutex("one").lock().await });
    let worked = soon("the work is dropped", guard.while_held(std::future::pending::<()>())).await;
    assert_eq!(worked.expect_err("lost").loss_reason(), Some(LossReason::MaxHoldPassed));
    let next = soon("the next is granted", next).await.expect("no panic").expect("locked");
    assert!(next.fencing_token() > guard.fencing_token());
    let error = guard.release().await.expect_err("lost");
    assert_eq!(error.error().loss_reason(), Some(LossReason::MaxHoldPassed));
    assert!(next.is_held());
    next.release().await.expect("released");
    // The session lives on: who was told of one loss can hold again.
    let again = soon("free", mutex.lock()).await.expect("locked");
    again.release().await.expect("released");
    scene.nothing_is_left().await;
}

async fn a_minimum_hold_outlives_its_guard(world: Arc<dyn World>) {
    const MIN: Duration = Duration::from_millis(700);
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let (mutex, others) = (node.mutex("one").min_hold(MIN), other.mutex("one"));
    for dropped in [true, false] {
        let before = Instant::now();
        let guard = mutex.lock().await.expect("locked");
        let releasing = match dropped {
            true => {
                drop(guard);
                None
            }
            false => Some(tokio::spawn(guard.release())),
        };
        let next = soon("granted in the end", others.lock()).await.expect("locked");
        assert!(before.elapsed() >= MIN, "given away after {:?}", before.elapsed());
        if let Some(releasing) = releasing {
            soon("so is the release", releasing).await.expect("no panic").expect("released");
        }
        next.release().await.expect("released");
    }
    scene.nothing_is_left().await;
}

async fn a_minimum_hold_dies_with_its_session(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let releasing = tokio::spawn(node.mutex("one").min_hold(LONG).lock().await.expect("locked").release());
    assert!(other.mutex("one").try_lock().await.expect("answered").is_none(), "it rests");
    scene.expire(&node).await;
    let next = soon("the service frees it", other.mutex("one").lock()).await.expect("locked");
    let released = soon("the release is answered", releasing).await.expect("no panic");
    assert!(released.expect_err("it was not there for as long as asked").is_lost());
    next.release().await.expect("released");
    scene.nothing_is_left().await;
}

async fn a_shutdown_cuts_a_minimum_hold(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    drop(node.mutex("one").min_hold(LONG).lock().await.expect("locked"));
    let error = soon("it keeps to its grace", node.shutdown(Duration::from_millis(100))).await;
    assert_eq!(error.expect_err("it rests").unfinished, 1);
    assert!(other.mutex("one").try_lock().await.expect("answered").is_none(), "as long as the session lives");
    let next = soon("it goes with the session", other.mutex("one").lock()).await.expect("locked");
    next.release().await.expect("released");
    scene.nothing_is_left().await;
}

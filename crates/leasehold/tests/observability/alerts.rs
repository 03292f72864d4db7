//! The hook for alerts.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use leasehold::LossReason;
use leasehold::observe::{Alert, Alerts};

use crate::world::{TTL, World, settle};

/// A hook that keeps what it is told.
fn kept() -> (Alerts, Arc<Mutex<Vec<Alert>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let keeper = told.clone();
    (Alerts::new(move |alert| keeper.lock().unwrap().push(alert)), told)
}

fn raised(world: &World, alert: &str) -> f64 {
    world.measures.value(&format!("leasehold_alerts_total{{backend=\"memory\",alert=\"{alert}\"}}"))
}

#[tokio::test(start_paused = true)]
async fn held_longer_than_expected_once_a_hold() {
    let world = World::new();
    let (alerts, told) = kept();
    let alerts = alerts.held_longer_than(Duration::from_secs(60));
    let node = world.node_with(world.service.backend(), alerts).await;
    let mutex = node.mutex("a");
    mutex.with(async |_held| tokio::time::sleep(Duration::from_secs(59)).await).await.unwrap();
    assert!(told.lock().unwrap().is_empty(), "a hold within its time");

    let guard = mutex.lock().await.unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(guard.is_held());
    {
        let told = told.lock().unwrap();
        let [Alert::HeldLong { name, backend, token, held, .. }] = &told[..] else { panic!("{told:?}") };
        assert_eq!((&**name, *backend, *token), ("a", "memory", guard.fencing_token()));
        assert!((60..61).contains(&held.as_secs()), "{held:?}");
    }
    assert!((60.0..61.0).contains(&world.trace.event("held long").seconds("held")));
    assert_eq!(raised(&world, "held_long"), 1.0);
    guard.release().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn suspect_and_lost() {
    let world = World::new();
    let (alerts, told) = kept();
    let backend = world.service.backend();
    let node = world.node_with(backend.clone(), alerts).await;
    let guard = node.mutex("a").lock().await.unwrap();
    backend.cut();
    guard.lost().await;
    settle().await;
    let told = told.lock().unwrap();
    let [Alert::Suspect { rest, .. }, Alert::SessionLost { reason, .. }] = &told[..] else {
        panic!("{told:?}")
    };
    assert!(*rest > Duration::ZERO && *rest < TTL);
    assert_eq!(*reason, LossReason::DeadlinePassed);
    assert_eq!((raised(&world, "suspect"), raised(&world, "session_lost")), (1.0, 1.0));
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_harms_nobody() {
    let world = World::new();
    let alerts = Alerts::new(|_| panic!("on purpose")).held_longer_than(Duration::from_secs(1));
    let node = world.node_with(world.service.backend(), alerts).await;
    let guard = node.mutex("a").lock().await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(raised(&world, "held_long"), 1.0);
    guard.release().await.unwrap();
    node.mutex("a").lock().await.unwrap().release().await.unwrap();
}

//! Acquisitions and holds.

use std::time::Duration;

use leasehold::memory::{Fault, Operation};
use tracing::{Instrument, Level};

use crate::world::{World, settle};

const LABELS: &str = r#"backend="memory",kind="locks""#;

fn acquisitions(outcome: &str) -> String {
    format!("leasehold_acquisitions_total{{{LABELS},outcome=\"{outcome}\"}}")
}

#[tokio::test(start_paused = true)]
async fn granted_and_released() {
    let world = World::new();
    let node = world.node().await;
    let guard = node.mutex("a").lock().await.unwrap();
    let token = guard.fencing_token().to_string();
    let granted = world.trace.event("granted");
    assert_eq!(granted.level, Level::DEBUG);
    assert_eq!(granted.fields["lock"], "a");
    assert_eq!(granted.fields["kind"], "locks");
    assert_eq!(granted.fields["backend"], "memory");
    assert_eq!(granted.fields["token"], token);
    assert_eq!(granted.fields["attempt"].len(), 32);
    assert_eq!(granted.seconds("waited"), 0.0);
    assert_eq!(world.measures.value(&format!("leasehold_holds{{{LABELS}}}")), 1.0);

    tokio::time::sleep(Duration::from_secs(3)).await;
    guard.release().await.unwrap();
    let released = world.trace.event("released");
    assert_eq!(released.level, Level::DEBUG);
    assert_eq!(released.fields["token"], token);
    assert_eq!(released.fields["attempt"], granted.fields["attempt"]);
    assert!((3.0..3.1).contains(&released.seconds("held")), "{released:?}");
    assert_eq!(world.measures.value(&acquisitions("acquired")), 1.0);
    assert_eq!(world.measures.value(&format!("leasehold_holds{{{LABELS}}}")), 0.0);
    let (held, count) = world.measures.get(&format!("leasehold_hold_seconds{{{LABELS}}}"));
    assert!(count == 1 && (3.0..3.1).contains(&held));
}

#[tokio::test(start_paused = true)]
async fn waited() {
    let world = World::new();
    let node = world.node().await;
    let first = node.mutex("a").lock().await.unwrap();
    let second = tokio::spawn({
        let mutex = node.mutex("a");
        async move { mutex.lock().await }
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    first.release().await.unwrap();
    let second = second.await.unwrap().unwrap();
    let granted = world.trace.events("granted");
    assert_eq!(granted.len(), 2);
    assert!((2.0..2.1).contains(&granted[1].seconds("waited")), "{granted:?}");
    let (waited, count) = world.measures.get(&format!("leasehold_wait_seconds{{{LABELS}}}"));
    assert!(count == 2 && (2.0..2.1).contains(&waited));
    second.release().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn busy_timed_out_and_cancelled() {
    let world = World::new();
    let node = world.node().await;
    let guard = node.mutex("a").lock().await.unwrap();
    assert!(node.mutex("a").try_lock().await.unwrap().is_none());
    assert_eq!(world.trace.event("busy").fields["lock"], "a");
    assert_eq!(world.measures.value(&acquisitions("contended")), 1.0);

    assert!(node.mutex("a").try_lock_for(Duration::from_secs(2)).await.unwrap().is_none());
    assert!((2.0..2.1).contains(&world.trace.event("timed out").seconds("waited")));
    assert_eq!(world.measures.value(&acquisitions("timed_out")), 1.0);

    let mutex = node.mutex("a");
    assert!(tokio::time::timeout(Duration::from_secs(1), mutex.lock()).await.is_err());
    settle().await;
    assert!((1.0..1.1).contains(&world.trace.event("cancelled").seconds("waited")));
    assert_eq!(world.measures.value(&acquisitions("cancelled")), 1.0);
    guard.release().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn failed() {
    let world = World::new();
    let node = world.node().await;
    world.service.on_call(|call| match call.operation {
        Operation::Enqueue => Fault::Deny,
        _ => Fault::None,
    });
    let error = node.mutex("a").lock().await.unwrap_err();
    let failed = world.trace.event("failed");
    assert_eq!(failed.level, Level::WARN);
    assert_eq!(failed.fields["error"], error.to_string());
    assert_eq!(failed.fields["error_kind"], "permission_denied");
    assert_eq!(world.measures.value(&acquisitions("failed")), 1.0);
}

#[tokio::test(start_paused = true)]
async fn lost_by_each_reason_that_a_service_or_an_administrator_has() {
    let world = World::new();
    let node = world.node().await;
    let lost = |reason: &str| {
        let series = format!("leasehold_losses_total{{{LABELS},reason=\"{reason}\"}}");
        let events = world.trace.events("lost");
        let told = events.iter().filter(|event| event.fields["reason"] == reason).count();
        assert!(events.iter().all(|event| event.level == Level::WARN && !event.fields["token"].is_empty()));
        (told, world.measures.value(&series))
    };

    let guard = node.mutex("a").lock().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.remove_entries("a");
    guard.lost().await;
    assert_eq!(lost("entry_removed"), (1, 1.0));

    let guard = node.mutex("a").lock().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    node.mutex("a").force_release("an administrator").await.unwrap();
    guard.lost().await;
    assert_eq!(lost("force_released"), (1, 1.0));

    let guard = node.mutex("a").max_hold(Duration::from_secs(1)).lock().await.unwrap();
    guard.lost().await;
    assert_eq!(lost("max_hold_passed"), (1, 1.0));

    let guard = node.mutex("a").lock().await.unwrap();
    for session in world.service.sessions() {
        assert!(world.service.expire_session(&session));
    }
    guard.lost().await;
    assert_eq!(lost("session_ended"), (1, 1.0));

    let guard = node.mutex("a").lock().await.unwrap();
    world.service.pause();
    guard.lost().await;
    assert_eq!(lost("deadline_passed"), (1, 1.0));
    world.service.resume();
    settle().await;

    let guard = node.mutex("a").lock().await.unwrap();
    node.shutdown(Duration::ZERO).await.unwrap_err();
    guard.lost().await;
    assert_eq!(lost("shut_down"), (1, 1.0));
    assert_eq!(world.trace.events("lost").len(), 6);
}

/// What a handle counts and what the metrics count is one.
#[tokio::test(start_paused = true)]
async fn the_metrics_are_the_stats_of_all_handles() {
    let world = World::new();
    let node = world.node().await;
    let (one, other) = (node.mutex("a"), node.mutex("a"));
    for _ in 0..3 {
        let guard = one.lock().await.unwrap();
        assert!(other.try_lock().await.unwrap().is_none());
        guard.release().await.unwrap();
    }
    let mut stats = one.stats();
    stats.merge(&other.stats());
    assert_eq!((stats.acquisitions(), stats.contended), (3, 3));
    assert_eq!(world.measures.value(&acquisitions("acquired")), stats.acquisitions() as f64);
    assert_eq!(world.measures.value(&acquisitions("contended")), stats.contended as f64);
    let holds = world.measures.get(&format!("leasehold_hold_seconds{{{LABELS}}}"));
    assert_eq!(holds.1, stats.holds.count());
}

#[tokio::test(start_paused = true)]
async fn spans_last_from_the_call_to_the_end_of_the_entry() {
    let world = World::new();
    let node = world.node().await;
    let mutex = node.mutex("a");
    let caller = tracing::info_span!(target: "application", "work");
    let guard = mutex.lock().instrument(caller).await.unwrap();
    settle().await;
    let [acquisition] = &world.trace.spans("acquisition")[..] else { panic!("one acquisition") };
    assert_eq!(acquisition.fields["operation"], "lock");
    assert_eq!(acquisition.fields["lock"], "a");
    assert_eq!(acquisition.parent, Some("work"));
    let [hold] = &world.trace.spans("hold")[..] else { panic!("one hold") };
    assert_eq!(hold.fields["token"], guard.fencing_token().to_string());
    assert_eq!(hold.parent, Some("acquisition"));
    assert!(!acquisition.closed && !hold.closed);
    guard.release().await.unwrap();
    settle().await;
    assert!(world.trace.spans("acquisition")[0].closed && world.trace.spans("hold")[0].closed);
}

/// An entry whose removal nobody confirms is counted until somebody does.
#[tokio::test(start_paused = true)]
async fn withdrawals_pending() {
    let world = World::new();
    let node = world.node().await;
    let pending = || world.measures.value(r#"leasehold_withdrawals_pending{backend="memory"}"#);
    world.service.on_call(|call| match call.operation {
        Operation::Withdraw => Fault::Refuse,
        _ => Fault::None,
    });
    drop(node.mutex("a").lock().await.unwrap());
    drop(node.mutex("b").lock().await.unwrap());
    settle().await;
    assert_eq!(pending(), 2.0);
    world.service.clear_on_call();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(pending(), 0.0);
}

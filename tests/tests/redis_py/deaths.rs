//! Holders that are killed.

use std::time::Duration;

use leasehold_testkit::process::Worker;
use tokio::time::Instant;

use crate::fixture::*;

/// By when the key of a holder that was killed is free.
const BOUND: Duration = TTL.saturating_add(Duration::from_secs(1));

#[tokio::test]
async fn what_a_killed_python_held_is_ours_within_its_ttl() {
    let mut met = meets();
    let server = server().await;
    let (lock, mut python) = (lock(&server.endpoint()).await, python(&server, 0).await);
    assert_eq!(told(&mut python, &format!("acquire {KEY} {} 0", TTL.as_secs())).await, "got");
    let waiting = tokio::spawn(async move { lock.lock().await.unwrap() });
    python.kill().await;
    let killed = Instant::now();
    let guard = soon(waiting).await.unwrap();
    assert!(killed.elapsed() < BOUND, "{:?}", killed.elapsed());
    guard.release().await.unwrap();
    met.acquired(2);
}

#[tokio::test]
async fn what_a_killed_process_of_ours_held_is_pythons_within_its_ttl() {
    let mut met = meets();
    let server = server().await;
    let mut python = python(&server, 0).await;
    let program = env!("CARGO_BIN_EXE_leasehold-test-shared-key-worker");
    let ttl = TTL.as_millis().to_string();
    let mut ours = Worker::start(program, [server.endpoint().as_str(), KEY, &ttl]);
    ours.expect("held").await;
    // It renews.
    assert_eq!(told(&mut python, &format!("acquire {KEY} 10 {}", TTL.as_secs() + 1)).await, "busy");
    ours.kill().await;
    let killed = Instant::now();
    assert_eq!(told(&mut python, &format!("acquire {KEY} 10 {}", BOUND.as_secs())).await, "got");
    assert!(killed.elapsed() < BOUND, "{:?}", killed.elapsed());
    met.acquired(2);
}

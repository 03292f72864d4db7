//! Holders that are killed.

use std::time::Duration;

use leasehold::WireProfile;
use leasehold_testkit::process::Worker;
use tokio::time::Instant;

use crate::fixture::*;
use crate::peer::Peer;

with_both!(what_a_killed_program_held_is_ours, what_a_killed_process_of_ours_held_is_theirs);

/// By when the lock of a holder that was killed is free: the server looks once a tick, and rounds up to the next.
const BOUND: Duration = TTL.saturating_add(TICK).saturating_add(TICK).saturating_add(Duration::from_secs(1));

async fn what_a_killed_program_held_is_ours(profile: WireProfile) {
    let endpoint = server().await.endpoint();
    let (mut peer, path) = (Peer::start(profile, &endpoint).await, path());
    let mut meets = peer.meets("mutex");
    let ours = ours(&endpoint).await;
    let mutex = ours.at(profile, &path).mutex().unwrap();
    assert_eq!(peer.told(&format!("acquire mutex {path} 0")).await, "got");
    let waiting = tokio::spawn(async move { mutex.lock().await.unwrap() });
    peer.kill().await;
    let killed = Instant::now();
    let guard = soon(waiting).await.unwrap();
    meets.acquired(2);
    assert!(killed.elapsed() < BOUND, "{:?}", killed.elapsed());
    guard.release().await.unwrap();
}

async fn what_a_killed_process_of_ours_held_is_theirs(profile: WireProfile) {
    let endpoint = server().await.endpoint();
    let (mut peer, path) = (Peer::start(profile, &endpoint).await, path());
    let mut meets = peer.meets("mutex");
    let program = env!("CARGO_BIN_EXE_leasehold-test-wire-worker");
    let url = format!("zookeeper://{endpoint}/leasehold?ttl={}ms", TTL.as_millis());
    let mut ours = Worker::start(program, [url.as_str(), &profile.to_string(), &path]);
    ours.expect("held").await;
    assert_eq!(peer.told(&format!("acquire mutex {path} 200")).await, "busy");
    peer.send(&format!("acquire mutex {path} {}", BOUND.as_millis())).await;
    ours.kill().await;
    let killed = Instant::now();
    assert_eq!(peer.line().await, "got");
    meets.acquired(2);
    assert!(killed.elapsed() < BOUND, "{:?}", killed.elapsed());
}

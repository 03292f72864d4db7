//! Holders that are killed or stopped.

use std::time::Duration;

use leasehold::WireProfile;
use leasehold_testkit::process::Worker;
use tokio::time::{Instant, sleep};

use crate::fixture::*;
use crate::peer::Peer;

with_both!(
    what_a_killed_program_held_is_ours,
    what_a_killed_process_of_ours_held_is_theirs,
    a_killed_program_that_led_is_followed_by_ours,
    a_killed_process_of_ours_that_led_is_followed_by_theirs,
    a_program_that_is_stopped_loses_what_it_held,
);

/// By when the lock of a holder that was killed is free: the server looks once a tick, and rounds up to the next.
const BOUND: Duration = TTL.saturating_add(TICK).saturating_add(TICK).saturating_add(Duration::from_secs(1));

/// A process of ours that holds.
async fn holder(endpoint: &str, profile: WireProfile, path: &str, recipe: &str) -> Worker {
    let program = env!("CARGO_BIN_EXE_leasehold-test-wire-worker");
    let url = format!("zookeeper://{endpoint}/leasehold?ttl={}ms", TTL.as_millis());
    let mut ours = Worker::start(program, [url.as_str(), &profile.to_string(), path, recipe]);
    ours.expect("held").await;
    ours
}

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
    let mut ours = holder(&endpoint, profile, &path, "mutex").await;
    assert_eq!(peer.told(&format!("acquire mutex {path} 200")).await, "busy");
    peer.send(&format!("acquire mutex {path} {}", BOUND.as_millis())).await;
    ours.kill().await;
    let killed = Instant::now();
    assert_eq!(peer.line().await, "got");
    meets.acquired(2);
    assert!(killed.elapsed() < BOUND, "{:?}", killed.elapsed());
}

async fn a_killed_program_that_led_is_followed_by_ours(profile: WireProfile) {
    let endpoint = server().await.endpoint();
    let (mut peer, path) = (Peer::start(profile, &endpoint).await, path());
    let mut meets = peer.meets("election");
    let ours = ours(&endpoint).await;
    let election = ours.at(profile, &path).election().unwrap();
    assert_eq!(peer.told(&format!("stand {path} theirs")).await, "standing");
    assert_eq!(peer.told("lead 10000").await, "leading");
    let theirs = election.leader().await.unwrap().expect("it leads").fencing_token();
    let standing = tokio::spawn(async move { election.campaign("ours").await.unwrap() });
    peer.kill().await;
    let killed = Instant::now();
    let leadership = soon(standing).await.unwrap();
    assert!(killed.elapsed() < BOUND, "{:?}", killed.elapsed());
    assert!(leadership.fencing_token() > theirs);
    leadership.resign().await.unwrap();
    meets.acquired(2);
}

async fn a_killed_process_of_ours_that_led_is_followed_by_theirs(profile: WireProfile) {
    let endpoint = server().await.endpoint();
    let (mut peer, path) = (Peer::start(profile, &endpoint).await, path());
    let mut meets = peer.meets("election");
    let mut ours = holder(&endpoint, profile, &path, "election").await;
    assert_eq!(peer.told(&format!("stand {path} theirs")).await, "standing");
    assert_eq!(peer.told("lead 200").await, "waiting");
    peer.send(&format!("lead {}", BOUND.as_millis())).await;
    ours.kill().await;
    let killed = Instant::now();
    assert_eq!(peer.line().await, "leading");
    assert!(killed.elapsed() < BOUND, "{:?}", killed.elapsed());
    meets.acquired(2);
}

/// Stopped and not killed: what it sends when it runs again is a dead session's.
async fn a_program_that_is_stopped_loses_what_it_held(profile: WireProfile) {
    let endpoint = server().await.endpoint();
    let (mut peer, path) = (Peer::start(profile, &endpoint).await, path());
    let mut meets = peer.meets("mutex");
    let mut stopped = holder(&endpoint, profile, &path, "mutex").await;
    peer.send(&format!("acquire mutex {path} {}", BOUND.as_millis())).await;
    stopped.pause();
    let paused = Instant::now();
    assert_eq!(peer.line().await, "got");
    assert!(paused.elapsed() < BOUND, "{:?}", paused.elapsed());
    // It is told that it has lost it, and takes it from nobody.
    stopped.resume();
    stopped.close_input();
    assert!(!stopped.wait().await.success(), "its release fails");
    let ours = ours(&endpoint).await;
    let mutex = ours.at(profile, &path).mutex().unwrap();
    assert!(mutex.try_lock().await.unwrap().is_none());

    // The other way round: theirs is stopped, and ours follows.
    let waiting = tokio::spawn({
        let mutex = mutex.clone();
        async move { mutex.lock().await.unwrap() }
    });
    sleep(Duration::from_millis(200)).await;
    peer.pause();
    let paused = Instant::now();
    let guard = soon(waiting).await.unwrap();
    assert!(paused.elapsed() < BOUND, "{:?}", paused.elapsed());
    peer.resume();
    sleep(Duration::from_millis(300)).await;
    assert!(guard.is_held());
    guard.release().await.unwrap();
    meets.acquired(3);
}

mod semaphore {
    use super::*;

    const CURATOR: WireProfile = WireProfile::Curator;

    #[tokio::test]
    async fn what_a_killed_program_held_or_waited_for_is_ours() {
        let endpoint = server().await.endpoint();
        let (mut holds, mut waits) =
            (Peer::start(CURATOR, &endpoint).await, Peer::start(CURATOR, &endpoint).await);
        let (mut meets, path) = (holds.meets("semaphore"), path());
        let (ours, outside) = (ours(&endpoint).await, outside(&endpoint).await);
        let semaphore = ours.at(CURATOR, &path).semaphore(1).unwrap();
        assert_eq!(holds.told(&format!("acquire semaphore-1 {path} 0")).await, "got");
        // Between the two steps: it is first in line, and has its node among the permits.
        waits.send(&format!("acquire semaphore-1 {path} 20000")).await;
        settled(&outside, &path, 1, 2).await;
        let waiting = tokio::spawn({
            let semaphore = semaphore.clone();
            async move { semaphore.acquire().await.unwrap() }
        });
        waits.kill().await;
        holds.kill().await;
        let killed = Instant::now();
        let permit = soon(waiting).await.unwrap();
        assert!(killed.elapsed() < BOUND, "{:?}", killed.elapsed());
        permit.release().await.unwrap();
        meets.acquired(2);
    }

    #[tokio::test]
    async fn what_a_killed_process_of_ours_held_or_waited_for_is_theirs() {
        let endpoint = server().await.endpoint();
        let (mut peer, path) = (Peer::start(CURATOR, &endpoint).await, path());
        let mut meets = peer.meets("semaphore");
        let outside = outside(&endpoint).await;
        let mut holds = holder(&endpoint, CURATOR, &path, "semaphore").await;
        let program = env!("CARGO_BIN_EXE_leasehold-test-wire-worker");
        let url = format!("zookeeper://{endpoint}/leasehold?ttl={}ms", TTL.as_millis());
        let mut waits = Worker::start(program, [url.as_str(), "curator", &path, "semaphore"]);
        // First in line, with nothing among the permits.
        settled(&outside, &path, 1, 1).await;
        assert_eq!(peer.told(&format!("acquire semaphore-1 {path} 200")).await, "busy");
        peer.send(&format!("acquire semaphore-1 {path} {}", BOUND.as_millis())).await;
        waits.kill().await;
        holds.kill().await;
        let killed = Instant::now();
        assert_eq!(peer.line().await, "got");
        assert!(killed.elapsed() < BOUND, "{:?}", killed.elapsed());
        meets.acquired(2);
    }
}

//! Holders and leaders that are killed or stopped.

use std::time::Duration;

use leasehold_testkit::interop::meets;
use leasehold_testkit::process::Worker;
use leasehold_testkit::servers::EtcdServer;
use tokio::time::{Instant, sleep, timeout};

use crate::fixture::*;

const SOON: Duration = Duration::from_secs(20);
/// By when the entry of a holder that was killed is gone: etcd grants this TTL, and sweeps and revokes within a second.
const BOUND: Duration = TTL.saturating_add(Duration::from_secs(3));
/// What `etcdctl elect` asks for, and cannot be told otherwise.
const TTL_OF_ETCDCTL: Duration = Duration::from_secs(60);

/// A process of ours that holds.
async fn holder(server: &EtcdServer, recipe: &str) -> Worker {
    let program = env!("CARGO_BIN_EXE_leasehold-test-wire-worker");
    let url = format!("etcd://{}/leasehold?ttl={}ms", server.endpoint(), TTL.as_millis());
    let mut ours = Worker::start(program, [url.as_str(), "etcd-v3", PATH, recipe]);
    ours.expect("held").await;
    ours
}

#[tokio::test]
async fn what_a_killed_go_held_is_ours_and_we_wait_for_it() {
    let mut met = meets("Go concurrency", go_version(), "mutex");
    let server = server().await;
    let (coordinator, mut go) = (coordinator(&server).await, go(&server).await);
    go.ask(&format!("lock {PATH}"), "locked ").await;
    let mutex = at(&coordinator).mutex().unwrap();
    let waiting = tokio::spawn(async move { mutex.lock().await.unwrap() });
    go.kill().await;
    let killed = Instant::now();
    let guard = timeout(SOON, waiting).await.unwrap().unwrap();
    assert!(killed.elapsed() < BOUND, "{:?}", killed.elapsed());
    guard.release().await.unwrap();
    met.acquired(2);
}

#[tokio::test]
async fn what_a_killed_process_of_ours_held_is_gos_and_go_waits_for_it() {
    let mut met = meets("Go concurrency", go_version(), "mutex");
    let server = server().await;
    let mut go = go(&server).await;
    let mut ours = holder(&server, "mutex").await;
    assert_eq!(told(&mut go, &format!("try {PATH}")).await, "busy");
    go.send(&format!("lock {PATH}")).await;
    ours.kill().await;
    let killed = Instant::now();
    let answer = timeout(SOON, go.line()).await.unwrap().unwrap();
    assert!(answer.starts_with("locked "), "{answer}");
    assert!(killed.elapsed() < BOUND, "{:?}", killed.elapsed());
    met.acquired(2);
}

/// Stopped and not killed: what it sends when it runs again is a dead session's.
#[tokio::test]
async fn a_program_that_is_stopped_loses_what_it_held() {
    let mut met = meets("Go concurrency", go_version(), "mutex");
    let server = server().await;
    let (coordinator, mut go) = (coordinator(&server).await, go(&server).await);
    let mut stopped = holder(&server, "mutex").await;
    go.send(&format!("lock {PATH}")).await;
    stopped.pause();
    let paused = Instant::now();
    let answer = timeout(SOON, go.line()).await.unwrap().unwrap();
    assert!(answer.starts_with("locked "), "{answer}");
    assert!(paused.elapsed() < BOUND, "{:?}", paused.elapsed());
    // It is told that it has lost it, and takes it from nobody.
    stopped.resume();
    stopped.close_input();
    assert!(!stopped.wait().await.success(), "its release fails");
    let mutex = at(&coordinator).mutex().unwrap();
    assert!(mutex.try_lock().await.unwrap().is_none());
    assert_eq!(told(&mut go, &format!("owner {PATH}")).await, "true");

    // The other way round: Go is stopped, and ours follows.
    let waiting = tokio::spawn(async move { mutex.lock().await.unwrap() });
    sleep(Duration::from_millis(200)).await;
    go.pause();
    let paused = Instant::now();
    let guard = timeout(SOON, waiting).await.unwrap().unwrap();
    assert!(paused.elapsed() < BOUND, "{:?}", paused.elapsed());
    go.resume();
    assert_eq!(told(&mut go, &format!("owner {PATH}")).await, "false");
    assert!(guard.is_held());
    guard.release().await.unwrap();
    met.acquired(3);
}

#[tokio::test]
async fn a_killed_go_that_led_is_followed_by_ours() {
    let mut met = meets("Go concurrency", go_version(), "election");
    let server = server().await;
    let (coordinator, mut go) = (coordinator(&server).await, go(&server).await);
    let election = at(&coordinator).election().unwrap();
    let revision: u64 = go.ask(&format!("campaign {PATH} theirs"), "leading ").await.parse().unwrap();
    let standing = tokio::spawn({
        let election = election.clone();
        async move { election.campaign("ours").await.unwrap() }
    });
    go.kill().await;
    let killed = Instant::now();
    let leadership = timeout(SOON, standing).await.unwrap().unwrap();
    assert!(killed.elapsed() < BOUND, "{:?}", killed.elapsed());
    assert!(leadership.fencing_token().order() > revision);
    assert_eq!(election.leader().await.unwrap().expect("it leads").value(), b"ours");
    leadership.resign().await.unwrap();
    met.acquired(2);
}

#[tokio::test]
async fn a_killed_process_of_ours_that_led_is_followed_by_go() {
    let mut met = meets("Go concurrency", go_version(), "election");
    let server = server().await;
    let mut go = go(&server).await;
    let mut ours = holder(&server, "election").await;
    let leader = told(&mut go, &format!("leader {PATH}")).await;
    assert!(leader.starts_with("leader ours "), "{leader}");
    go.send(&format!("campaign {PATH} theirs")).await;
    ours.kill().await;
    let killed = Instant::now();
    go.expect("leading ").await;
    assert!(killed.elapsed() < BOUND, "{:?}", killed.elapsed());
    met.acquired(2);
}

#[tokio::test]
async fn what_a_killed_etcdctl_locked_is_ours() {
    let mut met = meets("etcdctl", &etcdctl_version().await, "mutex");
    let server = server().await;
    let coordinator = coordinator(&server).await;
    let mutex = at(&coordinator).mutex().unwrap();
    let ttl = TTL.as_secs().to_string();
    let mut holds = Worker::spawn(etcdctl(&server, &["lock", "--ttl", &ttl, PATH]));
    holds.expect(&format!("{PATH}/")).await;
    let waiting = tokio::spawn(async move { mutex.lock().await.unwrap() });
    holds.kill().await;
    let killed = Instant::now();
    timeout(SOON, waiting).await.unwrap().unwrap().release().await.unwrap();
    assert!(killed.elapsed() < BOUND, "{:?}", killed.elapsed());
    met.acquired(2);
}

#[tokio::test]
async fn what_a_killed_process_of_ours_held_is_etcdctls() {
    let version = etcdctl_version().await;
    let (mut met, mut met_leading) =
        (meets("etcdctl", &version, "mutex"), meets("etcdctl", &version, "election"));
    let (locked, led) = (server().await, server().await);
    let (mut holds, mut leads) = (holder(&locked, "mutex").await, holder(&led, "election").await);
    let mut locks = Worker::spawn(etcdctl(&locked, &["lock", PATH]));
    let mut stands = Worker::spawn(etcdctl(&led, &["elect", PATH, "theirs"]));
    assert!(timeout(Duration::from_millis(300), locks.line()).await.is_err(), "it waits");
    assert!(timeout(Duration::from_millis(1), stands.line()).await.is_err(), "it waits");
    holds.kill().await;
    leads.kill().await;
    let killed = Instant::now();
    locks.expect(&format!("{PATH}/")).await;
    stands.expect("theirs").await;
    assert!(killed.elapsed() < BOUND, "{:?}", killed.elapsed());
    met.acquired(2);
    met_leading.acquired(2);
}

/// It takes as long as the lease of `etcdctl elect` lasts.
#[tokio::test]
async fn a_killed_etcdctl_that_led_is_followed_by_ours() {
    let mut met = meets("etcdctl", &etcdctl_version().await, "election");
    let server = server().await;
    let coordinator = coordinator(&server).await;
    let election = at(&coordinator).election().unwrap();
    let mut leads = Worker::spawn(etcdctl(&server, &["elect", PATH, "theirs"]));
    leads.expect("theirs").await;
    let theirs = election.leader().await.unwrap().expect("it leads").fencing_token();
    leads.kill().await;
    let killed = Instant::now();
    let leadership = timeout(TTL_OF_ETCDCTL * 2, election.campaign("ours")).await.unwrap().unwrap();
    assert!(killed.elapsed() < TTL_OF_ETCDCTL + Duration::from_secs(3), "{:?}", killed.elapsed());
    assert!(leadership.fencing_token() > theirs);
    leadership.resign().await.unwrap();
    met.acquired(2);
}

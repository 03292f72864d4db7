//! Elections with Go's client, `etcdctl`, and the server's own lock and election calls.

use std::time::Duration;

use etcd_client::{Client, LockOptions, ProclaimOptions, ResignOptions};
use leasehold_testkit::interop::meets;
use leasehold_testkit::process::Worker;
use tokio::time::{sleep, timeout};

use crate::fixture::*;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn leaders_are_seen_by_both_sides() {
    let mut met = meets("Go concurrency", go_version(), "election");
    let server = server().await;
    let (coordinator, mut go) = (coordinator(&server).await, go(&server).await);
    let election = at(&coordinator).election().unwrap();
    assert_eq!(told(&mut go, &format!("leader {PATH}")).await, "nobody");
    let leadership = election.campaign("ours").await.unwrap();
    let order = leadership.fencing_token().order();
    assert_eq!(told(&mut go, &format!("leader {PATH}")).await, format!("leader ours {order}"));
    leadership.proclaim("ours-2").await.unwrap();
    go.ask(&format!("observe {PATH} ours-2"), "observed ").await;
    // It waits behind us.
    go.send(&format!("campaign {PATH} theirs")).await;
    leadership.resign().await.unwrap();
    let revision: u64 = go.expect("leading ").await.parse().unwrap();
    let leader = election.leader().await.unwrap().expect("Go leads");
    assert_eq!(leader.value(), b"theirs");
    assert_eq!(leader.fencing_token().order(), revision);
    assert_eq!(told(&mut go, &format!("proclaim {PATH} theirs-2")).await, "proclaimed");
    let mut leaders = election.observe().unwrap();
    let seen = timeout(SOON, async {
        while let Some(leader) = leaders.next().await {
            if leader.is_some_and(|leader| leader.value() == b"theirs-2") {
                return true;
            }
        }
        false
    });
    assert!(seen.await.unwrap());
    let standing = tokio::spawn(async move { election.campaign("ours-3").await.unwrap() });
    assert_eq!(told(&mut go, &format!("resign {PATH}")).await, "resigned");
    let leadership = timeout(SOON, standing).await.unwrap().unwrap();
    assert!(leadership.fencing_token().order() > revision);
    met.acquired(3);
}

#[tokio::test]
async fn a_thousand_terms_in_turn_with_go() {
    let mut met = meets("Go concurrency", go_version(), "election");
    let server = server().await;
    let (coordinator, mut go) = (coordinator(&server).await, go(&server).await);
    let election = at(&coordinator).election().unwrap();
    let mut leadership = election.campaign("ours").await.unwrap();
    for _ in 0..500 {
        let last = leadership.fencing_token().order();
        go.send(&format!("campaign {PATH} theirs")).await;
        until_there_are_two(async || election.candidates().await.unwrap().len()).await;
        leadership.resign().await.unwrap();
        let revision: u64 = go.expect("leading ").await.parse().unwrap();
        assert!(last < revision);
        let standing = tokio::spawn({
            let election = election.clone();
            async move { election.campaign("ours").await.unwrap() }
        });
        until_there_are_two(async || election.candidates().await.unwrap().len()).await;
        assert!(!standing.is_finished());
        assert_eq!(told(&mut go, &format!("resign {PATH}")).await, "resigned");
        leadership = timeout(SOON, standing).await.unwrap().unwrap();
        assert!(revision < leadership.fencing_token().order());
        met.acquired(2);
    }
}

/// Whoever waits is there.
async fn until_there_are_two(mut count: impl AsyncFnMut() -> usize) {
    let two = async {
        while count().await < 2 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(SOON, two).await.expect("the other one never comes");
}

#[tokio::test]
async fn etcdctl_waits_for_us_and_we_for_it() {
    let mut met = meets("etcdctl", &etcdctl_version().await, "mutex");
    let server = server().await;
    let coordinator = coordinator(&server).await;
    let mutex = at(&coordinator).mutex().unwrap();
    let guard = mutex.lock().await.unwrap();
    let mut etcdctl = Worker::spawn(etcdctl(&server, &["lock", "--ttl", "2", PATH]));
    assert!(timeout(Duration::from_millis(300), etcdctl.line()).await.is_err(), "it waits");
    guard.release().await.unwrap();
    // It says its key once it holds.
    etcdctl.expect(&format!("{PATH}/")).await;
    assert!(mutex.try_lock().await.unwrap().is_none());
    etcdctl.terminate();
    timeout(SOON, mutex.lock()).await.unwrap().unwrap().release().await.unwrap();
    met.acquired(3);
}

#[tokio::test]
async fn a_thousand_acquisitions_in_turn_with_etcdctl() {
    let mut met = meets("etcdctl", &etcdctl_version().await, "mutex");
    let server = server().await;
    let coordinator = coordinator(&server).await;
    let mutex = at(&coordinator).mutex().unwrap();
    for _ in 0..500 {
        let guard = mutex.try_lock().await.unwrap().expect("it has given it up");
        let mut command = etcdctl(&server, &["lock", PATH, "true"]);
        let theirs = tokio::spawn(async move { command.output().await.unwrap() });
        until_there_are_two(async || mutex.contenders().await.unwrap().len()).await;
        assert!(!theirs.is_finished());
        guard.release().await.unwrap();
        let output = timeout(SOON, theirs).await.unwrap().unwrap();
        assert!(output.status.success(), "{output:?}");
        met.acquired(2);
    }
}

#[tokio::test]
async fn a_thousand_terms_in_turn_with_etcdctl() {
    let mut met = meets("etcdctl", &etcdctl_version().await, "election");
    let server = server().await;
    let coordinator = coordinator(&server).await;
    let election = at(&coordinator).election().unwrap();
    for _ in 0..500 {
        let leadership = election.try_campaign("ours").await.unwrap().expect("it has resigned");
        let mut theirs = Worker::spawn(etcdctl(&server, &["elect", PATH, "theirs"]));
        until_there_are_two(async || election.candidates().await.unwrap().len()).await;
        leadership.resign().await.unwrap();
        theirs.expect("theirs").await;
        assert!(election.try_campaign("ours").await.unwrap().is_none());
        // It resigns when it is told to end.
        theirs.terminate();
        assert!(theirs.wait().await.success());
        met.acquired(2);
    }
}

#[tokio::test]
async fn etcdctl_elects_behind_us_and_shows_us() {
    let mut met = meets("etcdctl", &etcdctl_version().await, "election");
    let server = server().await;
    let coordinator = coordinator(&server).await;
    let election = at(&coordinator).election().unwrap();
    let leadership = election.campaign("ours").await.unwrap();
    let mut listener = Worker::spawn(etcdctl(&server, &["elect", "--listen", PATH]));
    listener.expect("ours").await;
    let mut candidate = Worker::spawn(etcdctl(&server, &["elect", PATH, "theirs"]));
    assert!(timeout(Duration::from_millis(300), candidate.line()).await.is_err(), "it waits");
    leadership.resign().await.unwrap();
    candidate.expect("theirs").await;
    assert_eq!(election.leader().await.unwrap().expect("it leads").value(), b"theirs");
    met.acquired(2);
}

#[tokio::test]
async fn the_servers_own_lock_call_takes_turns_with_us() {
    let version = etcdctl_version().await;
    let mut met = meets("etcd's lock call", &version, "mutex");
    let server = server().await;
    let coordinator = coordinator(&server).await;
    let mutex = at(&coordinator).mutex().unwrap();
    let mut client = Client::connect([server.endpoint()], None).await.unwrap();
    let lease = client.lease_grant(600, None).await.unwrap().id();
    for _ in 0..500 {
        let guard = mutex.lock().await.unwrap();
        let mut locking = client.clone();
        let theirs = tokio::spawn(async move {
            locking.lock(PATH, Some(LockOptions::new().with_lease(lease))).await.unwrap()
        });
        until_there_are_two(async || mutex.contenders().await.unwrap().len()).await;
        assert!(!theirs.is_finished());
        guard.release().await.unwrap();
        let theirs = timeout(SOON, theirs).await.unwrap().unwrap();
        assert!(mutex.try_lock().await.unwrap().is_none());
        client.unlock(theirs.key()).await.unwrap();
        met.acquired(2);
    }
}

#[tokio::test]
async fn the_servers_own_election_call_takes_turns_with_us() {
    let version = etcdctl_version().await;
    let mut met = meets("etcd's election call", &version, "election");
    let server = server().await;
    let coordinator = coordinator(&server).await;
    let election = at(&coordinator).election().unwrap();
    let client = Client::connect([server.endpoint()], None).await.unwrap();
    let lease = client.lease_client().grant(600, None).await.unwrap().id();
    let mut calls = client.election_client();
    for turn in 0..500 {
        let value = format!("ours-{turn}");
        let leadership = election.campaign(value.clone()).await.unwrap();
        let seen = calls.leader(PATH).await.unwrap();
        let seen = seen.kv().expect("ours leads");
        assert_eq!(seen.value(), value.as_bytes());
        assert_eq!(seen.create_revision().cast_unsigned(), leadership.fencing_token().order());
        let mut standing = client.election_client();
        let theirs = tokio::spawn(async move { standing.campaign(PATH, "theirs", lease).await.unwrap() });
        until_there_are_two(async || election.candidates().await.unwrap().len()).await;
        assert!(!theirs.is_finished());
        leadership.resign().await.unwrap();
        let theirs = timeout(SOON, theirs).await.unwrap().unwrap();
        let key = theirs.leader().expect("it leads");
        let leader = election.leader().await.unwrap().expect("it leads");
        assert_eq!(
            (leader.value(), leader.fencing_token().order()),
            (&b"theirs"[..], key.rev().cast_unsigned())
        );
        let proclaims = ProclaimOptions::new().with_leader(key.clone());
        calls.proclaim("theirs-2", Some(proclaims)).await.unwrap();
        assert_eq!(election.leader().await.unwrap().expect("it leads").value(), b"theirs-2");
        assert!(election.try_campaign("ours").await.unwrap().is_none());
        calls.resign(Some(ResignOptions::new().with_leader(key.clone()))).await.unwrap();
        met.acquired(2);
    }
}

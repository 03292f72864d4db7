//! Both languages, one mutex.

use std::time::Duration;

use leasehold::WireProfile;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::fixture::*;
use crate::peer::Peer;

with_both!(
    whoever_holds_keeps_the_other_out,
    a_thousand_acquisitions_in_turn,
    no_increment_is_lost_between_many_of_both
);

async fn whoever_holds_keeps_the_other_out(profile: WireProfile) {
    let endpoint = server().await.endpoint();
    let (mut peer, path) = (Peer::start(profile, &endpoint).await, path());
    let mut meets = peer.meets("mutex");
    let (ours, outside) = (ours(&endpoint).await, outside(&endpoint).await);
    let mutex = ours.at(profile, &path).mutex().unwrap();

    let guard = mutex.lock().await.unwrap();
    let word = if profile == WireProfile::Curator { "-lock-" } else { "__lock__" };
    let nodes = children(&outside, &path).await;
    assert!(nodes.len() == 1 && is_named(profile, &nodes[0], word), "{nodes:?}");
    let stat = outside.check_stat(&format!("{path}/{}", nodes[0])).await.unwrap().unwrap();
    assert_eq!(guard.fencing_token().order(), stat.czxid.cast_unsigned());
    assert_eq!(peer.told(&format!("acquire mutex {path} 0")).await, "busy");
    assert_eq!(peer.told(&format!("acquire mutex {path} 300")).await, "busy");
    // It waits, and is woken by the release.
    peer.send(&format!("acquire mutex {path} 10000")).await;
    sleep(Duration::from_millis(300)).await;
    assert!(guard.is_held());
    let token = guard.fencing_token();
    guard.release().await.unwrap();
    assert_eq!(peer.line().await, "got");

    assert!(mutex.try_lock().await.unwrap().is_none());
    assert!(mutex.try_lock_for(Duration::from_secs(2)).await.unwrap().is_none());
    let seen = mutex.contenders().await.unwrap();
    assert!(seen.len() == 1 && seen[0].details.is_none(), "of a stranger nothing is known: {seen:?}");
    let waiting = tokio::spawn(async move { mutex.lock().await.unwrap() });
    sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished());
    assert_eq!(peer.told(&format!("release mutex {path}")).await, "released");
    let guard = soon(waiting).await.unwrap();
    assert!(guard.fencing_token() > token);
    guard.release().await.unwrap();
    meets.acquired(3);
    assert_eq!(children(&outside, &path).await, [""; 0]);
}

async fn a_thousand_acquisitions_in_turn(profile: WireProfile) {
    let endpoint = server().await.endpoint();
    let (mut peer, path) = (Peer::start(profile, &endpoint).await, path());
    let mut meets = peer.meets("mutex");
    let ours = ours(&endpoint).await;
    let mutex = ours.at(profile, &path).mutex().unwrap();
    let (acquire, release) = (format!("acquire mutex {path} 0"), format!("release mutex {path}"));
    let mut last = None;
    for _ in 0..500 {
        let guard = mutex.try_lock().await.unwrap().expect("the other has released it");
        assert!(last < Some(guard.fencing_token()));
        last = Some(guard.fencing_token());
        assert_eq!(peer.told(&acquire).await, "busy");
        guard.release().await.unwrap();
        assert_eq!(peer.told(&acquire).await, "got");
        assert!(mutex.try_lock().await.unwrap().is_none());
        assert_eq!(peer.told(&release).await, "released");
        meets.acquired(2);
    }
}

async fn no_increment_is_lost_between_many_of_both(profile: WireProfile) {
    const TIMES: usize = 100;
    let endpoint = server().await.endpoint();
    let path = path();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("number");
    std::fs::write(&file, "0").unwrap();
    let mut peers = Vec::new();
    for _ in 0..2 {
        let mut peer = Peer::start(profile, &endpoint).await;
        peer.send(&format!("increment mutex {path} {} {TIMES}", file.display())).await;
        peers.push(peer);
    }
    let mut tasks = JoinSet::new();
    for _ in 0..2 {
        // Of each session's two tasks one stands behind the other as it does behind strangers.
        let mutex = ours(&endpoint).await.at(profile, &path).mutex().unwrap();
        for _ in 0..2 {
            let (mutex, file) = (mutex.clone(), file.clone());
            tasks.spawn(async move {
                for _ in 0..TIMES {
                    let guard = mutex.lock().await.unwrap();
                    let number: usize = std::fs::read_to_string(&file).unwrap().parse().unwrap();
                    tokio::task::yield_now().await;
                    std::fs::write(&file, (number + 1).to_string()).unwrap();
                    guard.release().await.unwrap();
                }
            });
        }
    }
    tokio::time::timeout(Duration::from_secs(60), tasks.join_all()).await.expect("they stand still");
    let mut meets = peers[0].meets("mutex");
    for peer in &mut peers {
        assert_eq!(peer.line().await, "incremented");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), (6 * TIMES).to_string());
    meets.acquired(6 * TIMES as u64);
}

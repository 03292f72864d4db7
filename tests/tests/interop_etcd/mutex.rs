//! The mutex, with Go's client.

use std::time::Duration;

use leasehold::LossReason;
use leasehold_testkit::interop::meets;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::fixture::*;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn either_side_keeps_the_other_out_and_its_token_is_the_revision_that_go_sees() {
    let mut met = meets("Go concurrency", go_version(), "mutex");
    let server = server().await;
    let (coordinator, mut go) = (coordinator(&server).await, go(&server).await);
    let mutex = at(&coordinator).mutex().unwrap();
    let mut last = 0;
    for _ in 0..20 {
        let guard = mutex.try_lock().await.unwrap().expect("Go has released it");
        assert!(guard.fencing_token().order() > last);
        last = guard.fencing_token().order();
        assert_eq!(told(&mut go, &format!("try {PATH}")).await, "busy");
        guard.release().await.unwrap();
        let revision: u64 = go.ask(&format!("try {PATH}"), "locked ").await.parse().unwrap();
        assert!(revision > last);
        last = revision;
        assert!(mutex.try_lock().await.unwrap().is_none());
        let [holder] = &mutex.contenders().await.unwrap()[..] else { panic!("one holds") };
        assert!(holder.holds() && holder.details.is_none());
        assert_eq!(holder.token.order(), revision);
        assert_eq!(told(&mut go, &format!("unlock {PATH}")).await, "unlocked");
        met.acquired(2);
    }
}

#[tokio::test]
async fn no_increment_is_lost_between_both_in_a_thousand() {
    const TIMES: u64 = 250;
    let mut met = meets("Go concurrency", go_version(), "mutex");
    let server = server().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("number");
    std::fs::write(&file, "0").unwrap();
    let mut peers = Vec::new();
    for _ in 0..2 {
        let mut peer = go(&server).await;
        peer.send(&format!("increment {PATH} {} {TIMES}", file.display())).await;
        peers.push(peer);
    }
    let coordinator = coordinator(&server).await;
    let mut tasks = JoinSet::new();
    // Two of one session: they exclude each other too.
    for _ in 0..2 {
        let (mutex, file) = (at(&coordinator).mutex().unwrap(), file.clone());
        tasks.spawn(async move {
            for _ in 0..TIMES {
                let guard = mutex.lock().await.unwrap();
                let number: u64 = std::fs::read_to_string(&file).unwrap().parse().unwrap();
                tokio::task::yield_now().await;
                std::fs::write(&file, (number + 1).to_string()).unwrap();
                guard.release().await.unwrap();
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    for peer in &mut peers {
        assert_eq!(peer.line().await.as_deref(), Some("done"));
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), (4 * TIMES).to_string());
    met.acquired(4 * TIMES);
}

#[tokio::test]
async fn a_stranger_is_removed_by_force_and_go_removes_us() {
    let mut met = meets("Go concurrency", go_version(), "mutex");
    let server = server().await;
    let (coordinator, mut go) = (coordinator(&server).await, go(&server).await);
    let mutex = at(&coordinator).mutex().unwrap();
    go.ask(&format!("lock {PATH}"), "locked ").await;
    assert_eq!(told(&mut go, &format!("owner {PATH}")).await, "true");
    mutex.force_release("ops").await.unwrap();
    assert_eq!(told(&mut go, &format!("owner {PATH}")).await, "false");
    let guard = mutex.try_lock().await.unwrap().expect("it was removed");
    let deleted = etcdctl(&server, &["del", "--prefix", PATH]).output().await.unwrap();
    assert!(deleted.status.success());
    let reason = timeout(SOON, guard.lost()).await.unwrap();
    assert_eq!(reason, LossReason::EntryRemoved);
    met.acquired(2);
}

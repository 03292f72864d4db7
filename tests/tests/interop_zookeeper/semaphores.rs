//! Both languages, one semaphore: Curator's `InterProcessSemaphoreV2`.

use std::path::PathBuf;
use std::time::Duration;

use leasehold::{ErrorKind, Semaphore, WireProfile};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::fixture::*;
use crate::peer::Peer;

const CURATOR: WireProfile = WireProfile::Curator;
const RECIPE: &str = "semaphore";

#[tokio::test]
async fn whoever_has_the_permit_keeps_the_other_out() {
    let endpoint = server().await.endpoint();
    let (mut peer, path) = (Peer::start(CURATOR, &endpoint).await, path());
    let mut meets = peer.meets(RECIPE);
    let (ours, outside) = (ours(&endpoint).await, outside(&endpoint).await);
    let semaphore = ours.at(CURATOR, &path).semaphore(1).unwrap();

    let permit = semaphore.acquire().await.unwrap();
    let nodes = children(&outside, &format!("{path}/leases")).await;
    assert!(nodes.len() == 1 && is_named(CURATOR, &nodes[0], "-lease-"), "{nodes:?}");
    let stat = outside.check_stat(&format!("{path}/leases/{}", nodes[0])).await.unwrap().unwrap();
    assert_eq!(permit.fencing_token().order(), stat.czxid.cast_unsigned());
    assert_eq!(children(&outside, &format!("{path}/locks")).await, [""; 0], "the entrance is free");
    assert_eq!(peer.told(&format!("acquire semaphore-1 {path} 0")).await, "busy");
    assert_eq!(peer.told(&format!("acquire semaphore-1 {path} 300")).await, "busy");
    // It waits, and is woken by the release.
    peer.send(&format!("acquire semaphore-1 {path} 10000")).await;
    sleep(Duration::from_millis(300)).await;
    assert!(permit.is_held());
    let token = permit.fencing_token();
    permit.release().await.unwrap();
    assert_eq!(peer.line().await, "got");

    assert!(semaphore.try_acquire().await.unwrap().is_none());
    assert!(semaphore.try_acquire_for(Duration::from_secs(2)).await.unwrap().is_none());
    let waiting = tokio::spawn({
        let semaphore = semaphore.clone();
        async move { semaphore.acquire().await.unwrap() }
    });
    sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished());
    assert_eq!(children(&outside, &format!("{path}/leases")).await.len(), 1, "ours waits outside");
    assert_eq!(peer.told(&format!("release semaphore-1 {path}")).await, "released");
    let permit = soon(waiting).await.unwrap();
    assert!(permit.fencing_token() > token);
    permit.release().await.unwrap();
    meets.acquired(3);
    for directory in ["locks", "leases"] {
        assert_eq!(children(&outside, &format!("{path}/{directory}")).await, [""; 0]);
    }
    let stats = semaphore.stats();
    assert_eq!((stats.acquisitions(), stats.contended, stats.timed_out), (2, 1, 1));
    assert_eq!((stats.cancelled, stats.failed, stats.holds.count()), (0, 0, 2));
}

#[tokio::test]
async fn a_thousand_acquisitions_in_turn() {
    let endpoint = server().await.endpoint();
    let (mut peer, path) = (Peer::start(CURATOR, &endpoint).await, path());
    let mut meets = peer.meets(RECIPE);
    let semaphore = ours(&endpoint).await.at(CURATOR, &path).semaphore(1).unwrap();
    let (acquire, release) = (format!("acquire semaphore-1 {path} 0"), format!("release semaphore-1 {path}"));
    let mut last = None;
    for _ in 0..500 {
        let permit = semaphore.try_acquire().await.unwrap().expect("the other has released it");
        assert!(last < Some(permit.fencing_token()));
        last = Some(permit.fencing_token());
        assert_eq!(peer.told(&acquire).await, "busy");
        permit.release().await.unwrap();
        assert_eq!(peer.told(&acquire).await, "got");
        assert!(semaphore.try_acquire().await.unwrap().is_none());
        assert_eq!(peer.told(&release).await, "released");
        meets.acquired(2);
    }
}

#[tokio::test]
async fn three_permits_are_in_use_at_most_and_at_times() {
    const TIMES: usize = 60;
    let endpoint = server().await.endpoint();
    let (path, dir) = (path(), tempfile::tempdir().unwrap());
    let mut peers = Vec::new();
    for _ in 0..2 {
        let mut peer = Peer::start(CURATOR, &endpoint).await;
        peer.send(&format!("crowd semaphore-3 {path} {} {TIMES}", dir.path().display())).await;
        peers.push(peer);
    }
    let mut meets = peers[0].meets(RECIPE);
    let mut tasks = JoinSet::new();
    for session in 0..2 {
        // Of each session's two tasks one stands behind the other as it does behind strangers.
        let semaphore = ours(&endpoint).await.at(CURATOR, &path).semaphore(3).unwrap();
        for task in 0..2 {
            let file = dir.path().join(format!("ours-{session}-{task}"));
            tasks.spawn(crowd(semaphore.clone(), dir.path().to_owned(), file, TIMES));
        }
    }
    let mut most = soon_all(tasks).await.into_iter().max().unwrap();
    for peer in &mut peers {
        let line = peer.line().await;
        let seen = line.strip_prefix("crowded ").unwrap_or_else(|| panic!("{line}"));
        most = most.max(seen.parse().unwrap());
    }
    assert_eq!(most, 3, "of those who held at once");
    meets.acquired(6 * TIMES as u64);
}

async fn soon_all<T: 'static>(tasks: JoinSet<T>) -> Vec<T> {
    tokio::time::timeout(Duration::from_secs(60), tasks.join_all()).await.expect("they stand still")
}

/// Puts a file into a directory each time it holds, and answers how many it has seen there at most. The first time it waits for three.
async fn crowd(semaphore: Semaphore, dir: PathBuf, file: PathBuf, times: usize) -> usize {
    let mut most = 0;
    for turn in 0..times {
        let permit = semaphore.acquire().await.unwrap();
        std::fs::write(&file, "").unwrap();
        loop {
            most = most.max(std::fs::read_dir(&dir).unwrap().count());
            sleep(Duration::from_millis(2)).await;
            if turn > 0 || most >= 3 {
                break;
            }
        }
        std::fs::remove_file(&file).unwrap();
        permit.release().await.unwrap();
    }
    most
}

#[tokio::test]
async fn who_came_first_is_served_first_whoever_it_is() {
    let endpoint = server().await.endpoint();
    let (mut first, mut last) =
        (Peer::start(CURATOR, &endpoint).await, Peer::start(CURATOR, &endpoint).await);
    let (mut meets, path) = (first.meets(RECIPE), path());
    let (ours, outside) = (ours(&endpoint).await, outside(&endpoint).await);
    let semaphore = ours.at(CURATOR, &path).semaphore(1).unwrap();
    let held = semaphore.acquire().await.unwrap();
    first.send(&format!("acquire semaphore-1 {path} 30000")).await;
    settled(&outside, &path, 1, 2).await;
    let second = tokio::spawn({
        let semaphore = semaphore.clone();
        async move { semaphore.acquire().await.unwrap() }
    });
    settled(&outside, &path, 2, 2).await;
    last.send(&format!("acquire semaphore-1 {path} 30000")).await;
    settled(&outside, &path, 3, 2).await;
    assert!(semaphore.try_acquire().await.unwrap().is_none());
    held.release().await.unwrap();
    assert_eq!(first.line().await, "got");
    sleep(Duration::from_millis(200)).await;
    assert!(!second.is_finished());
    assert_eq!(first.told(&format!("release semaphore-1 {path}")).await, "released");
    let permit = soon(second).await.unwrap();
    sleep(Duration::from_millis(200)).await;
    assert!(permit.is_held());
    permit.release().await.unwrap();
    assert_eq!(last.line().await, "got");
    meets.acquired(4);
}

#[tokio::test]
async fn permits_that_are_free_are_had_one_by_one() {
    let endpoint = server().await.endpoint();
    let (mut peer, path) = (Peer::start(CURATOR, &endpoint).await, path());
    let mut meets = peer.meets(RECIPE);
    let semaphore = ours(&endpoint).await.at(CURATOR, &path).semaphore(3).unwrap();
    let acquire = format!("acquire semaphore-3 {path} 0");
    assert_eq!(peer.told(&acquire).await, "got");
    let ours = semaphore.try_acquire().await.unwrap().expect("two are free");
    assert_eq!(peer.told(&acquire).await, "got");
    assert_eq!(peer.told(&acquire).await, "busy");
    assert!(semaphore.try_acquire().await.unwrap().is_none());
    assert_eq!(peer.told(&format!("release semaphore-3 {path}")).await, "released");
    let more = semaphore.try_acquire().await.unwrap().expect("one is free");
    assert_eq!(peer.told(&acquire).await, "busy");
    ours.release().await.unwrap();
    assert_eq!(peer.told(&acquire).await, "got");
    more.release().await.unwrap();
    meets.acquired(5);

    // Theirs take them one by one and can stand there with half of them; ours do not.
    for error in [
        semaphore.acquire_many(2).await.map(drop).unwrap_err(),
        semaphore.try_acquire_many(3).await.map(drop).unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.name()), (ErrorKind::Unsupported, Some(path.as_str())), "{error:?}");
        assert!(error.to_string().contains("one by one"), "{error}");
    }
    let error = semaphore.acquire_many(0).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}

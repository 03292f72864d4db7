//! Both languages, one read/write lock.

use std::time::Duration;

use leasehold::{ErrorKind, WireProfile};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::fixture::*;
use crate::peer::Peer;

with_both!(
    readers_share_and_writers_do_not,
    readers_stand_behind_a_writer_that_waits,
    a_thousand_acquisitions_in_turn,
    no_reader_sees_half_of_what_a_writer_writes,
    what_the_layout_cannot_say_is_refused
);

async fn readers_share_and_writers_do_not(profile: WireProfile) {
    let endpoint = server().await.endpoint();
    let (mut peer, path) = (Peer::start(profile, &endpoint).await, path());
    let mut meets = peer.meets("read/write lock");
    let (ours, outside) = (ours(&endpoint).await, outside(&endpoint).await);
    let lock = ours.at(profile, &path).rw_lock().unwrap();
    let (read, write) = match profile {
        WireProfile::Curator => ("-__READ__", "-__WRIT__"),
        _ => ("__rlock__", "__lock__"),
    };

    let reader = lock.read().await.unwrap();
    let nodes = children(&outside, &path).await;
    assert!(nodes.len() == 1 && is_named(profile, &nodes[0], read), "{nodes:?}");
    assert_eq!(peer.told(&format!("acquire read {path} 0")).await, "got");
    assert_eq!(peer.told(&format!("release read {path}")).await, "released");
    assert_eq!(peer.told(&format!("acquire write {path} 200")).await, "busy");
    reader.release().await.unwrap();

    let writer = lock.write().await.unwrap();
    let nodes = children(&outside, &path).await;
    assert!(nodes.len() == 1 && is_named(profile, &nodes[0], write), "{nodes:?}");
    assert_eq!(peer.told(&format!("acquire read {path} 200")).await, "busy");
    assert_eq!(peer.told(&format!("acquire write {path} 200")).await, "busy");
    writer.release().await.unwrap();

    assert_eq!(peer.told(&format!("acquire read {path} 0")).await, "got");
    lock.read().await.unwrap().release().await.unwrap();
    assert!(lock.try_write().await.unwrap().is_none());
    assert_eq!(peer.told(&format!("release read {path}")).await, "released");

    assert_eq!(peer.told(&format!("acquire write {path} 0")).await, "got");
    assert!(lock.try_read().await.unwrap().is_none());
    assert!(lock.try_write().await.unwrap().is_none());
    assert_eq!(peer.told(&format!("release write {path}")).await, "released");
    lock.try_write().await.unwrap().expect("nobody is there").release().await.unwrap();
    meets.acquired(7);
}

async fn readers_stand_behind_a_writer_that_waits(profile: WireProfile) {
    let endpoint = server().await.endpoint();
    let (mut reads, mut writes) =
        (Peer::start(profile, &endpoint).await, Peer::start(profile, &endpoint).await);
    let mut meets = writes.meets("read/write lock");
    let path = path();
    let (ours, outside) = (ours(&endpoint).await, outside(&endpoint).await);
    let lock = ours.at(profile, &path).rw_lock().unwrap();

    // Theirs waits for our reader; ours does not pass it.
    let reader = lock.read().await.unwrap();
    writes.send(&format!("acquire write {path} 10000")).await;
    there_are(&outside, &path, 2).await;
    let waiting = tokio::spawn({
        let lock = lock.clone();
        async move { lock.read().await.unwrap() }
    });
    sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    reader.release().await.unwrap();
    assert_eq!(writes.line().await, "got");
    sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    assert_eq!(writes.told(&format!("release write {path}")).await, "released");
    let reader = soon(waiting).await.unwrap();

    // Ours waits; theirs does not pass it.
    let waiting = tokio::spawn({
        let lock = lock.clone();
        async move { lock.write().await.unwrap() }
    });
    there_are(&outside, &path, 2).await;
    assert_eq!(reads.told(&format!("acquire read {path} 200")).await, "busy");
    reads.send(&format!("acquire read {path} 10000")).await;
    reader.release().await.unwrap();
    let writer = soon(waiting).await.unwrap();
    sleep(Duration::from_millis(200)).await;
    assert!(writer.is_held());
    writer.release().await.unwrap();
    assert_eq!(reads.line().await, "got");
    meets.acquired(5);
}

async fn a_thousand_acquisitions_in_turn(profile: WireProfile) {
    let endpoint = server().await.endpoint();
    let (mut peer, path) = (Peer::start(profile, &endpoint).await, path());
    let mut meets = peer.meets("read/write lock");
    let lock = ours(&endpoint).await.at(profile, &path).rw_lock().unwrap();
    let [read, write] = ["read", "write"].map(|kind| format!("acquire {kind} {path} 0"));
    let [read_no_more, write_no_more] = ["read", "write"].map(|kind| format!("release {kind} {path}"));
    let mut last = None;
    for _ in 0..250 {
        let writer = lock.try_write().await.unwrap().expect("the other has released it");
        assert!(last < Some(writer.fencing_token()));
        assert_eq!(peer.told(&read).await, "busy");
        writer.release().await.unwrap();
        assert_eq!(peer.told(&read).await, "got");
        assert!(lock.try_write().await.unwrap().is_none());
        let reader = lock.try_read().await.unwrap().expect("readers share it");
        last = Some(reader.fencing_token());
        assert_eq!(peer.told(&read_no_more).await, "released");
        reader.release().await.unwrap();
        assert_eq!(peer.told(&write).await, "got");
        assert!(lock.try_read().await.unwrap().is_none());
        assert_eq!(peer.told(&write_no_more).await, "released");
        meets.acquired(4);
    }
}

/// Theirs write by the write lock; so do ours, and ours read, too.
async fn no_reader_sees_half_of_what_a_writer_writes(profile: WireProfile) {
    const TIMES: usize = 60;
    let endpoint = server().await.endpoint();
    let (mut peer, path) = (Peer::start(profile, &endpoint).await, path());
    let mut meets = peer.meets("read/write lock");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("number");
    std::fs::write(&file, "0").unwrap();
    peer.send(&format!("increment write {path} {} {TIMES}", file.display())).await;
    let lock = ours(&endpoint).await.at(profile, &path).rw_lock().unwrap();
    let mut tasks = JoinSet::new();
    for writes in [true, false, false] {
        let (lock, file) = (lock.clone(), file.clone());
        tasks.spawn(async move {
            for _ in 0..TIMES {
                let read = || std::fs::read_to_string(&file).unwrap();
                if writes {
                    let guard = lock.write().await.unwrap();
                    let number: usize = read().parse().unwrap();
                    // As a file that is written anew is for a moment.
                    std::fs::write(&file, "").unwrap();
                    tokio::task::yield_now().await;
                    std::fs::write(&file, (number + 1).to_string()).unwrap();
                    guard.release().await.unwrap();
                } else {
                    let guard = lock.read().await.unwrap();
                    let before = read();
                    sleep(Duration::from_millis(1)).await;
                    assert!(!before.is_empty() && before == read(), "a writer was there");
                    guard.release().await.unwrap();
                }
            }
        });
    }
    tokio::time::timeout(Duration::from_secs(60), tasks.join_all()).await.expect("they stand still");
    assert_eq!(peer.line().await, "incremented");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), (2 * TIMES).to_string());
    meets.acquired(4 * TIMES as u64);
}

async fn what_the_layout_cannot_say_is_refused(profile: WireProfile) {
    let endpoint = server().await.endpoint();
    let (ours, path) = (ours(&endpoint).await, path());
    let writer = ours.at(profile, &path).rw_lock().unwrap().write().await.unwrap();
    let error = writer.downgrade().await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    assert!(error.to_string().contains(&path), "{error}");
}

/// Newer Curators let who holds the write lock take the read lock, too, by a node in the writer's place, and then give up the first.
/// Debian's is too old for that.
#[tokio::test]
async fn a_writer_that_becomes_a_reader_is_waited_for() {
    const WRITER: &str = "_c_0f8fad5b-d9cb-469f-a165-70867728950e-__WRIT__0000000000";
    const READER: &str = "_c_7c9e6679-7425-40de-944b-e07fc1f90ae7-__READ__0000000000";
    let endpoint = server().await.endpoint();
    let (ours, outside) = (ours(&endpoint).await, outside(&endpoint).await);
    // What was seen of the queue is believed for a moment, which this is shorter and longer than.
    for pause in [0, 5, 10, 20, 30, 40, 80] {
        let path = path();
        directory(&outside, &path).await;
        plant(&outside, &path, WRITER).await;
        let lock = ours.at(WireProfile::Curator, &path).rw_lock().unwrap();
        let waiting = tokio::spawn(async move { lock.write().await.unwrap() });
        let ours_is_there = async {
            while children(&outside, &path).await.len() < 2 {
                sleep(Duration::from_millis(1)).await;
            }
        };
        soon(ours_is_there).await;
        sleep(Duration::from_millis(pause)).await;
        plant(&outside, &path, READER).await;
        outside.delete(&format!("{path}/{WRITER}"), None).await.unwrap();
        sleep(Duration::from_millis(150)).await;
        assert!(!waiting.is_finished(), "after {pause} ms: a writer beside a reader");
        outside.delete(&format!("{path}/{READER}"), None).await.unwrap();
        soon(waiting).await.unwrap().release().await.unwrap();
    }
}

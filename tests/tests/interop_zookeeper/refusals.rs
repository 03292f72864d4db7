//! Directories in which the clients would not exclude each other.

use std::time::Duration;

use leasehold::{ErrorKind, WireProfile};
use tokio::time::sleep;

use crate::fixture::*;
use crate::peer::Peer;

const OF_CURATOR: &str = "_c_0f8fad5b-d9cb-469f-a165-70867728950e-lock-0000000000";
const OF_KAZOO: &str = "0f8fad5bd9cb469fa16570867728950e__lock__0000000000";
const OF_OURS: &str = "00000000000000070000000000000001-x-0000000000";

#[tokio::test]
async fn a_stranger_in_the_directory_is_named_and_nothing_is_left_there() {
    let endpoint = server().await.endpoint();
    let (ours, outside) = (ours(&endpoint).await, outside(&endpoint).await);
    for (profile, stranger) in [
        (WireProfile::Curator, OF_KAZOO),
        (WireProfile::Curator, OF_OURS),
        (WireProfile::Curator, "settings"),
        (WireProfile::Curator, "_c_0f8fad5b-d9cb-469f-a165-70867728950e-__READ__0000000000"),
        (WireProfile::Kazoo, OF_CURATOR),
        (WireProfile::Kazoo, OF_OURS),
        (WireProfile::Kazoo, "0f8fad5bd9cb469fa16570867728950e__rlock__0000000000"),
        (WireProfile::Kazoo, "somebody__lock__0000000000"),
    ] {
        let path = path();
        directory(&outside, &path).await;
        plant(&outside, &path, stranger).await;
        let mutex = ours.at(profile, &path).mutex().unwrap();
        for error in
            [mutex.lock().await.map(drop).unwrap_err(), mutex.try_lock().await.map(drop).unwrap_err()]
        {
            assert_eq!((error.kind(), error.name()), (ErrorKind::Corrupt, Some(path.as_str())), "{error:?}");
            assert!(error.to_string().contains(stranger), "{error}");
        }
        assert_eq!(children(&outside, &path).await, [stranger]);
        // It can be used once that has gone.
        outside.delete(&format!("{path}/{stranger}"), None).await.unwrap();
        mutex.lock().await.unwrap().release().await.unwrap();
    }
}

#[tokio::test]
async fn what_kazoo_does_not_look_at_does_not_matter() {
    let endpoint = server().await.endpoint();
    let (ours, outside, path) = (ours(&endpoint).await, outside(&endpoint).await, path());
    directory(&outside, &path).await;
    plant(&outside, &path, "settings").await;
    let mutex = ours.at(WireProfile::Kazoo, &path).mutex().unwrap();
    let mut kazoo = Peer::start(WireProfile::Kazoo, &endpoint).await;
    let guard = mutex.lock().await.unwrap();
    assert_eq!(kazoo.told(&format!("acquire mutex {path} 0")).await, "busy");
    guard.release().await.unwrap();
    assert_eq!(kazoo.told(&format!("acquire mutex {path} 0")).await, "got");
}

#[tokio::test]
async fn real_programs_of_both_libraries_are_not_mixed() {
    let endpoint = server().await.endpoint();
    let ours = ours(&endpoint).await;
    for (profile, other) in
        [(WireProfile::Curator, WireProfile::Kazoo), (WireProfile::Kazoo, WireProfile::Curator)]
    {
        let path = path();
        let mut peer = Peer::start(other, &endpoint).await;
        assert_eq!(peer.told(&format!("acquire mutex {path} 0")).await, "got");
        let error = ours.at(profile, &path).mutex().unwrap().lock().await.map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
        // Nor do a mutex, a read/write lock and an election of one library go together where it tells them apart.
        let election = ours.at(other, &path).election().unwrap();
        let stood = election.try_campaign("ours").await.map(|leadership| leadership.is_some());
        match other {
            WireProfile::Curator => assert_eq!(stood.unwrap_err().kind(), ErrorKind::Corrupt),
            _ => assert!(!stood.unwrap(), "an election of kazoo is a lock"),
        }
    }
}

/// Neither sees the other then, so who is there first is not kept from what it holds; but nobody is granted any more.
#[tokio::test]
async fn real_programs_of_another_library_that_come_later_end_the_wait() {
    let endpoint = server().await.endpoint();
    let (ours, outside) = (ours(&endpoint).await, outside(&endpoint).await);
    for (profile, other) in
        [(WireProfile::Curator, WireProfile::Kazoo), (WireProfile::Kazoo, WireProfile::Curator)]
    {
        let path = path();
        let mutex = ours.at(profile, &path).mutex().unwrap();
        let guard = mutex.lock().await.unwrap();
        let waiting = tokio::spawn({
            let mutex = mutex.clone();
            async move { mutex.lock().await.map(drop).unwrap_err() }
        });
        there_are(&outside, &path, 2).await;
        let mut peer = Peer::start(other, &endpoint).await;
        assert_eq!(peer.told(&format!("acquire mutex {path} 0")).await, "got", "it does not see ours");
        let error = mutex.try_lock().await.map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
        guard.release().await.unwrap();
        let error = soon(waiting).await.unwrap();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
        assert_eq!(peer.told(&format!("release mutex {path}")).await, "released");
        soon(mutex.lock()).await.unwrap().release().await.unwrap();
    }
}

#[tokio::test]
async fn a_stranger_that_comes_while_ours_waits_ends_the_wait() {
    let endpoint = server().await.endpoint();
    let (ours, outside, path) = (ours(&endpoint).await, outside(&endpoint).await, path());
    let mut curator = Peer::start(WireProfile::Curator, &endpoint).await;
    assert_eq!(curator.told(&format!("acquire mutex {path} 0")).await, "got");
    let mutex = ours.at(WireProfile::Curator, &path).mutex().unwrap();
    let waiting = tokio::spawn({
        let mutex = mutex.clone();
        async move { mutex.lock().await.map(drop).unwrap_err() }
    });
    sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished());
    plant(&outside, &path, OF_KAZOO).await;
    assert_eq!(curator.told(&format!("release mutex {path}")).await, "released");
    assert_eq!(soon(waiting).await.unwrap().kind(), ErrorKind::Corrupt);
    let nothing_of_ours = async {
        while children(&outside, &path).await != [OF_KAZOO] {
            sleep(Duration::from_millis(10)).await;
        }
    };
    soon(nothing_of_ours).await;
}

#[tokio::test]
async fn what_no_client_of_zookeeper_has_is_refused() {
    let endpoint = server().await.endpoint();
    let (ours, path) = (ours(&endpoint).await, path());
    let mutex = ours.at(WireProfile::EtcdV3, &path).mutex().map(drop);
    let semaphore = ours.at(WireProfile::Kazoo, &path).semaphore(3).map(drop);
    for refused in [mutex, semaphore] {
        let error = refused.unwrap_err();
        assert_eq!((error.kind(), error.name()), (ErrorKind::Unsupported, Some(path.as_str())), "{error:?}");
    }
}

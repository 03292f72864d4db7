//! Directories whose sequence runs out. The server's counter sticks at the end of its 32 bits, and gives negative numbers to those that
//! are in its pipeline at once; other clients compare them as text.

use std::time::Duration;

use leasehold::{Error, ErrorKind, WireProfile};
use leasehold_testkit::servers::{ServerOptions, ZooKeeperServer};
use leasehold_tests::set_counter;
use tokio::time::sleep;

use crate::fixture::*;
use crate::peer::Peer;

with_both!(
    whoever_has_such_a_number_is_waited_for,
    nothing_of_ours_is_kept_near_the_end_of_the_sequence,
    at_the_end_theirs_are_left_to_themselves
);

/// The last number that an entry of ours may have.
const LAST: i32 = i32::MAX - (1 << 24);

/// A server in which the next number of a directory is that.
async fn server_at(path: &str, counter: i32) -> ZooKeeperServer {
    // With digests, a snapshot holds more after its checksum.
    let plain = ServerOptions::default().arg("-Dzookeeper.digest.enabled=false");
    let server = ZooKeeperServer::start(plain).await;
    directory(&outside(&server.endpoint()).await, path).await;
    server.restart().await; // it writes a snapshot as it starts
    server.kill().await;
    set_counter(&server.dir().join("data"), path, counter);
    server.restart().await;
    server
}

fn assert_refused(error: Error, path: &str) {
    assert_eq!((error.kind(), error.name()), (ErrorKind::Unsupported, Some(path)), "{error:?}");
    assert!(error.to_string().contains("sequence"), "{error}");
}

async fn whoever_has_such_a_number_is_waited_for(profile: WireProfile) {
    let endpoint = server().await.endpoint();
    let (ours, outside, path) = (ours(&endpoint).await, outside(&endpoint).await, path());
    directory(&outside, &path).await;
    let mutex = ours.at(profile, &path).mutex().unwrap();
    // Kazoo itself does not see the last two.
    for number in ["2147483647", "-2147483648", "-1000000000", "-999999999", "-000000001"] {
        let name = match profile {
            WireProfile::Curator => format!("_c_0f8fad5b-d9cb-469f-a165-70867728950e-lock-{number}"),
            _ => format!("0f8fad5bd9cb469fa16570867728950e__lock__{number}"),
        };
        plant(&outside, &path, &name).await;
        assert!(mutex.try_lock().await.unwrap().is_none(), "{name}");
        let waiting = tokio::spawn({
            let mutex = mutex.clone();
            async move { mutex.lock().await.unwrap() }
        });
        sleep(Duration::from_millis(200)).await;
        assert!(!waiting.is_finished(), "{name}");
        outside.delete(&format!("{path}/{name}"), None).await.unwrap();
        soon(waiting).await.unwrap().release().await.unwrap();
    }
}

async fn nothing_of_ours_is_kept_near_the_end_of_the_sequence(profile: WireProfile) {
    let path = path();
    let server = server_at(&path, LAST).await;
    let endpoint = server.endpoint();
    let (ours, outside) = (ours(&endpoint).await, outside(&endpoint).await);
    let mut peer = Peer::start(profile, &endpoint).await;
    let mut meets = peer.meets("mutex");
    let at = ours.at(profile, &path);
    let mutex = at.mutex().unwrap();
    let guard = mutex.lock().await.unwrap();
    let nodes = children(&outside, &path).await;
    assert!(nodes.len() == 1 && nodes[0].ends_with(&format!("{LAST:010}")), "{nodes:?}");
    assert_eq!(peer.told(&format!("acquire mutex {path} 0")).await, "busy");
    peer.send(&format!("acquire mutex {path} 10000")).await;
    there_are(&outside, &path, 2).await;
    guard.release().await.unwrap();
    assert_eq!(peer.line().await, "got");
    assert!(mutex.try_lock().await.unwrap().is_none());
    assert_eq!(peer.told(&format!("release mutex {path}")).await, "released");
    meets.acquired(2);

    let election = at.election().unwrap();
    for error in [
        mutex.lock().await.map(drop).unwrap_err(),
        mutex.try_lock().await.map(drop).unwrap_err(),
        election.campaign("ours").await.map(drop).unwrap_err(),
    ] {
        assert_refused(error, &path);
    }
    assert_eq!(children(&outside, &path).await, [""; 0]);
    // Another directory is as good as any.
    let next = ours.at(profile, format!("{path}-2")).mutex().unwrap();
    next.lock().await.unwrap().release().await.unwrap();
}

async fn at_the_end_theirs_are_left_to_themselves(profile: WireProfile) {
    let path = path();
    let server = server_at(&path, i32::MAX - 1).await;
    let endpoint = server.endpoint();
    let (ours, outside) = (ours(&endpoint).await, outside(&endpoint).await);
    let (mut first, mut second) =
        (Peer::start(profile, &endpoint).await, Peer::start(profile, &endpoint).await);
    let at = ours.at(profile, &path);
    let mutex = at.mutex().unwrap();
    let (acquire, release) = (format!("acquire mutex {path} 0"), format!("release mutex {path}"));
    // The last number before the end, and the one at which the counter sticks.
    assert_eq!(first.told(&acquire).await, "got");
    assert_eq!(second.told(&acquire).await, "busy");
    for holder in [1, 2] {
        assert!(mutex.try_lock().await.unwrap().is_none(), "{holder}");
        assert_refused(mutex.lock().await.map(drop).unwrap_err(), &path);
        assert_eq!(children(&outside, &path).await.len(), 1, "nothing of ours");
        if holder == 1 {
            assert_eq!(first.told(&release).await, "released");
            assert_eq!(second.told(&acquire).await, "got");
        }
    }
    // From here on every number is the same. Kazoo takes none for smaller, and both hold; Curator goes by the order of the listing.
    let both = first.told(&acquire).await == "got";
    assert!(both || profile == WireProfile::Curator);
    assert_refused(mutex.lock().await.map(drop).unwrap_err(), &path);
    assert!(mutex.try_lock().await.unwrap().is_none());
    assert_eq!(second.told(&release).await, "released");
    if both {
        assert_eq!(first.told(&release).await, "released");
    }
    if profile == WireProfile::Kazoo {
        for peer in [&mut first, &mut second] {
            assert_eq!(peer.told(&format!("stand {path} theirs")).await, "standing");
            assert_eq!(peer.told("lead 10000").await, "leading", "with another one that leads");
        }
        let election = at.election().unwrap();
        assert!(election.try_campaign("ours").await.unwrap().is_none());
        for peer in [&mut first, &mut second] {
            assert_eq!(peer.told("resign").await, "resigned");
        }
    }
    there_are(&outside, &path, 0).await;
    assert_refused(at.election().unwrap().campaign("ours").await.map(drop).unwrap_err(), &path);
}

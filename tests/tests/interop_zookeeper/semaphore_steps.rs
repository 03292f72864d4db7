//! A permit of Curator's semaphore is had in two steps: what is left when one of them does not come to its end.

use std::sync::Arc;
use std::time::Duration;

use leasehold::zookeeper::ZooKeeperConfig;
use leasehold::{ErrorKind, LossReason, Semaphore, SemaphorePermit, WireProfile};
use leasehold_testkit::contract::World;
use leasehold_testkit::worlds::ZooKeeperWorld;
use leasehold_zookeeper::ZooKeeperBackend;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::fixture::*;
use crate::peer::Peer;

const CURATOR: WireProfile = WireProfile::Curator;
const RECIPE: &str = "semaphore";

fn waiting(semaphore: &Semaphore) -> JoinHandle<SemaphorePermit> {
    let semaphore = semaphore.clone();
    tokio::spawn(async move { semaphore.acquire().await.unwrap() })
}

#[tokio::test]
async fn who_gives_up_between_the_steps_leaves_nothing() {
    let endpoint = server().await.endpoint();
    let (mut peer, path) = (Peer::start(CURATOR, &endpoint).await, path());
    let mut meets = peer.meets(RECIPE);
    let (ours, outside) = (ours(&endpoint).await, outside(&endpoint).await);
    let semaphore = ours.at(CURATOR, &path).semaphore(1).unwrap();
    assert_eq!(peer.told(&format!("acquire semaphore-1 {path} 0")).await, "got");
    // One is first in line and the other behind it; both are dropped, in either order.
    for first in [0, 1] {
        let mut both = [waiting(&semaphore), waiting(&semaphore)];
        settled(&outside, &path, 2, 1).await;
        both[first].abort();
        settled(&outside, &path, 1, 1).await;
        both[1 - first].abort();
        settled(&outside, &path, 0, 1).await;
        for dropped in &mut both {
            assert!(dropped.await.unwrap_err().is_cancelled());
        }
    }
    assert!(semaphore.try_acquire_for(Duration::from_secs(2)).await.unwrap().is_none());
    settled(&outside, &path, 0, 1).await;
    assert_eq!(peer.told(&format!("release semaphore-1 {path}")).await, "released");
    semaphore.try_acquire().await.unwrap().expect("nobody is there").release().await.unwrap();
    settled(&outside, &path, 0, 0).await;
    assert_eq!(semaphore.stats().cancelled, 4);
    meets.acquired(2);
}

#[tokio::test]
async fn dropped_at_whatever_moment_it_leaves_nothing() {
    let endpoint = server().await.endpoint();
    let (ours, outside, path) = (ours(&endpoint).await, outside(&endpoint).await, path());
    let semaphore = ours.at(CURATOR, &path).semaphore(1).unwrap();
    semaphore.acquire().await.unwrap().release().await.unwrap();
    for pause in 0..40 {
        let mut acquiring = Box::pin(semaphore.acquire());
        let granted = tokio::time::timeout(Duration::from_micros(pause * 100), &mut acquiring).await;
        drop((granted, acquiring));
        settled(&outside, &path, 0, 0).await;
    }
    let all_counted = async {
        while semaphore.stats().acquisitions() + semaphore.stats().cancelled < 41 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    soon(all_counted).await;
    assert!(semaphore.stats().cancelled > 0, "{:?}", semaphore.stats());
}

#[tokio::test]
async fn a_contender_that_has_lost_its_place_and_does_not_know_it_stops_nobody() {
    let endpoint = server().await.endpoint();
    let (mut peer, path) = (Peer::start(CURATOR, &endpoint).await, path());
    let mut meets = peer.meets(RECIPE);
    let (ours, outside) = (ours(&endpoint).await, outside(&endpoint).await);
    let semaphore = ours.at(CURATOR, &path).semaphore(1).unwrap();
    let held = semaphore.acquire().await.unwrap();
    // Theirs is first in line, and waits with a node among the permits. Then it is put out of the line, as if it had been stopped for
    // longer than its session lasts before it made that node.
    peer.send(&format!("acquire semaphore-1 {path} 20000")).await;
    settled(&outside, &path, 1, 2).await;
    let place = children(&outside, &format!("{path}/locks")).await.remove(0);
    outside.delete(&format!("{path}/locks/{place}"), None).await.unwrap();
    let behind = waiting(&semaphore);
    settled(&outside, &path, 1, 2).await;
    // Had ours a node there too, theirs would now wait for it to go, and ours for theirs.
    held.release().await.unwrap();
    assert_eq!(peer.line().await, "got");
    sleep(Duration::from_millis(200)).await;
    assert!(!behind.is_finished());
    assert_eq!(peer.told(&format!("release semaphore-1 {path}")).await, "released");
    soon(behind).await.unwrap().release().await.unwrap();
    meets.acquired(3);
}

#[tokio::test]
async fn who_is_put_out_of_the_line_stands_in_line_again() {
    let endpoint = server().await.endpoint();
    let (mut peer, path) = (Peer::start(CURATOR, &endpoint).await, path());
    let mut meets = peer.meets(RECIPE);
    let (ours, outside) = (ours(&endpoint).await, outside(&endpoint).await);
    let semaphore = ours.at(CURATOR, &path).semaphore(1).unwrap();
    let held = semaphore.acquire().await.unwrap();
    let first = waiting(&semaphore);
    settled(&outside, &path, 1, 1).await;
    let place = children(&outside, &format!("{path}/locks")).await.remove(0);
    peer.send(&format!("acquire semaphore-1 {path} 20000")).await;
    settled(&outside, &path, 2, 1).await;
    outside.delete(&format!("{path}/locks/{place}"), None).await.unwrap();
    // Behind theirs now, which is first and so has its node among the permits.
    settled(&outside, &path, 2, 2).await;
    held.release().await.unwrap();
    assert_eq!(peer.line().await, "got");
    assert!(!first.is_finished());
    assert_eq!(peer.told(&format!("release semaphore-1 {path}")).await, "released");
    let permit = soon(first).await.unwrap();
    // And a permit that is taken away is lost.
    let node = children(&outside, &format!("{path}/leases")).await.remove(0);
    outside.delete(&format!("{path}/leases/{node}"), None).await.unwrap();
    assert_eq!(soon(permit.lost()).await, LossReason::EntryRemoved);
    meets.acquired(3);
}

#[tokio::test]
async fn a_session_that_ends_in_either_step_is_never_a_grant() {
    let connect = |endpoint: &str| -> Arc<dyn leasehold_core::LockBackend> {
        Arc::new(ZooKeeperBackend::new(ZooKeeperConfig::new([endpoint]).tick(TICK)).unwrap())
    };
    let world = ZooKeeperWorld::start(connect).await;
    let endpoint = world.server().endpoint();
    let (holder, path, outside) = (ours(&endpoint).await, path(), outside(&endpoint).await);
    let semaphore = |ours: &leasehold::Coordinator| ours.at(CURATOR, &path).semaphore(1).unwrap();
    let held = semaphore(&holder).acquire().await.unwrap();
    let (first, second) = (ours(&endpoint).await, ours(&endpoint).await);
    let waits = waiting(&semaphore(&first));
    settled(&outside, &path, 1, 1).await;
    let in_line = waiting(&semaphore(&second));
    settled(&outside, &path, 2, 1).await;
    let owner = async |directory: &str| {
        let mut nodes = children(&outside, &format!("{path}/{directory}")).await;
        nodes.sort_by(|a, b| a[a.len() - 10..].cmp(&b[b.len() - 10..]));
        let stat = outside.check_stat(&format!("{path}/{directory}/{}", nodes[0])).await.unwrap().unwrap();
        format!("{:#x}", stat.ephemeral_owner)
    };
    // The one that waits for a permit goes to the line's end, in its next session; so the other is first, and loses its own.
    for _ in 0..2 {
        world.expire_session(&owner("locks").await).await;
        settled(&outside, &path, 2, 1).await;
        assert!(held.is_held() && !waits.is_finished() && !in_line.is_finished());
    }
    // So does the holder, and is told.
    world.expire_session(&owner("leases").await).await;
    assert_eq!(soon(held.lost()).await, LossReason::SessionEnded);
    let permit = soon(waits).await.unwrap();
    assert!(!in_line.is_finished());
    permit.release().await.unwrap();
    soon(in_line).await.unwrap().release().await.unwrap();
    settled(&outside, &path, 0, 0).await;
}

#[tokio::test]
async fn a_stranger_at_the_entrance_or_among_the_permits_is_named() {
    const OF_CURATOR: &str = "_c_0f8fad5b-d9cb-469f-a165-70867728950e-lock-0000000000";
    let endpoint = server().await.endpoint();
    let (ours, outside) = (ours(&endpoint).await, outside(&endpoint).await);
    for (directory, stranger) in [
        ("locks", "0f8fad5bd9cb469fa16570867728950e__lock__0000000000"),
        ("locks", "settings"),
        ("leases", OF_CURATOR),
        ("leases", "settings"),
    ] {
        let path = path();
        let at = format!("{path}/{directory}");
        self::directory(&outside, &at).await;
        plant(&outside, &at, stranger).await;
        let semaphore = ours.at(CURATOR, &path).semaphore(3).unwrap();
        for error in [
            semaphore.acquire().await.map(drop).unwrap_err(),
            semaphore.try_acquire().await.map(drop).unwrap_err(),
        ] {
            assert_eq!((error.kind(), error.name()), (ErrorKind::Corrupt, Some(path.as_str())), "{error:?}");
            assert!(error.to_string().contains(stranger), "{error}");
        }
        assert_eq!(children(&outside, &at).await, [stranger]);
        outside.delete(&format!("{at}/{stranger}"), None).await.unwrap();
        semaphore.acquire().await.unwrap().release().await.unwrap();
    }
}

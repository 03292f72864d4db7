//! A member of etcd without its quorum serves no transaction and renews no lease, a leader for at most the time it takes to step down.

use std::time::{Duration, Instant};

use etcd_client::{Client, GetOptions};
use leasehold_core::{Coordinator, LossReason};
use leasehold_etcd::{EtcdBackend, EtcdConfig};
use leasehold_testkit::network::Network;
use leasehold_testkit::servers::{EtcdCluster, ServerOptions};

use crate::scene::*;

const TTL: Duration = Duration::from_secs(3);

/// What etcd takes at most to find that its leader is gone and to have another, by its default election time-out of a second.
const ELECTION: Duration = Duration::from_secs(3);

#[derive(Clone, Copy)]
enum Who {
    Leader,
    Follower,
}

async fn coordinator(endpoint: &str) -> Coordinator {
    let config = EtcdConfig::new([endpoint]);
    Coordinator::builder(EtcdBackend::new(config).unwrap()).ttl(TTL).connect().await.unwrap()
}

/// The holder and a waiter are attached to the member that is cut off, another waiter to one that is not.
async fn a_member_is_cut_off(who: Who) {
    let network = Network::start(3);
    let cluster = EtcdCluster::start(ServerOptions::default().network(&network)).await;
    let leader = cluster.leader().await;
    let cut = match who {
        Who::Leader => leader,
        Who::Follower => (leader + 1) % 3,
    };
    let (near, far) = (cluster.node(cut).endpoint(), cluster.node((leader + 2) % 3).endpoint());
    let recorder = recorder();
    let (holding, near_waiting, far_waiting) =
        (coordinator(&near).await, coordinator(&near).await, coordinator(&far).await);
    let held = lock(&recorder, "holder", holding.mutex("a")).await;
    // Past what the opening of the sessions counts for.
    tokio::time::sleep(TTL).await;
    assert!(held.is_held());

    let began = Instant::now();
    let near_next = async {
        let next = lock(&recorder, "near waiter", near_waiting.mutex("a")).await;
        let granted = began.elapsed();
        next.release().await;
        granted
    };
    let far_next = async {
        let next = lock(&recorder, "far waiter", far_waiting.mutex("a")).await;
        let granted = began.elapsed();
        // The other one is not let in before this, in whichever order it stands.
        tokio::time::sleep(TTL).await;
        assert!(next.is_held());
        network.heal();
        next.release().await;
        granted
    };
    let loss = async {
        // The waiters are in the queue by then, the near one first.
        tokio::time::sleep(TTL / 6).await;
        let cut_at = Instant::now();
        network.isolate(cut);
        assert_eq!(held.lost().await, LossReason::DeadlinePassed);
        (began.elapsed(), cut_at.elapsed())
    };
    let (near_granted, far_granted, (lost, lost_after)) = tokio::join!(near_next, far_next, loss);
    println!(
        "lost {lost_after:?} after the cut, at {lost:?}; far waiter at {far_granted:?}, near one at {near_granted:?}"
    );
    let stale = match who {
        Who::Follower => Duration::ZERO,
        // A leader that has not stepped down yet acknowledges renewals, which the next one makes up for.
        Who::Leader => ELECTION,
    };
    assert!(lost_after < TTL + stale, "{lost_after:?}");
    assert!(lost < far_granted);
    // The next leader counts every lease anew, and an election more.
    assert!(far_granted < TTL + 2 * ELECTION + Duration::from_secs(2), "{far_granted:?}");
    assert_exactly(&recorder, &[]);

    cluster.ready().await;
    lock(&recorder, "holder", holding.mutex("a")).await.release().await;
    assert_exactly(&recorder, &[]);
    for coordinator in [holding, near_waiting, far_waiting] {
        soon(coordinator.shutdown(TTL)).await.unwrap();
    }
    nothing_is_left(&far).await;
}

/// No lease and no key. Those that were lost end by expiry.
async fn nothing_is_left(endpoint: &str) {
    let mut admin = Client::connect([endpoint], None).await.unwrap();
    let began = Instant::now();
    loop {
        let all = GetOptions::new().with_all_keys().with_keys_only();
        let keys = admin.get("", Some(all)).await.unwrap();
        let leases = admin.leases().await.unwrap();
        if keys.count() == 0 && leases.leases().is_empty() {
            return;
        }
        assert!(began.elapsed() < 2 * TTL + ELECTION, "{keys:?} {leases:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_follower_is_cut_off() {
    a_member_is_cut_off(Who::Follower).await;
}

#[tokio::test]
async fn a_leader_is_cut_off() {
    a_member_is_cut_off(Who::Leader).await;
}

//! A follower of ZooKeeper that has lost its leader answers its clients for `syncLimit` ticks more, pings included, while the leader gives away
//! what their sessions held a session time-out after the cut.

use std::time::{Duration, Instant};

use leasehold_core::{Coordinator, FencingToken, LossReason, WireProfile};
use leasehold_testkit::history::{Kind as Violated, Outcome, What};
use leasehold_testkit::network::Network;
use leasehold_testkit::servers::{ServerOptions, ZooKeeperCluster};
use leasehold_zookeeper::{ZooKeeperBackend, ZooKeeperConfig};
use zookeeper_client::{Acls, Client, CreateMode, SessionState};

use crate::scene::*;

/// The fixture's, as is its `syncLimit` of 10: a follower serves on for 5 s.
const TICK: Duration = Duration::from_millis(500);

/// Of the lock that is held by pings.
const PATH: &str = "/app/lock";

const TTL: Duration = Duration::from_secs(2);

async fn coordinator(endpoint: &str) -> Coordinator {
    let config = ZooKeeperConfig::new([endpoint]).tick(TICK);
    Coordinator::builder(ZooKeeperBackend::new(config).unwrap()).ttl(TTL).connect().await.unwrap()
}

/// One run, two holders of a lock each, attached to the same follower. One is the library, which renews by `sync`. The other believes what its
/// client believes, which renews by pings: the same judgement must fail it, or it would not judge anything.
#[tokio::test]
async fn renewal_by_sync_holds_its_deadline_where_renewal_by_pings_does_not() {
    let network = Network::start(3);
    let cluster = ZooKeeperCluster::start(ServerOptions::default().network(&network)).await;
    let leader = cluster.leader().await;
    let [cut, other] = [1, 2].map(|step| (leader + step) % 3);
    let near = cluster.node(cut).endpoint();
    let (by_sync, by_pings) = (recorder(), recorder());
    let holding = coordinator(&near).await;
    let next = [
        coordinator(&cluster.node(other).endpoint()).await,
        coordinator(&cluster.node(leader).endpoint()).await,
    ];
    let held = lock(&by_sync, "holder", holding.mutex("a")).await;

    let believer = Believer::start(&near).await;
    let holder = by_pings.process("holder");
    let op = ask(&holder);
    let token = believer.token;
    holder.ok(op, Outcome::Granted { token, session: None });
    // Past what the opening of the sessions counts for.
    tokio::time::sleep(TTL).await;
    assert!(held.is_held() && believer.believes());

    let cut_at = Instant::now();
    let lost = async {
        let reason = held.lost().await;
        assert_eq!(reason, LossReason::DeadlinePassed);
        cut_at.elapsed()
    };
    let disbelieved = async {
        believer.disbelieves().await;
        holder.record(What::Lost { hold: op, reason: "Disconnected".into() });
        cut_at.elapsed()
    };
    let sync_next = async {
        let next = lock(&by_sync, "next", next[0].mutex("a")).await;
        let granted = cut_at.elapsed();
        next.release().await;
        granted
    };
    let pings_next = async {
        let next = lock(&by_pings, "next", next[1].at(WireProfile::Curator, PATH).mutex().unwrap()).await;
        let granted = cut_at.elapsed();
        tokio::time::sleep(TTL).await;
        next.release().await;
        granted
    };
    let cutting = async {
        // The waiters are in the queue by then.
        tokio::time::sleep(TICK).await;
        network.isolate(cut);
    };
    let (lost, disbelieved, sync_granted, pings_granted, ()) =
        tokio::join!(lost, disbelieved, sync_next, pings_next, cutting);
    println!(
        "cut at {TICK:?}; by sync: lost at {lost:?}, given away at {sync_granted:?}; by pings: given away at {pings_granted:?}, believed until {disbelieved:?}"
    );
    assert!(lost < sync_granted);
    assert!(sync_granted < TICK + TTL + 4 * TICK, "the leader waits for nobody: {sync_granted:?}");
    // The follower has answered all the while.
    assert!(disbelieved > pings_granted + TTL / 2, "{disbelieved:?}");
    assert_exactly(&by_sync, &[]);
    assert_exactly(&by_pings, &[Violated::TwoBelievers]);

    network.heal();
    cluster.ready().await;
    // The one that was cut off gets in line again, at the other end of the same server.
    let again = lock(&by_sync, "holder", holding.mutex("a")).await;
    again.release().await;
    assert_exactly(&by_sync, &[]);
    soon(holding.shutdown(TTL)).await.unwrap();
    for coordinator in next {
        soon(coordinator.shutdown(TTL)).await.unwrap();
    }
    drop(believer);
    nothing_is_left(&cluster).await;
}

/// No session, and so nothing that belongs to one. Those that were lost end by expiry.
async fn nothing_is_left(cluster: &ZooKeeperCluster) {
    let leader = cluster.node(cluster.leader().await);
    let began = Instant::now();
    loop {
        let dump = leader.four_letter("dump").await;
        if dump.contains("Sessions with Ephemerals (0)") {
            return;
        }
        assert!(began.elapsed() < 4 * TTL, "{dump}");
        tokio::time::sleep(TICK / 5).await;
    }
}

/// Holds a lock in the way of Curator, and believes so for as long as its client does: while its server answers the pings.
struct Believer {
    client: Client,
    token: FencingToken,
}

impl Believer {
    async fn start(endpoint: &str) -> Self {
        let client = Client::connector().with_session_timeout(TTL).connect(endpoint).await.unwrap();
        let [persistent, sequential] = [CreateMode::Persistent, CreateMode::EphemeralSequential]
            .map(|mode| mode.with_acls(Acls::anyone_all()));
        client.mkdir(PATH, &persistent).await.unwrap();
        let node = format!("{PATH}/_c_0f8fad5b-d9cb-469f-a165-70867728950e-lock-");
        let (stat, _) = client.create(&node, b"", &sequential).await.unwrap();
        let token = FencingToken::new(0, stat.czxid.cast_unsigned(), 0);
        Self { client, token }
    }

    fn believes(&self) -> bool {
        self.client.state() == SessionState::SyncConnected
    }

    async fn disbelieves(&self) {
        let mut states = self.client.state_watcher();
        soon(async { while states.changed().await == SessionState::SyncConnected {} }).await;
    }
}

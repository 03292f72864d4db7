//! What is believed of a session, and when it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use leasehold_core::{
    AttemptIds, BackendErrorKind, Certainty, Interest, Liveness, LockBackend, LossReason, Mode, Namespace,
    OpenSession, Session,
};
use leasehold_testkit::conformance::cites;
use leasehold_testkit::contract::World;
use leasehold_testkit::proxy::Proxy;
use leasehold_testkit::servers::{ServerOptions, ZooKeeperCluster, ZooKeeperServer};
use leasehold_testkit::worlds::ZooKeeperWorld;
use leasehold_zookeeper::{ZooKeeperBackend, ZooKeeperConfig};
use zookeeper_client::Client;

use crate::fixture::*;

#[tokio::test]
async fn a_session_outlives_its_ttl_many_times() {
    let (server, ns, ids) = (server().await, namespace(), AttemptIds::new().unwrap());
    let ttl = Duration::from_secs(2);
    let session =
        backend(&server.endpoint()).open_session(OpenSession { ttl, ..options(&ns) }).await.unwrap();
    assert_eq!(session.ttl(), ttl);
    let (queue, x) = (session.queue(&lock(&ns, "a")), ids.next());
    enter(&*queue, x).await;
    // At first the opening itself counts, which the leader has committed.
    tokio::time::sleep(TICK * 2).await;
    let began = Instant::now();
    while began.elapsed() < 4 * ttl {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let Liveness::Live { until } = session.liveness().current() else {
            panic!("{:?}", session.liveness().current())
        };
        // A tick, an interval, a round trip and the margin are the most that is lost.
        let left = until.saturating_since(session.liveness().clock().now());
        assert!(left > ttl - TICK - ttl / 6 - ttl / 5, "{left:?}");
        assert!(left < ttl - TICK, "nothing newer than a tick is proven: {left:?}");
    }
    assert_eq!(attempts(&*queue).await, [x]);
}

#[tokio::test]
async fn closed_means_gone() {
    let (server, ns, ids) = (server().await, namespace(), AttemptIds::new().unwrap());
    let (a, b) = (open(&server.endpoint(), &ns).await, open(&server.endpoint(), &ns).await);
    let (qa, qb) = (a.queue(&lock(&ns, "a")), b.queue(&lock(&ns, "a")));
    let x = ids.next();
    enter(&*qa, x).await;
    let mut waiting =
        Box::pin(qa.changed(Interest::Entry { attempt: x, mode: Mode::Exclusive, version: None }));
    assert!(is_pending(&mut waiting).await);
    a.close().await;
    assert_eq!(attempts(&*qb).await, []);
    assert_eq!(kind(soon(waiting).await), BackendErrorKind::SessionLost);
    assert_eq!(a.liveness().current(), Liveness::Lost(LossReason::ShutDown));
    assert_eq!(kind(qa.enqueue(entry(ids.next(), Mode::Exclusive)).await), BackendErrorKind::SessionLost);
    // Dropped is the same, without waiting for it.
    let c = open(&server.endpoint(), &ns).await;
    let y = ids.next();
    enter(&*c.queue(&lock(&ns, "a")), y).await;
    attempts(&*qb).await;
    let gone = qb.changed(Interest::Entry { attempt: y, mode: Mode::Exclusive, version: None });
    let began = Instant::now();
    drop(c);
    soon(gone).await.unwrap();
    assert!(began.elapsed() < TTL / 2, "not by expiry");
}

#[tokio::test]
async fn ended_at_the_service() {
    let world = ZooKeeperWorld::start(|endpoint| Arc::new(backend(endpoint))).await;
    let (endpoint, ns, ids) = (world.server().endpoint(), namespace(), AttemptIds::new().unwrap());
    let client = Client::connector().with_session_timeout(TTL).connect(&endpoint).await.unwrap();
    let backend = ZooKeeperBackend::from_client(client.clone()).with_tick(TICK);
    let session = backend.open_session(options(&ns)).await.unwrap();
    let (queue, x) = (session.queue(&lock(&ns, "a")), ids.next());
    enter(&*queue, x).await;
    let waiting = queue.changed(Interest::Entry { attempt: x, mode: Mode::Exclusive, version: None });
    world.expire_session(&session.id()).await;
    assert_eq!(soon(session.liveness().lost()).await, LossReason::SessionEnded);
    assert_eq!(kind(soon(waiting).await), BackendErrorKind::SessionLost);
    assert_eq!(kind(backend.open_session(options(&ns)).await.map(|_| ())), BackendErrorKind::SessionLost);
}

/// Cut off from the service, the session is lost here before the service gives its locks away.
#[tokio::test]
async fn cut_off() {
    let _cited = cites("zookeeper", &[67]);
    for silently in [false, true] {
        let (server, ns, ids) = (server().await, namespace(), AttemptIds::new().unwrap());
        let proxy = Proxy::start(&server.endpoint()).await;
        let (a, b) = (open(&proxy.endpoint(), &ns).await, open(&server.endpoint(), &ns).await);
        let (qa, qb) = (a.queue(&lock(&ns, "a")), b.queue(&lock(&ns, "a")));
        let x = ids.next();
        enter(&*qa, x).await;
        attempts(&*qb).await;
        let given_away = tokio::spawn({
            let qb = qb.clone();
            async move {
                qb.changed(Interest::Entry { attempt: x, mode: Mode::Exclusive, version: None })
                    .await
                    .unwrap();
                Instant::now()
            }
        });
        tokio::time::sleep(TICK * 3).await;
        let mut states = a.liveness().subscribe();
        let cut = Instant::now();
        if silently {
            proxy.black_hole()
        } else {
            proxy.cut()
        }
        soon(states.wait_for(|state| matches!(state, Liveness::Suspect { .. }))).await.unwrap();
        let bound = if silently { TTL / 2 } else { Duration::from_millis(200) };
        assert!(cut.elapsed() < bound, "suspect after {:?}", cut.elapsed());
        assert_eq!(soon(a.liveness().lost()).await, LossReason::DeadlinePassed);
        let believed_until = Instant::now();
        assert!(believed_until < given_away.await.unwrap());
        assert!(cut.elapsed() > TTL - 2 * TICK - TTL / 6, "it believed for as long as it could");
        proxy.heal();
        let outcome =
            soon(qa.changed(Interest::Entry { attempt: x, mode: Mode::Exclusive, version: None })).await;
        assert_eq!(kind(outcome), BackendErrorKind::SessionLost, "for good");
    }
}

/// A short outage is survived, by what is held and by who waits.
#[tokio::test]
async fn a_restart_while_waiting() {
    let _cited = cites("zookeeper", &[68]);
    let server = ZooKeeperServer::start(ServerOptions::default()).await;
    let (ns, ids) = (namespace(), AttemptIds::new().unwrap());
    let ttl = Duration::from_secs(15);
    let open =
        async || backend(&server.endpoint()).open_session(OpenSession { ttl, ..options(&ns) }).await.unwrap();
    let (a, b) = (open().await, open().await);
    let (qa, qb) = (a.queue(&lock(&ns, "a")), b.queue(&lock(&ns, "a")));
    let [x, y] = [ids.next(), ids.next()];
    enter(&*qa, x).await;
    enter(&*qb, y).await;
    let revision = look(&*qb).await.1;
    let mut entry_changed =
        Box::pin(qb.changed(Interest::Entry { attempt: x, mode: Mode::Exclusive, version: None }));
    let mut queue_changed = Box::pin(qb.changed(Interest::Queue { revision }));
    let register = lock(&ns, "register");
    let mut register_changed = Box::pin(b.register_changed(&register, 0));
    assert!(is_pending(&mut entry_changed).await && is_pending(&mut queue_changed).await);
    assert!(is_pending(&mut register_changed).await);
    server.kill().await;
    assert!(is_pending(&mut entry_changed).await);
    server.restart().await;
    let written = soon(async {
        loop {
            let write = leasehold_core::RegisterWrite { value: "x".into(), if_version: None, if_held: None };
            match a.write(&register, write).await {
                Ok(written) => return written,
                Err(error) => assert!(error.is_transient(), "{error:?}"),
            }
        }
    })
    .await;
    assert_eq!(written, leasehold_core::RegisterWritten::Written { version: 1 });
    soon(register_changed).await.unwrap();
    assert!(is_pending(&mut entry_changed).await);
    leave(&*qa, x).await;
    soon(entry_changed).await.unwrap();
    soon(queue_changed).await.unwrap();
    assert_eq!(attempts(&*qb).await, [y]);
    assert!(a.liveness().is_alive() && b.liveness().is_alive());
}

async fn open_at(endpoints: Vec<String>, ns: &Namespace, ttl: Duration) -> Arc<dyn Session> {
    let config = ZooKeeperConfig::new(endpoints).tick(TICK);
    let options = OpenSession { ttl, ..options(ns) };
    ZooKeeperBackend::new(config).unwrap().open_session(options).await.unwrap()
}

/// The leader dies: what is held is held on, and who waits is told of what happens under the next leader.
#[tokio::test]
async fn a_leader_is_killed() {
    let _cited = cites("zookeeper", &[69]);
    let cluster = ZooKeeperCluster::start(ServerOptions::default()).await;
    let (ns, ids) = (namespace(), AttemptIds::new().unwrap());
    let ttl = Duration::from_secs(20);
    let a = open_at(cluster.endpoints(), &ns, ttl).await;
    let b = open_at(cluster.endpoints(), &ns, ttl).await;
    let (qa, qb) = (a.queue(&lock(&ns, "a")), b.queue(&lock(&ns, "a")));
    let [x, y] = [ids.next(), ids.next()];
    let first = enter(&*qa, x).await;
    let second = enter(&*qb, y).await;
    let mut gone = Box::pin(qb.changed(Interest::Entry { attempt: x, mode: Mode::Exclusive, version: None }));
    assert!(is_pending(&mut gone).await);
    cluster.node(cluster.leader().await).kill().await;
    let withdrawn = soon(async {
        loop {
            match qa.withdraw(x, Certainty::Placed).await {
                Ok(withdrawn) => return withdrawn,
                Err(error) => assert!(error.is_transient(), "{error:?}"),
            }
        }
    });
    withdrawn.await;
    soon(gone).await.unwrap();
    let z = ids.next();
    let third = soon(enter(&*qa, z)).await;
    assert!(first < second && second < third, "orders rise across leaders");
    assert_eq!(attempts(&*qb).await, [y, z]);
    assert!(a.liveness().is_alive() && b.liveness().is_alive());
}

/// The next leader counts every session anew, so it gives nothing away before the holder has stopped believing.
#[tokio::test]
async fn after_a_change_of_leader_the_loss_is_still_signalled_first() {
    let _cited = cites("zookeeper", &[70]);
    let cluster = ZooKeeperCluster::start(ServerOptions::default()).await;
    let leader = cluster.leader().await;
    let [near, far] = [1, 2].map(|step| cluster.node((leader + step) % 3).endpoint());
    let (proxy, ns, ids) = (Proxy::start(&near).await, namespace(), AttemptIds::new().unwrap());
    let a = open_at(vec![proxy.endpoint()], &ns, Duration::from_secs(4)).await;
    let b = open_at(vec![far], &ns, Duration::from_secs(20)).await;
    let (qa, qb) = (a.queue(&lock(&ns, "a")), b.queue(&lock(&ns, "a")));
    let x = ids.next();
    enter(&*qa, x).await;
    let gone = Interest::Entry { attempt: x, mode: Mode::Exclusive, version: None };
    let mut given_away = Box::pin(async {
        while attempts(&*qb).await.contains(&x) {
            qb.changed(gone).await.unwrap();
        }
        Instant::now()
    });
    assert!(is_pending(&mut given_away).await);
    cluster.node(leader).kill().await;
    proxy.cut();
    let (lost_at, gone_at) = soon(async {
        tokio::join!(
            async {
                assert_eq!(a.liveness().lost().await, LossReason::DeadlinePassed);
                Instant::now()
            },
            given_away
        )
    })
    .await;
    assert!(lost_at < gone_at, "{:?} too late", lost_at - gone_at);
}

/// A follower that has lost its leader serves on for a while. It cannot renew a session though.
#[tokio::test]
async fn a_follower_without_its_leader_is_not_believed() {
    let _cited = cites("zookeeper", &[66]);
    let cluster = ZooKeeperCluster::start(ServerOptions::default()).await;
    let leader = cluster.leader().await;
    let follower = cluster.endpoints().swap_remove((leader + 1) % 3);
    let ttl = Duration::from_secs(3);
    let session = open_at(vec![follower], &namespace(), ttl).await;
    tokio::time::sleep(TICK * 3).await;
    assert!(matches!(session.liveness().current(), Liveness::Live { .. }));
    let stopped = Instant::now();
    cluster.node(leader).pause();
    assert_eq!(soon(session.liveness().lost()).await, LossReason::DeadlinePassed);
    assert!(stopped.elapsed() < ttl, "{:?}", stopped.elapsed());
    cluster.node(leader).resume();
}

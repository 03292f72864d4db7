//! A server whose wall clock is set while locks are held. ZooKeeper counts sessions on a clock that nobody sets: nothing may come of it.

use std::time::{Duration, SystemTime};

use leasehold_core::{Coordinator, LossReason};
use leasehold_testkit::proxy::Proxy;
use leasehold_testkit::servers::{ServerOptions, Set, WallClock, ZooKeeperServer};
use leasehold_zookeeper::{ZooKeeperBackend, ZooKeeperConfig};
use tokio::time::Instant;
use zookeeper_client::{Acls, CreateMode};

use crate::fixture::*;

const JUMP: Duration = Duration::from_secs(3_600);

async fn coordinator(endpoint: &str) -> Coordinator {
    let backend = ZooKeeperBackend::new(ZooKeeperConfig::new([endpoint]).tick(TICK)).unwrap();
    Coordinator::builder(backend).ttl(TTL).connect().await.unwrap()
}

/// What time the server takes it to be: it writes it into what is created.
async fn time_of(server: &ZooKeeperServer) -> i64 {
    let client = observer(&server.endpoint()).await;
    let options = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
    client.create("/time-", b"", &options).await.unwrap().0.ctime
}

#[tokio::test]
async fn set_forward_and_back_nothing_is_lost_nor_free_early_or_late() {
    let clock = WallClock::start();
    let server = ZooKeeperServer::start(ServerOptions::default().wall_clock(&clock)).await;
    let jump = i64::try_from(JUMP.as_millis()).unwrap();
    for (name, set, by) in [("a", Set::Forward(JUMP), jump), ("b", Set::Back(JUMP), -jump)] {
        clock.set(Set::Right);
        let proxy = Proxy::start(&server.endpoint()).await;
        let (holding, waiting) =
            (coordinator(&proxy.endpoint()).await, coordinator(&server.endpoint()).await);
        let first = holding.mutex(name).lock().await.unwrap();
        let lock = waiting.mutex(name);
        let mut next = Box::pin(lock.lock());
        assert!(is_pending(&mut next).await);
        let right = i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
        clock.set(set);
        // The check checked: the server goes by this clock.
        let told = time_of(&server).await - right - by;
        assert!((0..60_000).contains(&told), "{told} ms off");
        let waited = tokio::time::timeout(TTL * 2, &mut next).await;
        assert!(waited.is_err() && first.held().is_held(), "lost by a clock");
        proxy.black_hole();
        let died_at = Instant::now();
        let (lost, granted) = tokio::join!(
            async {
                assert_eq!(soon(first.lost()).await, LossReason::DeadlinePassed);
                died_at.elapsed()
            },
            async {
                let next = soon(next).await.unwrap();
                assert!(next.fencing_token() > first.fencing_token());
                (next, died_at.elapsed())
            }
        );
        let (next, granted) = (granted.0, granted.1);
        assert!(lost < granted && granted < TTL + 4 * TICK, "{lost:?} {granted:?}");
        next.release().await.unwrap();
    }
}

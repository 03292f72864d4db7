//! A cluster: slots that move, primaries that fail, and nodes that do not have our keys.

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{AttemptIds, BackendErrorKind, Coordinator, LockBackend, Session};
use leasehold_redis::{RedisBackend, RedisConfig};
use leasehold_testkit::servers::{RedisClient, RedisCluster, ServerOptions};
use tokio::time::sleep;

use crate::access::RIGHTS;
use crate::fixture::*;

/// The hash tag of the keys.
const NAMESPACE: &str = "leasehold";

/// Longer than a failover or the move of a slot takes here.
const OUTLIVES_FAILOVERS: Duration = Duration::from_secs(15);

fn config(cluster: &RedisCluster) -> RedisConfig {
    RedisConfig::cluster(cluster.endpoints())
}

async fn node(cluster: &RedisCluster) -> Coordinator {
    coordinator_over(config(cluster), OUTLIVES_FAILOVERS).await
}

async fn session(cluster: &RedisCluster) -> Arc<dyn Session> {
    let backend = RedisBackend::new(config(cluster)).unwrap();
    backend.open_session(options(OUTLIVES_FAILOVERS)).await.unwrap()
}

#[tokio::test]
async fn any_node_leads_to_the_one_that_has_the_keys() {
    let cluster = RedisCluster::start(ServerOptions::default(), 0).await;
    let owner = cluster.primary_of(NAMESPACE).await.endpoint();
    for seed in cluster.endpoints() {
        let url = format!("redis+cluster://{seed}");
        let coordinator = leasehold::connect(&url).await.unwrap();
        coordinator.mutex("a").lock().await.unwrap().release().await.unwrap();
        coordinator.shutdown(Duration::from_secs(5)).await.unwrap();
    }
    for node in cluster.nodes() {
        let counters = node.keys("{leasehold}:*:seq").await.len();
        assert_eq!(counters, usize::from(node.endpoint() == owner), "one lock has one shard of one slot");
        assert_eq!(node.keys("*").await.len(), counters);
    }
    let reports = RedisBackend::new(RedisConfig::cluster([&owner])).unwrap();
    let reports = reports.inspect(Duration::from_secs(2)).await.unwrap();
    let mut told: Vec<_> = reports.iter().map(|report| report.endpoint.clone()).collect();
    let mut all = cluster.endpoints();
    told.sort();
    all.sort();
    assert_eq!(told, all);
    assert!(reports.iter().all(|report| report.cluster && report.primary));
    // By itself, that node is not what a single server is.
    let error = try_open(RedisConfig::new(owner)).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Unsupported);
    assert!(error.to_string().contains("redis+cluster://"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_in_no_cluster_is_refused() {
    let server = server().await;
    let error = try_open(RedisConfig::cluster([server.endpoint()])).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::InvalidConfig, "{error:?}");
    assert!(error.to_string().contains(&server.endpoint()), "{error}");
    assert_eq!(server.keys("*").await, [""; 0]);
}

#[tokio::test]
async fn a_slot_moves_and_takes_its_holder_and_its_waiters_along() {
    let cluster = RedisCluster::start(ServerOptions::default(), 0).await;
    let (first, second) = (node(&cluster).await, node(&cluster).await);
    let (observer, ids) = (session(&cluster).await, AttemptIds::new().unwrap());
    let guard = first.mutex("a").lock().await.unwrap();
    let waiting = tokio::spawn(async move { second.mutex("a").lock().await });
    let queue = observer.queue(&lock("a"));
    soon(async {
        while contenders(&*queue).await.len() != 2 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let before = contenders(&*queue).await;
    let owner = cluster.primary_of(NAMESPACE).await.endpoint();
    let to = cluster.nodes().iter().find(|node| node.endpoint() != owner).unwrap();
    let mut tries = 0;
    cluster
        .move_slot(NAMESPACE, to, async || {
            // Keys are here and there: nothing is done, and nothing is taken for gone. A request is sent again until its time is up, and
            // only where that is while it is on its way can it not be told what came of it.
            soon(async {
                loop {
                    let error = try_enter(&*queue, ids.next()).await.unwrap_err();
                    match error.kind() {
                        BackendErrorKind::Unavailable => break,
                        kind => assert_eq!(kind, BackendErrorKind::Indeterminate, "{error:?}"),
                    }
                }
            })
            .await;
            assert_eq!(contenders(&*queue).await, before);
            tries += 1;
        })
        .await;
    assert!(tries >= 2, "with half of the keys there, and with all");
    assert_eq!(cluster.primary_of(NAMESPACE).await.endpoint(), to.endpoint());
    // The session finds the new place by itself, and so does its subscription.
    let own = soon(place(&*queue, &ids)).await;
    assert_eq!(contenders(&*queue).await, [before.clone(), vec![own]].concat());
    assert!(guard.held().is_held());
    let token = guard.fencing_token();
    soon(guard.release()).await.unwrap();
    let next = soon(waiting).await.unwrap().unwrap();
    assert!(next.fencing_token() > token);
    assert!(!to.keys("{leasehold}:*").await.is_empty());
    soon(async {
        while to.command(&["PUBSUB", "NUMSUB", &channel(to, "locks/a").await]).await.texts()[1] == "0" {
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

/// The channel of a queue's changes.
async fn channel(
    node: &leasehold_testkit::servers::Server<leasehold_testkit::servers::RedisNode>,
    queue: &str,
) -> String {
    let seq = node.keys("{leasehold}:?:seq").await.remove(0);
    seq.replace(":seq", &format!(":queue:{queue}"))
}

#[tokio::test]
async fn a_primary_that_is_killed_is_replaced_and_nobody_loses_his_place() {
    const WAITERS: usize = 3;
    let cluster = RedisCluster::start(ServerOptions::default(), 3).await;
    let guard = node(&cluster).await.mutex("a").lock().await.unwrap();
    let observer = session(&cluster).await;
    let queue = observer.queue(&lock("a"));
    let (granted, mut grants) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..WAITERS {
        let (node, granted) = (node(&cluster).await, granted.clone());
        tokio::spawn(async move {
            let guard = node.mutex("a").lock().await.unwrap();
            granted.send((number, guard.fencing_token())).unwrap();
            guard.release().await.unwrap();
        });
        soon(async {
            while contenders(&*queue).await.len() != number + 2 {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
    let primary = cluster.primary_of(NAMESPACE).await;
    let mut client = RedisClient::connect(&primary.endpoint()).await.unwrap();
    client.command(&["SET", "{leasehold}", "?"]).await.unwrap();
    assert_eq!(client.command(&["WAIT", "1", "5000"]).await.unwrap().text(), "1", "the replica follows");
    primary.kill().await;
    let next = soon(async {
        loop {
            let next = cluster.primary_of(NAMESPACE).await;
            if next.endpoint() != primary.endpoint() {
                return next;
            }
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(guard.held().is_held(), "a failover within the TTL is survived");
    let mut last = guard.fencing_token();
    soon(guard.release()).await.unwrap();
    for number in 0..WAITERS {
        let (who, token) = soon(grants.recv()).await.unwrap();
        assert_eq!(who, number, "first come, first served, before and after");
        assert!(token > last, "{token} after {last}");
        last = token;
    }
    // The old one comes back as a replica; whoever goes there is sent on.
    primary.restart().await;
    let late = coordinator_over(RedisConfig::cluster([primary.endpoint()]), OUTLIVES_FAILOVERS).await;
    assert!(soon(late.mutex("a").lock()).await.unwrap().fencing_token() > last);
    assert!(next.is_running());
}

#[tokio::test]
async fn a_cluster_that_is_down_is_unavailable() {
    let cluster = RedisCluster::start(ServerOptions::default(), 0).await;
    let session = session(&cluster).await;
    let (queue, ids) = (session.queue(&lock("a")), AttemptIds::new().unwrap());
    let owner = cluster.primary_of(NAMESPACE).await;
    // Two of the three are gone: the third one serves nobody, once it has noticed.
    for node in cluster.nodes().iter().filter(|node| node.endpoint() != owner.endpoint()) {
        node.kill().await;
    }
    let error = soon(async {
        loop {
            if let Err(error) = try_enter(&*queue, ids.next()).await {
                return error;
            }
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(error.kind(), BackendErrorKind::Unavailable, "{error:?}");
    assert!(error.to_string().contains("CLUSTERDOWN"), "{error}");
}

#[tokio::test]
async fn the_documented_rights_are_enough_in_a_cluster() {
    let cluster = RedisCluster::start(ServerOptions::default(), 0).await;
    let with = |more: &[&'static str]| [&RIGHTS[..], more].concat();
    for (rights, expected) in
        [(with(&[]), Err(BackendErrorKind::PermissionDenied)), (with(&["+cluster|slots"]), Ok(()))]
    {
        for node in cluster.nodes() {
            node.command(&[&["ACL", "SETUSER", "app", "reset", "on", ">secret"], &rights[..]].concat()).await;
        }
        let opened = try_open(config(&cluster).user("app", "secret")).await;
        assert_eq!(opened.as_ref().map(drop).map_err(|error| error.kind()), expected, "{rights:?}");
        if let Ok(session) = opened {
            session.close().await;
        }
    }
}

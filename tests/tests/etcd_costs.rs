//! What the etcd backend costs the service, by the service's own counters.

mod etcd_support;

use std::time::Duration;

use etcd_support::*;
use leasehold_core::{AttemptIds, Certainty, Enqueued, Interest, Kind, Mode, NewEntry};
use leasehold_testkit::conformance::cites;
use leasehold_testkit::proxy::Proxy;
use leasehold_testkit::servers::{EtcdServer, Metrics, ServerOptions};
use tokio::time::{sleep, timeout};

/// Each renewal reads the session's key beside.
fn renewals(metrics: &Metrics) -> f64 {
    metrics.with("grpc_server_msg_received_total", &[("grpc_method", "LeaseKeepAlive")])
}

#[tokio::test]
async fn an_uncontended_lock_is_one_transaction_and_its_release_another() {
    const ROUNDS: u64 = 20;
    let server = EtcdServer::start(ServerOptions::default()).await;
    let coordinator = coordinator(&server.endpoint()).await;
    let before = server.metrics().await;
    for _ in 0..ROUNDS {
        coordinator.mutex("a").lock().await.unwrap().release().await.unwrap();
    }
    let after = server.metrics().await;
    let count = |metrics: &Metrics, method| {
        metrics.with("grpc_server_msg_received_total", &[("grpc_method", method)]) as u64
    };
    let counted = |method| count(&after, method) - count(&before, method);
    assert_eq!(counted("Txn"), ROUNDS * 2);
    for none in ["DeleteRange", "Put", "LeaseGrant", "LeaseRevoke"] {
        assert_eq!(counted(none), 0, "{none}");
    }
    // Those by which the session hears that it was resumed, whenever they came.
    assert!(count(&after, "Watch") <= 1);
    assert!(count(&after, "Range") <= 1 + renewals(&after) as u64);
}

#[tokio::test]
async fn a_thousand_waiters_share_one_connection_one_stream_and_one_watch() {
    let _cited = cites("etcd", &[71]);
    // A session also watches its own key, over the same stream.
    const WATCHES: f64 = 2.0;
    const WAITERS: usize = 1_000;
    let server = EtcdServer::start(ServerOptions::default()).await;
    let proxy = Proxy::start(&server.endpoint()).await;
    let session = open(&proxy.endpoint(), TTL).await;
    let ids = AttemptIds::new().unwrap();
    let queue = session.queue(&path(Kind::Lock, "a"));
    let mut attempts = Vec::new();
    for _ in 0..WAITERS {
        attempts.push(place(&*queue, &ids).await);
    }
    let (granted, mut grants) = tokio::sync::mpsc::unbounded_channel();
    for pair in attempts.windows(2) {
        let (ahead, own, granted) = (pair[0], pair[1], granted.clone());
        let queue = session.queue(&path(Kind::Lock, "a"));
        tokio::spawn(async move {
            queue.changed(gone(ahead)).await.unwrap();
            granted.send(own).unwrap();
        });
    }
    assert_eq!(contenders(&*queue).await, attempts);
    let waiting = server.metrics().await;
    assert_eq!(waiting.sum("etcd_debugging_mvcc_watch_stream_total"), 1.0);
    assert_eq!(waiting.sum("etcd_debugging_mvcc_watcher_total"), WATCHES);
    assert_eq!(proxy.connections(), 1);
    for pair in attempts.windows(2) {
        queue.withdraw(pair[0], Certainty::Placed).await.unwrap();
        let next = timeout(Duration::from_secs(5), grants.recv()).await.expect("nobody was woken");
        assert_eq!(next, Some(pair[1]));
    }
    let after = server.metrics().await;
    let ranges = after.with("grpc_server_msg_received_total", &[("grpc_method", "Range")]);
    // A renewal that is under way may have been counted, and the read beside it not yet, or the other way round.
    let others = ranges - renewals(&after);
    assert!((others - WATCHES).abs() <= 1.0, "one listing for all of it: {others}");
    assert!(grants.try_recv().is_err(), "nobody was woken twice");
}

/// etcd serves a watch that begins in the past only every 100 ms, so a handoff that opens one waits for that loop. Here each
/// session opens its one watch before it is needed, and then none, however often the lock changes hands.
#[tokio::test]
async fn handoffs_between_sessions_open_no_watches_and_list_nothing() {
    const SESSIONS: usize = 8;
    const ROUNDS: usize = 25;
    let server = EtcdServer::start(ServerOptions::default()).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..SESSIONS {
        let coordinator = coordinator(&server.endpoint()).await;
        tasks.spawn(async move {
            for _ in 0..ROUNDS {
                coordinator.mutex("a").lock().await.unwrap().release().await.unwrap();
            }
            coordinator
        });
    }
    let coordinators =
        timeout(Duration::from_secs(60), tasks.join_all()).await.expect("somebody waits in vain");
    let metrics = server.metrics().await;
    let received =
        |method| metrics.with("grpc_server_msg_received_total", &[("grpc_method", method)]) as usize;
    assert_eq!(received("Txn"), SESSIONS * ROUNDS * 2);
    // One of the queue, and one of the session's own key.
    assert!(received("Watch") <= SESSIONS * 2, "{} watches", received("Watch"));
    let listings = received("Range") - renewals(&metrics) as usize;
    assert!(listings <= SESSIONS * 2, "{listings} listings");
    drop(coordinators);
}

/// A copy of the queue is told of everything that happens in it. Whoever waits alone in a long one is told of the entry ahead of it, and of
/// nothing else, however many come and go.
#[tokio::test]
async fn a_lone_waiter_in_a_long_queue_is_told_of_one_removal() {
    const OTHERS: usize = 30;
    let server = EtcdServer::start(ServerOptions::default()).await;
    let (others, session) = (open(&server.endpoint(), TTL).await, open(&server.endpoint(), TTL).await);
    let (name, ids) = (path(Kind::Lock, "a"), AttemptIds::new().unwrap());
    let (theirs, own) = (others.queue(&name), session.queue(&name));
    let mut attempts = Vec::new();
    for _ in 0..OTHERS {
        attempts.push(place(&*theirs, &ids).await);
    }
    let ahead = attempts[OTHERS - 1];
    attempts.push(place(&*own, &ids).await);
    assert_eq!(contenders(&*own).await, attempts);
    let watchers = async || server.metrics().await.sum("etcd_debugging_mvcc_watcher_total") as usize;
    let events = async || server.metrics().await.sum("etcd_debugging_mvcc_events_total") as usize;
    // Each session watches its own key.
    let before = 2;
    let until = async |wanted| {
        let reached = async {
            while watchers().await != wanted {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(5), reached).await.expect("as many watches as that");
    };
    until(before).await;
    let mut waiting = Box::pin(own.changed(gone(ahead)));
    assert!(timeout(Duration::from_millis(300), &mut waiting).await.is_err());
    assert_eq!(watchers().await, before + 1);
    let told = events().await;
    for attempt in &attempts[..OTHERS - 1] {
        theirs.withdraw(*attempt, Certainty::Placed).await.unwrap();
        place(&*theirs, &ids).await;
    }
    assert!(timeout(Duration::from_millis(300), &mut waiting).await.is_err());
    assert_eq!(events().await, told);
    theirs.withdraw(ahead, Certainty::Placed).await.unwrap();
    timeout(Duration::from_secs(5), waiting).await.expect("it is not told").unwrap();
    assert_eq!(events().await, told + 1);
    assert_eq!(contenders(&*own).await[0], attempts[OTHERS]);
    // An entry that is gone is told at once, and so is one that has another version.
    timeout(Duration::from_secs(5), own.changed(gone(ahead))).await.expect("it is not told").unwrap();
    let mine = Interest::Entry { attempt: attempts[OTHERS], mode: Mode::Exclusive, version: Some(1) };
    timeout(Duration::from_secs(5), own.changed(mine)).await.expect("it is not told").unwrap();
    // A wait that is dropped takes its watch along.
    let mut dropped = Box::pin(own.changed(gone(attempts[OTHERS])));
    assert!(timeout(Duration::from_millis(300), &mut dropped).await.is_err());
    drop(dropped);
    until(before).await;
}

/// A try that is turned away has listed the queue to see that, and need not open a watch to see why.
#[tokio::test]
async fn a_busy_try_lists_the_queue_and_watches_nothing() {
    const TRIES: usize = 10;
    let server = EtcdServer::start(ServerOptions::default()).await;
    let (holder, other) = (coordinator(&server.endpoint()).await, coordinator(&server.endpoint()).await);
    let _permit = holder.semaphore("a", 1).acquire().await.unwrap();
    let count = |metrics: &Metrics, method| {
        metrics.with("grpc_server_msg_received_total", &[("grpc_method", method)]) as usize
    };
    let listings = |metrics: &Metrics| count(metrics, "Range").saturating_sub(renewals(metrics) as usize);
    // Each session watches its own key, and the holder its entry when it has held for a while; each is listed once.
    let watched = 3;
    let settled = async {
        loop {
            let metrics = server.metrics().await;
            if count(&metrics, "Watch") == watched && listings(&metrics) >= watched {
                return metrics;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let before = timeout(Duration::from_secs(30), settled).await.expect("three watches");
    for _ in 0..TRIES {
        assert!(other.semaphore("a", 1).try_acquire().await.unwrap().is_none());
    }
    let mismatch = other.semaphore("a", 2).try_acquire().await.unwrap_err();
    assert_eq!(mismatch.kind(), leasehold::ErrorKind::Mismatch);
    let after = server.metrics().await;
    for method in ["Watch", "Txn"] {
        assert_eq!(count(&after, method), count(&before, method), "{method}");
    }
    // A renewal that is under way may have been counted, and the read beside it not yet, or the other way round.
    let listed = listings(&after) - listings(&before);
    assert!(listed.abs_diff(TRIES + 1) <= 1, "{listed} listings");
}

#[tokio::test]
async fn a_watch_that_nobody_needs_is_given_up() {
    let server = EtcdServer::start(ServerOptions::default()).await;
    let session = open(&server.endpoint(), TTL).await;
    let ids = AttemptIds::new().unwrap();
    let queue = session.queue(&path(Kind::Lock, "a"));
    place(&*queue, &ids).await;
    contenders(&*queue).await;
    let watchers = async || server.metrics().await.sum("etcd_debugging_mvcc_watcher_total");
    // One of them is over the session's own key.
    assert_eq!(watchers().await, 2.0);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(watchers().await, 2.0, "it lingers");
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(watchers().await, 1.0);
    // The next look opens it again, and misses nothing.
    place(&*queue, &ids).await;
    assert_eq!(contenders(&*queue).await.len(), 2);
    assert_eq!(watchers().await, 2.0);
}

/// More than fits into one page of a listing, and more than the client decodes by default.
#[tokio::test]
async fn a_long_queue_is_listed_whole() {
    const ENTRIES: usize = 4_500;
    let server = EtcdServer::start(ServerOptions::default()).await;
    let (session, observer) = (open(&server.endpoint(), TTL).await, open(&server.endpoint(), TTL).await);
    let ids = AttemptIds::new().unwrap();
    let name = path(Kind::Lock, "a");
    let queue = session.queue(&name);
    let mut orders = Vec::new();
    for _ in 0..ENTRIES / 50 {
        let attempts: Vec<_> = (0..50).map(|_| ids.next()).collect();
        let placed = attempts.iter().map(|attempt| async {
            let new = NewEntry { value: vec![b'x'; 2_000].into(), ..entry(*attempt) };
            match queue.enqueue(new).await.unwrap() {
                Enqueued::Placed { order, .. } => (order, *attempt),
                Enqueued::Busy { .. } => panic!("nobody asked whether it is free"),
            }
        });
        orders.extend(futures::future::join_all(placed).await);
    }
    orders.sort();
    let expected: Vec<_> = orders.iter().map(|(_, attempt)| *attempt).collect();
    assert_eq!(contenders(&*observer.queue(&name)).await, expected);
    let entries = observer.queue(&name).entries().await.unwrap();
    assert!(entries.iter().map(|entry| (entry.order, entry.attempt)).eq(orders));
}

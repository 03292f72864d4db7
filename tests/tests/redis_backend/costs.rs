//! What the backend costs the service, by the service's own counters.

use std::time::Duration;

use leasehold_core::{AttemptIds, Certainty};
use leasehold_testkit::conformance::cites;
use leasehold_testkit::proxy::Proxy;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::fixture::*;

#[tokio::test]
async fn an_uncontended_lock_is_two_scripts() {
    const ROUNDS: u64 = 50;
    let server = server().await;
    let proxy = Proxy::start(&server.endpoint()).await;
    let coordinator = coordinator(&proxy.endpoint(), LONG_TTL).await;
    let cycle = async || coordinator.mutex("a").lock().await.unwrap().release().await.unwrap();
    // The scripts are not known to a fresh server.
    cycle().await;
    let before = server.calls("evalsha").await;
    for _ in 0..ROUNDS {
        cycle().await;
    }
    assert_eq!(server.calls("evalsha").await - before, 2 * ROUNDS);
    for none in ["eval", "subscribe", "multi", "watch"] {
        assert_eq!(server.calls(none).await, 0, "{none}");
    }
    assert_eq!(proxy.connections(), 1, "nobody waits, so nobody listens");
}

#[tokio::test]
async fn a_thousand_waiters_share_two_connections_and_one_subscription() {
    let _cited = cites("redis", &[71]);
    const WAITERS: usize = 1_000;
    let server = server().await;
    let proxy = Proxy::start(&server.endpoint()).await;
    let session = open(&proxy.endpoint(), LONG_TTL).await;
    let ids = AttemptIds::new().unwrap();
    let queue = session.queue(&lock("a"));
    let mut attempts = Vec::new();
    for _ in 0..WAITERS {
        attempts.push(place(&*queue, &ids).await);
    }
    let before = server.calls("evalsha").await;
    let (granted, mut grants) = tokio::sync::mpsc::unbounded_channel();
    for pair in attempts.windows(2) {
        let (ahead, own, granted) = (pair[0], pair[1], granted.clone());
        let queue = session.queue(&lock("a"));
        tokio::spawn(async move {
            queue.changed(gone(ahead)).await.unwrap();
            granted.send(own).unwrap();
        });
    }
    assert_eq!(contenders(&*queue).await, attempts);
    let channels = server.command(&["PUBSUB", "CHANNELS"]).await.texts();
    assert!(matches!(channels.as_slice(), [one] if one.ends_with(":queue:locks/a")), "{channels:?}");
    assert_eq!(server.calls("subscribe").await, 1);
    assert_eq!(proxy.connections(), 2);
    for pair in attempts.windows(2) {
        queue.withdraw(pair[0], Certainty::Placed).await.unwrap();
        assert_eq!(soon(grants.recv()).await, Some(pair[1]));
    }
    assert!(grants.try_recv().is_err(), "nobody was woken twice");
    // The listing, the releases, and what the watchman looked.
    let scripts = server.calls("evalsha").await - before;
    assert!((1_000..1_010).contains(&scripts), "{scripts} scripts");
}

#[tokio::test]
async fn handoffs_between_sessions_list_nothing() {
    const SESSIONS: usize = 8;
    const ROUNDS: usize = 25;
    let server = server().await;
    let mut tasks = JoinSet::new();
    let mut coordinators = Vec::new();
    for _ in 0..SESSIONS {
        coordinators.push(coordinator(&server.endpoint(), LONG_TTL).await);
    }
    let (scripts, messages) = (server.calls("evalsha").await, server.calls("publish").await);
    for coordinator in coordinators.clone() {
        tasks.spawn(async move {
            for _ in 0..ROUNDS {
                coordinator.mutex("a").lock().await.unwrap().release().await.unwrap();
            }
        });
    }
    soon(tasks.join_all()).await;
    let scripts = server.calls("evalsha").await - scripts;
    let messages = server.calls("publish").await - messages;
    // An entry and its end: to who follows the whole queue, which is nobody here, to its owner, and to the owner of the next.
    let acquisitions = SESSIONS * ROUNDS;
    assert!((4 * acquisitions..=5 * acquisitions).contains(&(messages as usize)), "{messages} messages");
    // Beside two scripts an acquisition: each session lists the queue once, and its watchman looks a few times.
    let beside = scripts as usize - 2 * SESSIONS * ROUNDS;
    assert!(beside <= SESSIONS * 6, "{beside} scripts beside");
}

#[tokio::test]
async fn a_subscription_that_nobody_needs_is_given_up() {
    let server = server().await;
    let session = open(&server.endpoint(), LONG_TTL).await;
    let (queue, ids) = (session.queue(&lock("a")), AttemptIds::new().unwrap());
    place(&*queue, &ids).await;
    contenders(&*queue).await;
    let channels = async || server.command(&["PUBSUB", "CHANNELS"]).await.texts().len();
    assert_eq!(channels().await, 1);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(channels().await, 1, "it lingers");
    sleep(Duration::from_secs(9)).await;
    assert_eq!(channels().await, 0);
    let clients = server.command(&["CLIENT", "LIST"]).await.text();
    assert_eq!(clients.lines().count(), 2, "the session's, and the one that asks: {clients}");
    // The next look opens it again, and misses nothing.
    place(&*queue, &ids).await;
    assert_eq!(contenders(&*queue).await.len(), 2);
    assert_eq!(channels().await, 1);
}

/// More than fits into one page, and into the part of a queue that is looked at in one step.
#[tokio::test]
async fn a_long_queue_is_listed_whole() {
    const ENTRIES: usize = 3_000;
    let server = server().await;
    let (session, observer) =
        (open(&server.endpoint(), LONG_TTL).await, open(&server.endpoint(), LONG_TTL).await);
    let (queue, ids) = (session.queue(&lock("a")), AttemptIds::new().unwrap());
    let mut attempts = Vec::new();
    for _ in 0..ENTRIES {
        attempts.push(place(&*queue, &ids).await);
    }
    assert_eq!(contenders(&*observer.queue(&lock("a"))).await, attempts);
    let entries = observer.queue(&lock("a")).entries().await.unwrap();
    assert!(entries.iter().map(|entry| entry.attempt).eq(attempts));
    assert!(entries.iter().all(|entry| entry.value == "value" && entry.version == entry.order));
    assert!(entries.is_sorted_by(|a, b| a.order < b.order));
}

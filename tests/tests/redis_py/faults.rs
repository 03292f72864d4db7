//! Replies that are lost, callers that leave, servers that fall silent: no key is left behind, and nobody believes too long.

use std::time::Duration;

use leasehold::{ErrorKind, LossReason};
use leasehold_testkit::polls::drop_at_every_poll;
use leasehold_testkit::proxy::Proxy;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::fixture::*;

/// Long enough for nothing to go by expiry.
const LONG_TTL: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_key_whose_answer_was_lost_is_removed_by_its_token() {
    let server = server().await;
    let proxy = Proxy::start(&server.endpoint()).await;
    let lock = lock(&proxy.endpoint()).await.ttl(LONG_TTL);
    // The server knows the scripts.
    lock.lock().await.unwrap().release().await.unwrap();
    // Of the connection that is there: one that the client finds broken as it claims has its claim undone over the
    // next, in the background, and no order of the two is promised.
    proxy.drop_replies();
    let claims = server.calls("set").await;
    let claiming = tokio::spawn({
        let lock = lock.clone();
        async move { lock.try_lock().await }
    });
    soon(async {
        while server.calls("set").await == claims {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_ne!(token(&server).await, "", "the claim has arrived");
    proxy.cut();
    proxy.heal();
    let error = soon(claiming).await.unwrap().map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error:?}");
    until_free(&server).await;
    lock.try_lock().await.unwrap().expect("nothing is in the way").release().await.unwrap();
}

#[tokio::test]
async fn a_claim_that_arrives_after_its_removal_is_removed_all_the_same() {
    let server = server().await;
    let proxy = Proxy::start(&server.endpoint()).await;
    let lock = lock(&proxy.endpoint()).await.ttl(LONG_TTL);
    lock.lock().await.unwrap().release().await.unwrap();
    proxy.hold_requests();
    let error = lock.try_lock_for(Duration::from_millis(300)).await.map(drop).unwrap_err();
    assert!(!error.to_string().is_empty() && error.name() == Some(KEY), "{error}");
    // A new connection passes, over which the removal finds nothing, again and again.
    let removals = server.calls("evalsha").await;
    soon(async {
        while server.calls("evalsha").await < removals + 2 {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(token(&server).await, "");
    let claims = server.calls("set").await;
    proxy.close_clients();
    proxy.release();
    soon(async {
        while server.calls("set").await == claims {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    until_free(&server).await;
}

#[tokio::test]
async fn a_dropped_acquisition_leaves_no_key() {
    let server = server().await;
    let lock = lock(&server.endpoint()).await.ttl(LONG_TTL);
    let guard =
        drop_at_every_poll(Duration::from_millis(2), || lock.lock(), async |_| until_free(&server).await)
            .await
            .unwrap();
    assert!(guard.is_held());
    // One that waits leaves the holder its key, and no claim that takes it later.
    for _ in 0..5 {
        assert!(timeout(Duration::from_millis(30), lock.lock()).await.is_err());
    }
    drop(guard);
    until_free(&server).await;
    sleep(Duration::from_millis(300)).await;
    assert_eq!(token(&server).await, "");
}

#[tokio::test]
async fn a_silent_server_loses_the_hold_before_the_key_expires() {
    let server = server().await;
    let proxy = Proxy::start(&server.endpoint()).await;
    let lock = lock(&proxy.endpoint()).await;
    let mut python = python(&server, 0).await;
    let guard = lock.lock().await.unwrap();
    proxy.black_hole();
    python.send(&format!("acquire {KEY} 10 10")).await;
    assert_eq!(soon(guard.lost()).await, LossReason::DeadlinePassed);
    // What is asked of the server from here on comes after the loss.
    assert!(left(&server).await > 0, "it was told while the key was still there");
    assert!(!guard.is_held());
    assert_eq!(python.line().await.as_deref(), Some("got"));
    // The renewals and the removal that arrive now touch nothing of Python's.
    proxy.heal();
    assert!(guard.release().await.unwrap_err().is_lost());
    sleep(Duration::from_millis(700)).await;
    assert_eq!(told(&mut python, "owned").await, "True");
    assert!(left(&server).await > 5_000);
}

#[tokio::test]
async fn a_release_whose_answer_was_lost_is_confirmed_by_the_next() {
    let server = server().await;
    let proxy = Proxy::start(&server.endpoint()).await;
    let lock = lock(&proxy.endpoint()).await.ttl(LONG_TTL);
    lock.lock().await.unwrap().release().await.unwrap();
    let guard = lock.lock().await.unwrap();
    proxy.drop_replies();
    let release = tokio::spawn(guard.release());
    until_free(&server).await;
    proxy.cut();
    proxy.heal();
    soon(release).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_release_that_nobody_confirms_says_so() {
    let server = server().await;
    let proxy = Proxy::start(&server.endpoint()).await;
    let guard = lock(&proxy.endpoint()).await.ttl(LONG_TTL).lock().await.unwrap();
    proxy.black_hole();
    let error = soon(guard.release()).await.unwrap_err();
    assert!(!error.is_lost() && error.error().kind() == ErrorKind::Unavailable, "{error:?}");
    // It goes on in the background.
    proxy.heal();
    until_free(&server).await;
}

#[tokio::test]
async fn a_hundred_waiters_of_one_process_poll_as_one() {
    const WAITERS: u64 = 100;
    let server = server().await;
    let holder = lock(&server.endpoint()).await.ttl(LONG_TTL).lock().await.unwrap();
    let lock = lock(&server.endpoint()).await.ttl(LONG_TTL);
    let mut waiters = JoinSet::new();
    for _ in 0..WAITERS {
        let lock = lock.clone();
        waiters.spawn(async move { lock.lock().await.unwrap().release().await.unwrap() });
    }
    sleep(Duration::from_millis(500)).await;
    let before = server.calls("evalsha").await;
    sleep(Duration::from_secs(1)).await;
    let polls = server.calls("evalsha").await - before;
    // Each 50 to 100 ms, by one of them.
    assert!((3..=25).contains(&polls), "{polls}");
    holder.release().await.unwrap();
    // From one to the next they are told: polling, it would take 5 s at the least.
    timeout(Duration::from_secs(4), waiters.join_all()).await.expect("they hear of each other");
}

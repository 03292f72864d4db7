//! What stays on the server when sessions end, one way or another.

use std::time::Duration;

use leasehold_core::{AttemptIds, Certainty, Liveness, LossReason};
use tokio::time::{Instant, sleep};

use crate::fixture::*;

#[tokio::test]
async fn a_closed_session_leaves_its_counters_and_nothing_else() {
    let server = server().await;
    let (session, ids) = (open(&server.endpoint(), TTL).await, AttemptIds::new().unwrap());
    for name in 0..40 {
        let queue = session.queue(&lock(&format!("order-{name}")));
        let attempt = place(&*queue, &ids).await;
        if name % 2 == 0 {
            queue.withdraw(attempt, Certainty::Ambiguous).await.unwrap();
        }
    }
    session.close().await;
    assert_eq!(passing_keys(&server).await, [""; 0]);
    let counters = server.keys("*").await;
    assert!(counters.len() <= 16, "one a shard, whatever locks there were: {counters:?}");
}

/// Nobody comes after it and cleans up.
#[tokio::test]
async fn the_last_session_dies_and_everything_of_it_goes_by_itself() {
    let server = server().await;
    let ids = AttemptIds::new().unwrap();
    let session = open(&server.endpoint(), Duration::from_secs(1)).await;
    place(&*session.queue(&lock("a")), &ids).await;
    session.queue(&lock("b")).withdraw(ids.next(), Certainty::Ambiguous).await.unwrap();
    drop(session);
    soon(async {
        while !passing_keys(&server).await.is_empty() {
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn whoever_is_left_removes_what_a_dead_session_had() {
    let server = server().await;
    let ids = AttemptIds::new().unwrap();
    let survivor = open(&server.endpoint(), TTL).await;
    let session = open(&server.endpoint(), Duration::from_millis(300)).await;
    let attempts = [place(&*session.queue(&lock("a")), &ids).await, ids.next()];
    session.queue(&lock("b")).withdraw(attempts[1], Certainty::Ambiguous).await.unwrap();
    let id = session.id();
    drop(session);
    // The survivor uses neither of the locks; it renews itself.
    soon(async {
        loop {
            let mut traces = Vec::new();
            for index in server.keys("*:index").await {
                traces.extend(server.command(&["ZRANGE", &index, "0", "-1"]).await.texts());
                traces.extend(server.command(&["HKEYS", &index.replace("index", "entries")]).await.texts());
                let sessions = index.replace("index", "sessions");
                traces.extend(server.command(&["ZRANGE", &sessions, "0", "-1"]).await.texts());
            }
            let of_it = |text: &String| {
                text.contains(&id) || attempts.iter().any(|attempt| text.contains(&attempt.to_string()))
            };
            if !traces.iter().any(of_it) {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert!(survivor.liveness().is_alive());
}

#[tokio::test]
async fn a_session_that_is_over_in_one_shard_is_over_in_all() {
    let server = server().await;
    let (session, ids) = (open(&server.endpoint(), Duration::from_secs(2)).await, AttemptIds::new().unwrap());
    let observer = open(&server.endpoint(), TTL).await;
    let mut attempts = Vec::new();
    for name in 0..20 {
        attempts.push(place(&*session.queue(&lock(&format!("{name}"))), &ids).await);
    }
    let key = server.keys(&format!("*:session:{}", session.id())).await.remove(0);
    server.command(&["DEL", &key]).await;
    assert_eq!(soon(session.liveness().lost()).await, LossReason::SessionEnded);
    for (name, attempt) in attempts.into_iter().enumerate() {
        soon(observer.queue(&lock(&format!("{name}"))).changed(gone(attempt))).await.unwrap();
    }
    assert_eq!(server.keys(&format!("*:session:{}", session.id())).await, [""; 0]);
}

#[tokio::test]
async fn a_dead_session_wakes_who_waits_behind_it_when_it_runs_out() {
    let server = server().await;
    let ids = AttemptIds::new().unwrap();
    // The waiter's own renewals, which would find it too, are rare.
    let (waiter, ttl) = (open(&server.endpoint(), Duration::from_secs(60)).await, Duration::from_secs(1));
    let session = open(&server.endpoint(), ttl).await;
    let attempt = place(&*session.queue(&lock("a")), &ids).await;
    let queue = waiter.queue(&lock("a"));
    place(&*queue, &ids).await;
    assert_eq!(contenders(&*queue).await.len(), 2);
    // It is renewed a few times, so that what the waiter knows of its end is out of date.
    sleep(ttl * 2).await;
    assert!(matches!(session.liveness().current(), Liveness::Live { .. }));
    drop(session);
    let dropped = Instant::now();
    soon(queue.changed(gone(attempt))).await.unwrap();
    assert!(dropped.elapsed() <= ttl + Duration::from_secs(1), "{:?}", dropped.elapsed());
    assert_eq!(contenders(&*queue).await.len(), 1);
}

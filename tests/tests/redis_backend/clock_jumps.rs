//! A server whose wall clock is set while locks are held: what the crate's documentation says of it, no more and no less.

use std::time::Duration;

use leasehold::fencing::Fence;
use leasehold_core::LossReason;
use leasehold_testkit::proxy::Proxy;
use leasehold_testkit::servers::{RedisServer, ServerOptions, Set, WallClock};
use tokio::time::{Instant, timeout};

use crate::fixture::*;

/// Of a holder that hears nothing for a while.
const SHORT_TTL: Duration = Duration::from_secs(3);

/// Whose renewals, each third of it, take no part in what happens within some seconds.
const SLOW_TTL: Duration = Duration::from_secs(60);

const JUMP: Duration = Duration::from_secs(120);

/// A server by a clock of its own, which is right.
async fn server_by_a_clock() -> (WallClock, RedisServer) {
    let clock = WallClock::start();
    let server = RedisServer::start(ServerOptions::default().wall_clock(&clock)).await;
    // The check checked: the server goes by this clock.
    let before = time_of(&server).await;
    clock.set(Set::Forward(Duration::from_secs(1_000)));
    assert!(time_of(&server).await >= before + Duration::from_secs(1_000));
    clock.set(Set::Right);
    (clock, server)
}

/// What time a server takes it to be.
async fn time_of(server: &RedisServer) -> Duration {
    let time = server.command(&["TIME"]).await.texts();
    let [seconds, micros] = time.as_slice() else { panic!("{time:?}") };
    Duration::from_secs(seconds.parse().unwrap()) + Duration::from_micros(micros.parse().unwrap())
}

/// The worst case: two believe in the lock, for no longer than the local deadline of the one that has lost it. What saves
/// the data is the fence alone.
#[tokio::test]
async fn set_forward_past_the_ttl_two_believe_until_the_deadline_and_the_fence_rejects_the_first() {
    let (clock, server) = server_by_a_clock().await;
    let proxy = Proxy::start(&server.endpoint()).await;
    let mut fence = Fence::new();
    let first = coordinator(&proxy.endpoint(), SHORT_TTL).await.mutex("a").lock().await.unwrap();
    fence.check_exclusive(first.fencing_token()).unwrap();
    let second_node = coordinator(&server.endpoint(), SHORT_TTL).await;
    // Else it would be told by the end of its entry or at its next renewal.
    proxy.black_hole();
    let cut_off_at = Instant::now();
    clock.set(Set::Forward(JUMP));
    let second = soon(second_node.mutex("a").lock()).await.unwrap();
    assert!(first.held().is_held() && second.held().is_held(), "nobody can have told the first one");
    assert!(second.fencing_token() > first.fencing_token());
    fence.check_exclusive(second.fencing_token()).unwrap();
    assert!(fence.check_exclusive(first.fencing_token()).is_err(), "the stale one is rejected");
    fence.check_exclusive(second.fencing_token()).unwrap();
    assert_eq!(soon(first.lost()).await, LossReason::DeadlinePassed);
    assert!(cut_off_at.elapsed() < SHORT_TTL, "the deadline counts from before the last renewal");
    assert!(!first.held().is_held() && second.held().is_held());
    // The numbers do not follow the clock back.
    clock.set(Set::Right);
    let token = second.fencing_token();
    second.release().await.unwrap();
    let third = soon(second_node.mutex("a").lock()).await.unwrap();
    assert!(third.fencing_token() > token);
    fence.check_exclusive(third.fencing_token()).unwrap();
}

/// A holder that can be reached is told as soon as anybody takes its place.
#[tokio::test]
async fn set_forward_past_the_ttl_a_holder_is_told_by_whoever_takes_its_place() {
    let (clock, server) = server_by_a_clock().await;
    let first = coordinator(&server.endpoint(), SLOW_TTL).await.mutex("a").lock().await.unwrap();
    let began = Instant::now();
    clock.set(Set::Forward(JUMP));
    let second = coordinator(&server.endpoint(), SLOW_TTL).await.mutex("a").lock().await.unwrap();
    let lost = soon(first.lost()).await;
    // Its entry is gone, and the service says why.
    assert_eq!(lost, LossReason::SessionEnded);
    assert!(began.elapsed() < SLOW_TTL / 3, "before any renewal");
    assert!(second.held().is_held() && second.fencing_token() > first.fencing_token());
}

/// All sessions are over at once, those of the waiters too: the holder is told by its next renewal, and who waits goes on
/// in a session of its own that follows.
#[tokio::test]
async fn set_forward_past_the_ttl_the_holder_is_told_and_the_waiter_goes_on() {
    let (clock, server) = server_by_a_clock().await;
    let first_node = coordinator(&server.endpoint(), SHORT_TTL).await;
    let first = first_node.mutex("a").lock().await.unwrap();
    let waiting_node = coordinator(&server.endpoint(), SHORT_TTL).await;
    let session = waiting_node.status().borrow().session.clone();
    let waiting = tokio::spawn({
        let mutex = waiting_node.mutex("a");
        async move { mutex.lock().await }
    });
    let observer = open(&server.endpoint(), SLOW_TTL).await;
    let queue = observer.queue(&lock("a"));
    soon(async {
        while contenders(&*queue).await.len() != 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let began = Instant::now();
    clock.set(Set::Forward(JUMP));
    let lost = soon(first.lost()).await;
    assert!(matches!(lost, LossReason::SessionEnded | LossReason::EntryRemoved), "{lost:?}");
    let next = soon(waiting).await.unwrap().unwrap();
    assert!(began.elapsed() < SHORT_TTL, "by the server's word, not at a deadline");
    assert!(next.fencing_token() > first.fencing_token());
    assert_ne!(waiting_node.status().borrow().session, session);
    next.release().await.unwrap();
}

/// Nobody gets in early, and a live session is as before from its next renewal on; but a dead one's lock is free later, by
/// as much as the clock was set back.
#[tokio::test]
async fn set_back_nothing_is_free_early_and_what_a_dead_holder_left_late() {
    const BACK: Duration = Duration::from_secs(5);
    let (clock, server) = server_by_a_clock().await;
    let proxy = Proxy::start(&server.endpoint()).await;
    let dead = coordinator(&proxy.endpoint(), SHORT_TTL).await.mutex("a").lock().await.unwrap();
    let alive_node = coordinator(&server.endpoint(), SHORT_TTL).await;
    let alive = alive_node.mutex("b").lock().await.unwrap();
    let node = coordinator(&server.endpoint(), SHORT_TTL).await;
    let (a, b) = (node.mutex("a"), node.mutex("b"));
    let mut waiting_for_the_living = tokio::spawn(async move { b.lock().await });
    let waiting_for_the_dead = tokio::spawn(async move { a.lock().await });
    proxy.black_hole();
    let died_at = Instant::now();
    clock.set(Set::Back(BACK));
    assert_eq!(soon(dead.lost()).await, LossReason::DeadlinePassed);
    let next = soon(waiting_for_the_dead).await.unwrap().unwrap();
    // Its last renewal was made within the third of a TTL before it died.
    let freed_after = died_at.elapsed();
    assert!(freed_after >= BACK + SHORT_TTL - SHORT_TTL / 3, "{freed_after:?}");
    // Whoever waits looks each third of a TTL; as much again for the machine to be busy.
    assert!(freed_after < BACK + SHORT_TTL + SHORT_TTL / 3 * 2, "{freed_after:?}");
    assert!(next.fencing_token() > dead.fencing_token());
    // Renewed over and over meanwhile, by a clock that is behind.
    assert!(alive.held().is_held());
    assert!(timeout(Duration::from_millis(100), &mut waiting_for_the_living).await.is_err());
    let token = alive.fencing_token();
    alive.release().await.unwrap();
    let handed_over = timeout(SHORT_TTL, waiting_for_the_living).await.expect("told, not by any clock");
    assert!(handed_over.unwrap().unwrap().fencing_token() > token);
}

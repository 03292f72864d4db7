//! What a holder keeps: members that come back, and those that do not.

use std::time::Duration;

use leasehold::{LossReason, Recipe, Released};

use crate::fixture::{Members, SLACK, TTL, everything_settles, held, losses, soon};

/// Every member loses what it had, one after the other; the holder holds on, and nobody else gets it.
#[tokio::test(start_paused = true)]
async fn a_holder_outlives_a_rolling_restart() {
    for count in [3, 5] {
        let members = Members::paused(count);
        let [one, other] = [members.contender().await, members.contender().await];
        let guard = one.lock.lock().await.unwrap();
        everything_settles().await;
        for at in 0..count {
            members.0[at].expire_session(&one.session(at));
            assert!(guard.is_held());
            assert!(other.lock.try_lock().await.unwrap().is_none());
            soon(async {
                while held(&guard) != vec![true; count] {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            })
            .await;
        }
        // Long enough for every deadline that is not renewed.
        tokio::time::sleep(TTL * 3).await;
        assert!(guard.is_held() && guard.loss().is_none());
        guard.release().await.unwrap();
        members.nothing_is_left().await;
        other.lock.lock().await.unwrap().release().await.unwrap();
    }
}

/// A minority that is away for longer than its TTL, and comes back.
#[tokio::test(start_paused = true)]
async fn a_hung_minority_is_taken_again() {
    let members = Members::paused(3);
    let one = members.contender().await;
    let guard = one.lock.lock().await.unwrap();
    everything_settles().await;
    members.0[2].pause();
    tokio::time::sleep(TTL * 2).await;
    assert_eq!(held(&guard), [true, true, false]);
    assert_eq!(losses(&guard)[2], Some(LossReason::DeadlinePassed));
    assert!(guard.is_held());
    members.0[2].resume();
    tokio::time::sleep(TTL).await;
    assert_eq!(held(&guard), [true; 3]);
    guard.release().await.unwrap();
    members.nothing_is_left().await;
}

/// What a holder takes again is behind those who wait there, and whoever waits there gets no majority by it.
#[tokio::test(start_paused = true)]
async fn a_member_that_another_took_comes_back_with_its_release() {
    let members = Members::paused(3);
    let [one, other] = [members.contender().await, members.contender().await];
    let guard = one.lock.lock().await.unwrap();
    everything_settles().await;
    let mutex = other.nodes[1].mutex("x");
    let waiting = tokio::spawn(async move { mutex.lock().await });
    everything_settles().await;
    members.0[1].expire_session(&one.session(1));
    let taken = soon(waiting).await.unwrap().unwrap();
    tokio::time::sleep(TTL).await;
    assert_eq!(held(&guard), [true, false, true]);
    assert!(taken.is_held() && guard.is_held());
    taken.release().await.unwrap();
    everything_settles().await;
    assert_eq!(held(&guard), [true; 3]);
    drop(guard);
    members.nothing_is_left().await;
}

/// The word of an administrator stands, also member by member.
#[tokio::test(start_paused = true)]
async fn what_was_broken_stays_broken() {
    let members = Members::paused(3);
    let [one, admin] = [members.contender().await, members.contender().await];
    let guard = one.lock.lock().await.unwrap();
    // The watches of the own entries are armed by then.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let broken = admin.nodes[0].admin().force_release(Recipe::Mutex, "x", "ops").await.unwrap();
    assert_eq!(broken, Released::ByHolder);
    tokio::time::sleep(TTL).await;
    assert_eq!(losses(&guard), [Some(LossReason::ForceReleased), None, None]);
    assert_eq!(members.entries(), [0, 1, 1], "it is not taken again");
    assert!(guard.is_held());
    admin.nodes[2].admin().force_release(Recipe::Mutex, "x", "ops").await.unwrap();
    let lost = soon(guard.lost()).await;
    assert_eq!(lost.reason, LossReason::ForceReleased);
    assert_eq!(members.entries(), [0, 1, 0]);
    drop(guard);
    members.nothing_is_left().await;
}

/// A member whose coordinator is shut down is parted with at once, as long as the others are enough; then the work is asked to stop.
#[tokio::test(start_paused = true)]
async fn coordinators_are_shut_down_under_a_holder() {
    const GRACE: Duration = Duration::from_secs(60);
    let members = Members::paused(3);
    let one = members.contender().await;
    let guard = one.lock.lock().await.unwrap();
    everything_settles().await;
    let (start, stop) = (tokio::time::Instant::now(), guard.cancellation_token());
    one.nodes[1].shutdown(GRACE).await.unwrap();
    assert!(start.elapsed() <= SLACK, "nobody has to wait for the holder: {:?}", start.elapsed());
    assert!(guard.is_held() && !stop.is_cancelled());
    assert_eq!(held(&guard), [true, false, true]);

    let node = one.nodes[0].clone();
    let shutdown = tokio::spawn(async move { node.shutdown(GRACE).await });
    soon(stop.cancelled()).await;
    assert!(guard.is_held(), "the work may be brought to a proper end");
    tokio::time::sleep(GRACE / 2).await;
    assert!(guard.is_held() && !shutdown.is_finished());
    guard.release().await.unwrap();
    soon(shutdown).await.unwrap().expect("nothing is held");
    members.nothing_is_left().await;

    // Of a holder that does not care, the lock is lost with the grace.
    let two = members.contender().await;
    let guard = two.lock.lock().await.unwrap();
    everything_settles().await;
    let brief = Duration::from_secs(1);
    let (first, second) = tokio::join!(two.nodes[1].shutdown(brief), two.nodes[2].shutdown(brief));
    assert_eq!([first.is_ok(), second.is_ok()].iter().filter(|ok| **ok).count(), 1, "{first:?} {second:?}");
    let lost = soon(guard.lost()).await;
    assert!(lost.members.iter().any(|member| member.loss == Some(LossReason::ShutDown)), "{lost}");
}

/// Owners that share a guard release it together.
#[tokio::test(start_paused = true)]
async fn a_shared_guard_is_released_with_its_last_owner() {
    let members = Members::paused(3);
    let one = members.contender().await;
    let shared = one.lock.lock().await.unwrap().share();
    let other = shared.clone();
    assert!(!shared.release().await.unwrap());
    assert!(other.is_held());
    everything_settles().await;
    assert_eq!(members.entries(), [1; 3]);
    assert!(other.release().await.unwrap());
    members.nothing_is_left().await;
}

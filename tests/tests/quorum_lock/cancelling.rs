//! Dropped at every poll: nothing stays anywhere.

use std::time::Duration;

use leasehold_testkit::polls::poll_times;

use crate::fixture::{Members, soon};

const PACE: Duration = Duration::from_micros(200);

/// Free: until the future ends by itself.
#[tokio::test]
async fn while_it_is_free() {
    let members = Members::real(3);
    let [one, other] = [members.contender().await, members.contender().await];
    for patient in [false, true] {
        for polls in 0.. {
            assert!(polls < 10_000, "it is free and yet not granted");
            let granted = if patient {
                poll_times(one.lock.lock(), polls, PACE).await.map(Result::unwrap)
            } else {
                poll_times(one.lock.try_lock(), polls, PACE).await.map(|tried| tried.unwrap().unwrap())
            };
            let is_granted = granted.is_some();
            drop(granted);
            soon(other.lock.lock()).await.unwrap().release().await.unwrap();
            members.nothing_is_left().await;
            if is_granted {
                break;
            }
        }
    }
}

/// Others hold all of it, or a minority that they wait with.
#[tokio::test]
async fn while_it_is_busy() {
    let members = Members::real(3);
    let [one, other, third] = &members.contenders(3).await[..] else { panic!("three") };
    for polls in (1..30).chain([60, 120, 240]) {
        let held = other.lock.lock().await.unwrap();
        assert!(poll_times(one.lock.lock(), polls, PACE).await.is_none(), "granted while another holds");
        let patience = Duration::from_secs(30);
        assert!(poll_times(one.lock.try_lock_for(patience), polls, PACE).await.is_none());
        held.release().await.unwrap();
        soon(third.lock.lock()).await.unwrap().release().await.unwrap();
        members.nothing_is_left().await;
    }
    // Member by member: the waiter has got the first one, or the second one too.
    for busy in [[0, 1], [1, 2], [0, 2]] {
        for polls in (1..20).chain([60, 120]) {
            let mut guards = Vec::new();
            for at in busy {
                guards.push(other.nodes[at].mutex("x").lock().await.unwrap());
            }
            assert!(poll_times(one.lock.lock(), polls, PACE).await.is_none(), "granted without a majority");
            for guard in guards {
                guard.release().await.unwrap();
            }
            soon(third.lock.lock()).await.unwrap().release().await.unwrap();
            members.nothing_is_left().await;
        }
    }
}

/// A try that gives back what it has taken goes on doing so.
#[tokio::test]
async fn while_it_gives_back() {
    let members = Members::real(3);
    let [one, other] = [members.contender().await, members.contender().await];
    let mut guards = Vec::new();
    for node in &other.nodes[1..] {
        guards.push(node.mutex("x").lock().await.unwrap());
    }
    for polls in 1..10_000 {
        let tried = poll_times(one.lock.try_lock(), polls, PACE).await;
        members.until_entries(&[0, 1, 1]).await;
        if let Some(tried) = tried {
            assert!(tried.unwrap().is_none(), "granted without a majority");
            return;
        }
    }
    panic!("it never ends");
}

/// A release goes on when its future is dropped, and so does that of a guard that is dropped outside of any runtime.
#[tokio::test]
async fn while_it_is_released() {
    let members = Members::real(3);
    let [one, other] = [members.contender().await, members.contender().await];
    for polls in 0..20 {
        let guard = one.lock.lock().await.unwrap();
        if let Some(released) = poll_times(guard.release(), polls, PACE).await {
            released.unwrap();
        }
        soon(other.lock.lock()).await.unwrap().release().await.unwrap();
        members.nothing_is_left().await;
    }
    let guard = one.lock.lock().await.unwrap();
    let held = guard.held();
    std::thread::spawn(move || drop(guard)).join().unwrap();
    assert!(!held.is_held());
    members.nothing_is_left().await;
}

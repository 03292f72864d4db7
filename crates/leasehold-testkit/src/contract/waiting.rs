//! `changed`: what it reports, to whom, and that it misses nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use leasehold_core::{Interest, Mode};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::World;
use super::stage::*;

pub(super) async fn changed_reports_what_is_gone(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, other) = (stage.seat().await, stage.seat().await);
    let [mine, theirs] = [stage.attempt(), stage.attempt()];
    seat.exclusive(mine).await;
    other.exclusive(theirs).await;
    for (attempt, leaver) in [(theirs, &other), (mine, &seat)] {
        seat.until_entry(attempt, "it is there", |mode| mode.is_some()).await;
        let wait = seat.gone(attempt);
        futures::join!(wait, async {
            sleep(QUIET / 5).await;
            leaver.withdraw(attempt).await;
        });
        assert!(seat.look().await.get(attempt).is_none(), "what changed reports is seen");
    }
}

pub(super) async fn changed_reports_modes_and_versions(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, other) = (stage.seat().await, stage.seat().await);
    let theirs = stage.attempt();
    other.exclusive(theirs).await;
    seat.until_entry(theirs, "it is there", |mode| mode.is_some()).await;

    futures::join!(
        seat.until_entry(theirs, "its mode changes", |mode| mode == Some(Mode::Shared)),
        other.publish(theirs, Mode::Shared, "a reader now")
    );
    let mut seen = seat.entry(theirs).await;
    for value in ["one", "two", "two"] {
        let before = seen.version;
        let follow = soon("the version changes", async {
            while seen.version == before {
                let version = Some(seen.version);
                seat.changed(Interest::Entry { attempt: theirs, mode: seen.mode, version }).await;
                seen = seat.entry(theirs).await;
            }
        });
        let (version, ()) = futures::join!(other.publish(theirs, Mode::Shared, value), follow);
        assert!(seen.version > before);
        assert_eq!((seen.version, &seen.value[..]), (version, value.as_bytes()));
    }
}

pub(super) async fn what_has_already_changed_is_reported_at_once(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, other) = (stage.seat().await, stage.seat().await);
    let [gone, there] = [stage.attempt(), stage.attempt()];
    let revision = seat.look().await.revision();
    other.exclusive(gone).await;
    let order = other.exclusive(there).await;
    let version = other.entry(there).await.version;
    other.withdraw(gone).await;
    other.publish(there, Mode::Exclusive, "new").await;
    assert!(order > 0);
    let (attempt, mode) = (there, Mode::Exclusive);
    seat.changed(is_gone(gone)).await;
    seat.changed(is_gone(stage.attempt())).await;
    seat.changed(Interest::Entry { attempt, mode: Mode::Shared, version: None }).await;
    seat.changed(Interest::Entry { attempt, mode, version: Some(version) }).await;
    seat.changed(Interest::Queue { revision }).await;
}

pub(super) async fn changed_misses_nothing(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, other) = (stage.seat().await, stage.seat().await);
    for round in 0..100_u32 {
        let theirs = stage.attempt();
        other.exclusive(theirs).await;
        seat.until_entry(theirs, "it is there", |mode| mode.is_some()).await;
        // The withdrawal lands before, in and after the registration, in turn.
        let pause = std::time::Duration::from_micros(u64::from(round % 20) * 100);
        futures::join!(seat.gone(theirs), async {
            sleep(pause).await;
            other.withdraw(theirs).await;
        });
        let next = stage.attempt();
        let expected = [next];
        futures::join!(seat.until("a member more", &expected), async {
            sleep(pause).await;
            other.exclusive(next).await;
        });
        other.withdraw(next).await;
        seat.gone(next).await;
    }
}

pub(super) async fn a_change_wakes_only_who_is_interested(world: Arc<dyn World>) {
    const WAITERS: usize = 50;
    let stage = Stage::new(world);
    let seat = stage.seat().await;
    let attempts: Vec<_> = (0..=WAITERS).map(|_| stage.attempt()).collect();
    for attempt in &attempts {
        seat.exclusive(*attempt).await;
    }
    let woken = Arc::new(AtomicUsize::new(0));
    let mut waiters = JoinSet::new();
    for predecessor in attempts[..WAITERS].iter().copied() {
        let (seat, woken) = (seat.clone(), Arc::clone(&woken));
        waiters.spawn(async move {
            while seat.look().await.get(predecessor).is_some() {
                seat.queue.changed(is_gone(predecessor)).await.expect("the wait ends well");
                woken.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    sleep(QUIET * 2).await;
    assert_eq!(waiters.len(), WAITERS, "nobody left yet");
    woken.store(0, Ordering::SeqCst);
    for (withdrawn, place) in [0, WAITERS / 2, WAITERS - 1].into_iter().enumerate() {
        assert_eq!(seat.withdraw(attempts[place]).await, leasehold_core::Withdrawn::Removed);
        soon("its waiter leaves", waiters.join_next()).await.expect("a waiter").expect("it does not panic");
        sleep(QUIET).await;
        assert_eq!(woken.load(Ordering::SeqCst), withdrawn + 1, "one change, one waiter");
        assert!(waiters.try_join_next().is_none());
    }
    waiters.shutdown().await;
}

pub(super) async fn the_queue_s_waiter_hears_of_members_and_modes(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, other) = (stage.seat().await, stage.seat().await);
    let [mine, theirs] = [stage.attempt(), stage.attempt()];
    seat.exclusive(mine).await;
    seat.until("I am there", &[mine]).await;
    let (alone, both) = ([mine], [mine, theirs]);
    futures::join!(seat.until("a member more", &both), other.exclusive(theirs));
    let mode_changed = soon("a mode", async {
        loop {
            let seen = seat.look().await;
            if seen.get(theirs).map(|entry| entry.mode) == Some(Mode::Shared) {
                return;
            }
            seat.changed(Interest::Queue { revision: seen.revision() }).await;
        }
    });
    futures::join!(mode_changed, other.publish(theirs, Mode::Shared, "v"));
    futures::join!(seat.until("a member less", &alone), other.withdraw(theirs));
    futures::join!(seat.until("nobody", &[]), seat.withdraw(mine));
    // Emptied and filled again behind the waiter's back is a change too.
    let revision = seat.look().await.revision();
    let again = stage.attempt();
    seat.exclusive(again).await;
    seat.withdraw(again).await;
    seat.changed(Interest::Queue { revision }).await;
}

pub(super) async fn all_waiters_of_one_entry_hear_of_it(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (a, b, other) = (stage.seat().await, stage.seat().await, stage.seat().await);
    let theirs = stage.attempt();
    other.exclusive(theirs).await;
    for seat in [&a, &b] {
        seat.until_entry(theirs, "it is there", |mode| mode.is_some()).await;
    }
    let waits = (0..20).map(|place| if place % 2 == 0 { a.gone(theirs) } else { b.gone(theirs) });
    futures::join!(join_all(waits), async {
        sleep(QUIET / 2).await;
        other.withdraw(theirs).await;
    });
}

pub(super) async fn a_dropped_wait_disturbs_nobody(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, other) = (stage.seat().await, stage.seat().await);
    for _ in 0..10 {
        let theirs = stage.attempt();
        other.exclusive(theirs).await;
        seat.until_entry(theirs, "it is there", |mode| mode.is_some()).await;
        let stays = seat.gone(theirs);
        futures::join!(stays, async {
            let dropped = timeout(QUIET / 10, seat.gone(theirs)).await;
            assert!(dropped.is_err(), "nothing has changed yet");
            other.withdraw(theirs).await;
        });
        // And one that is the only waiter of its queue, when it is dropped and comes again.
        let next = stage.attempt();
        other.exclusive(next).await;
        seat.until_entry(next, "it is there", |mode| mode.is_some()).await;
        assert!(timeout(QUIET / 50, seat.gone(next)).await.is_err());
        futures::join!(seat.gone(next), other.withdraw(next));
    }
}

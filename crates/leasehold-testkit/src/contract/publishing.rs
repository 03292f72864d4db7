//! `publish`: in place, by compare-and-set, by anybody.

use std::sync::Arc;

use futures::future::join_all;
use leasehold_core::{BackendErrorKind, Mode, Publish, Published};

use super::World;
use super::stage::*;

pub(super) async fn publish_keeps_place_and_order(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, other) = (stage.seat().await, stage.seat().await);
    let [a, b, c] = [stage.attempt(), stage.attempt(), stage.attempt()];
    for attempt in [a, b, c] {
        seat.exclusive(attempt).await;
    }
    let (before, position) = (seat.entry(b).await, seat.look().await.get(b).expect("it is there").position);
    let mut version = before.version;
    let changes = [
        (Mode::Shared, "shared"),
        (Mode::Shared, ""),
        (Mode::Permits { count: 2, limit: 5, granted: true }, "permits"),
        (Mode::Exclusive, "exclusive again"),
    ];
    for (mode, value) in changes {
        let published = seat.publish(b, mode, value).await;
        assert!(published > version, "the version grows");
        version = published;
        for seat in [&seat, &other] {
            seat.until_entry(b, "the mode is seen", |seen| seen == Some(mode)).await;
            let entry = seat.entry(b).await;
            assert_eq!((entry.order, entry.mode, entry.version), (before.order, mode, version));
            assert_eq!(entry.value, value);
            assert_eq!(seat.attempts().await, [a, b, c]);
        }
        let now = seat.look().await.get(b).expect("it is there");
        assert_eq!(now.position, position);
    }
    assert_eq!(seat.exclusive(b).await, before.order, "a repeated enqueue finds its entry all the same");
    assert_eq!(seat.attempts().await, [a, b, c]);
    seat.withdraw(b).await;
    assert_eq!(seat.attempts().await, [a, c], "and so does a withdrawal");
}

pub(super) async fn publish_compares_versions(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let seat = stage.seat().await;
    let attempt = stage.attempt();
    seat.exclusive(attempt).await;
    let first = seat.entry(attempt).await.version;
    let change = |mode, value: &'static str, version| Publish {
        attempt,
        mode,
        value: value.into(),
        if_version: Some(version),
    };
    let done = seat.try_publish(change(Mode::Exclusive, "second", first)).await.expect("published");
    let Published::Done { version: second } = done else { panic!("the version was right") };
    for mode in [Mode::Exclusive, Mode::Shared] {
        let stale = seat.try_publish(change(mode, "stale", first)).await.expect("answered");
        assert_eq!(stale, Published::VersionDiffers);
    }
    let entry = seat.entry(attempt).await;
    assert_eq!((entry.version, &entry.value[..], entry.mode), (second, &b"second"[..], Mode::Exclusive));
    let done = seat.try_publish(change(Mode::Shared, "third", second)).await.expect("published");
    assert!(matches!(done, Published::Done { version } if version > second));
}

pub(super) async fn publish_into_another_s_entry(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (owner, revoker) = (stage.seat().await, stage.seat().await);
    let attempt = stage.attempt();
    let order = owner.exclusive(attempt).await;
    let version = revoker.publish(attempt, Mode::Exclusive, "please leave").await;
    let entry = owner.entry(attempt).await;
    assert_eq!((entry.order, entry.version, &entry.value[..]), (order, version, &b"please leave"[..]));
    revoker.session.close().await;
    assert_eq!(owner.entry(attempt).await, entry, "it is tied to its owner's session still");
    stage.world.expire_session(&owner.session.id()).await;
    stage.no_trace_of(attempt).await;
}

pub(super) async fn publish_needs_an_entry(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let seat = stage.seat().await;
    let (never, left) = (stage.attempt(), stage.attempt());
    seat.exclusive(left).await;
    seat.withdraw(left).await;
    for attempt in [never, left] {
        for mode in [Mode::Exclusive, Mode::Shared] {
            let change = Publish { attempt, mode, value: "v".into(), if_version: None };
            let error = seat.try_publish(change).await.expect_err("there is no entry");
            assert_eq!(error.kind(), BackendErrorKind::NoEntry, "{error:?}");
        }
    }
    assert_eq!(seat.attempts().await, []);
    assert_eq!(seat.entries().await, []);
}

pub(super) async fn publishers_do_not_overwrite_each_other(world: Arc<dyn World>) {
    const EACH: usize = 8;
    let stage = Stage::new(world);
    let seats = join_all((0..3).map(|_| stage.seat())).await;
    let attempt = stage.attempt();
    seats[0].exclusive(attempt).await;
    seats[0].publish(attempt, Mode::Exclusive, "").await;
    join_all(seats.iter().map(async |seat| {
        for _ in 0..EACH {
            loop {
                let seen = seat.entry(attempt).await;
                // Also where nothing else waits, the others read in between.
                tokio::task::yield_now().await;
                let value = [&seen.value[..], b"+"].concat().into();
                let change = Publish { attempt, mode: seen.mode, value, if_version: Some(seen.version) };
                if let Published::Done { .. } = seat.try_publish(change).await.expect("answered") {
                    break;
                }
            }
        }
    }))
    .await;
    assert_eq!(seats[0].entry(attempt).await.value.len(), EACH * seats.len());
}

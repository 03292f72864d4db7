//! Registers: versions, conditions, waits.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use leasehold_core::{
    BackendErrorKind, KeyPath, RegisterWrite, RegisterWritten, Session, Versioned, Withdrawn,
};
use tokio::time::{sleep, timeout};

use super::World;
use super::stage::*;

async fn read(session: &Arc<dyn Session>, register: &KeyPath) -> Option<Versioned> {
    soon("a read ends", session.read(register)).await.expect("it is read")
}

async fn put(session: &Arc<dyn Session>, register: &KeyPath, new: RegisterWrite) -> RegisterWritten {
    soon("a write ends", session.write(register, new)).await.expect("it is answered")
}

/// Writes whatever is there; the version.
async fn set(session: &Arc<dyn Session>, register: &KeyPath, value: &'static str) -> u64 {
    match put(session, register, write(value, None)).await {
        RegisterWritten::Written { version } => version,
        other => panic!("no condition was given: {other:?}"),
    }
}

pub(super) async fn versions_begin_absent_and_grow(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (session, other) = (stage.open().await, stage.open().await);
    let register = stage.register("r");
    assert_eq!(read(&session, &register).await, None);
    assert_eq!(put(&session, &register, write("early", Some(7))).await, RegisterWritten::VersionDiffers);
    assert_eq!(read(&session, &register).await, None, "nothing was written");
    let mut last = 0;
    let every_byte: Vec<u8> = (0..=255).collect();
    for value in [Bytes::from_static(b"first"), Bytes::new(), every_byte.into(), Bytes::from_static(b"first")]
    {
        let written = put(&session, &register, write(value.clone(), Some(last))).await;
        let RegisterWritten::Written { version } = written else {
            panic!("the version was right: {written:?}")
        };
        assert!(version > last, "{version} after {last}");
        for stale in [last, 0, version + 1] {
            let refused = put(&session, &register, write("stale", Some(stale))).await;
            assert_eq!(refused, RegisterWritten::VersionDiffers);
        }
        for session in [&session, &other] {
            let found = read(session, &register).await;
            assert_eq!(found, Some(Versioned { value: value.clone(), version }));
        }
        last = version;
    }
    assert!(set(&other, &register, "whatever is there").await > last);
}

pub(super) async fn one_of_many_writers_wins(world: Arc<dyn World>) {
    const EACH: usize = 6;
    let stage = Stage::new(world);
    let sessions = join_all((0..4).map(|_| stage.open())).await;
    let register = stage.register("r");
    join_all(sessions.iter().map(async |session| {
        for _ in 0..EACH {
            loop {
                let seen = read(session, &register).await;
                let (value, version) = seen.map_or((Bytes::new(), 0), |seen| (seen.value, seen.version));
                let new = write([&value[..], b"+"].concat(), Some(version));
                // Also where nothing else waits, the others read in between.
                tokio::task::yield_now().await;
                if let RegisterWritten::Written { .. } = put(session, &register, new).await {
                    break;
                }
            }
        }
    }))
    .await;
    let value = read(&sessions[0], &register).await.expect("it is there").value;
    assert_eq!(value.len(), EACH * sessions.len(), "no update is lost");
}

pub(super) async fn a_write_on_condition_of_an_entry(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, other) = (stage.seat().await, stage.seat().await);
    let register = stage.register("r");
    let [held, withdrawn, never] = [stage.attempt(), stage.attempt(), stage.attempt()];
    seat.exclusive(held).await;
    seat.exclusive(withdrawn).await;
    assert_eq!(seat.withdraw(withdrawn).await, Withdrawn::Removed);
    let if_held = |attempt, if_version| RegisterWrite {
        value: "value".into(),
        if_version,
        if_held: Some((stage.path("q"), attempt)),
    };
    for attempt in [withdrawn, never] {
        assert_eq!(put(&seat.session, &register, if_held(attempt, None)).await, RegisterWritten::NotHeld);
    }
    assert_eq!(read(&seat.session, &register).await, None, "nothing was written");
    for session in [&seat.session, &other.session] {
        let written = put(session, &register, if_held(held, None)).await;
        let RegisterWritten::Written { version } = written else { panic!("it is held: {written:?}") };
        let stale = put(session, &register, if_held(held, Some(0))).await;
        assert_eq!(stale, RegisterWritten::VersionDiffers);
        let written = put(session, &register, if_held(held, Some(version))).await;
        assert!(matches!(written, RegisterWritten::Written { .. }), "{written:?}");
    }
    // An entry keeps its identity when its mode changes.
    seat.publish(held, leasehold_core::Mode::Shared, "v").await;
    let written = put(&seat.session, &register, if_held(held, None)).await;
    assert!(matches!(written, RegisterWritten::Written { .. }), "{written:?}");
    stage.world.expire_session(&seat.session.id()).await;
    stage.no_trace_of(held).await;
    let before = read(&other.session, &register).await;
    assert_eq!(put(&other.session, &register, if_held(held, None)).await, RegisterWritten::NotHeld);
    assert_eq!(read(&other.session, &register).await, before);
}

pub(super) async fn a_condition_that_cannot_be_decided_is_refused(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, register, held) = (stage.seat().await, stage.register("r"), stage.attempt());
    seat.exclusive(held).await;
    let if_held = Some((stage.path("q"), held));
    let new = RegisterWrite { value: "value".into(), if_version: None, if_held };
    let error = seat.session.write(&register, new).await.expect_err("it cannot");
    assert_eq!(error.kind(), BackendErrorKind::Unsupported, "{error:?}");
    assert_eq!(read(&seat.session, &register).await, None, "nothing was written");
}

/// Waits until the register is no longer of this version; the new one.
async fn follow(session: &Arc<dyn Session>, register: &KeyPath, seen: u64) -> u64 {
    soon("the register changes", async {
        loop {
            session.register_changed(register, seen).await.expect("the wait ends well");
            let version = read(session, register).await.map_or(0, |read| read.version);
            if version != seen {
                return version;
            }
        }
    })
    .await
}

pub(super) async fn register_changed_reports_each_version(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (session, other) = (stage.open().await, stage.open().await);
    let (register, neighbour) = (stage.register("r"), stage.register("r2"));
    let mut seen = 0;
    for round in 0..40_u32 {
        let pause = std::time::Duration::from_micros(u64::from(round % 10) * 200);
        let (version, written) = futures::join!(follow(&session, &register, seen), async {
            sleep(pause).await;
            set(&other, &register, "value").await
        });
        assert_eq!(version, written);
        seen = version;
    }
    assert_eq!(follow(&session, &register, 0).await, seen, "what has already changed is reported at once");
    let quiet = timeout(QUIET, follow(&session, &register, seen));
    let (unmoved, _) = futures::join!(quiet, set(&other, &neighbour, "another register"));
    assert!(unmoved.is_err(), "nothing has changed");
}

pub(super) async fn register_changed_survives_a_cut(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (session, other) = (stage.open().await, stage.open_direct().await);
    for seen_before in [false, true] {
        let register = stage.register(&format!("r {seen_before}"));
        let seen = if seen_before { set(&other, &register, "before").await } else { 0 };
        let wait = soon("the wait survives the cut", session.register_changed(&register, seen));
        let (waited, ()) = futures::join!(wait, async {
            sleep(QUIET / 5).await;
            stage.world.cut().await;
            set(&other, &register, "meanwhile").await;
            sleep(QUIET / 5).await;
            stage.world.heal().await;
        });
        waited.expect("waiting on is not in vain");
        let value = until_reached("it is read", async || session.read(&register).await).await;
        assert_eq!(value.map(|read| read.value), Some("meanwhile".into()));
    }
}

pub(super) async fn a_register_outlives_its_session(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (session, other) = (stage.open().await, stage.open().await);
    let register = stage.register("a/b 锁");
    let version = set(&session, &register, "kept").await;
    session.close().await;
    sleep(QUIET).await;
    assert_eq!(read(&other, &register).await, Some(Versioned { value: "kept".into(), version }));
    let error = session.write(&register, write("late", None)).await.expect_err("the session is over");
    assert_eq!(error.kind(), BackendErrorKind::SessionLost, "{error:?}");
}

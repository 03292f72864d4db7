//! Taking over a session: what stays, who is told, and that the earlier incarnation has no effect any more.

use std::sync::Arc;

use futures::future::join_all;
use leasehold_core::{
    BackendError, BackendErrorKind, Certainty, Credentials, Liveness, LockBackend, LossReason, Mode,
    OpenSession, Publish, RegisterWrite, RegisterWritten, Session, Withdrawn,
};
use tokio::time::{Instant, sleep};

use super::World;
use super::stage::*;

/// What resumes the seat's session.
fn credentials(seat: &Seat) -> Credentials {
    let credentials = seat.session.credentials().expect("it can be resumed");
    assert_eq!(seat.session.credentials().as_ref(), Some(&credentials), "they stay the same");
    credentials
}

async fn resume_over(
    stage: &Stage,
    backend: &Arc<dyn LockBackend>,
    credentials: Credentials,
) -> Result<Arc<dyn Session>, BackendError> {
    let options = OpenSession { resume: Some(credentials), ..stage.options(backend) };
    soon("a resumption ends", backend.open_session(options)).await
}

/// The successor's seat, over a connection of its own.
async fn resume(stage: &Stage, credentials: &Credentials) -> Seat {
    let resumed = resume_over(stage, &stage.world.direct(), credentials.clone()).await.expect("resumed");
    Seat::new(resumed, &stage.path("q"))
}

async fn is_superseded(seat: &Seat) {
    let reason = soon("the earlier incarnation is told", seat.session.liveness().lost()).await;
    assert_eq!(reason, LossReason::Superseded);
}

/// Longer than a session lives that nobody renews.
async fn longer_than_unrenewed(seat: &Seat) {
    let end = Instant::now() + seat.session.ttl() * 2;
    while Instant::now() < end {
        assert!(seat.session.liveness().is_alive(), "{:?}", seat.session.liveness().current());
        sleep(QUIET / 5).await;
    }
}

pub(super) async fn what_cannot_be_resumed_is_refused(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let seat = stage.seat().await;
    assert!(seat.session.credentials().is_none(), "there is nothing to resume with");
    let anything = Credentials::from_bytes(*b"anything");
    let refused = resume_over(&stage, &stage.world.backend(), anything).await;
    assert_eq!(refused.err().map(|error| error.kind()), Some(BackendErrorKind::Unsupported));
    assert!(seat.session.liveness().is_alive());
}

pub(super) async fn a_resumed_session_keeps_its_entries_and_their_order(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (older, other) = (stage.seat().await, stage.seat().await);
    let kept = credentials(&older);
    let [first, second, third, elsewhere] = [(); 4].map(|()| stage.attempt());
    let far = stage.path("elsewhere");
    let orders = (older.exclusive(first).await, other.exclusive(second).await, older.exclusive(third).await);
    let far_order = Seat::new(Arc::clone(&older.session), &far).enter(elsewhere, Mode::Shared).await;
    older.publish(first, Mode::Shared, "changed").await;

    let newer = resume(&stage, &kept).await;
    assert_eq!((newer.session.id(), newer.session.ttl()), (older.session.id(), older.session.ttl()));
    assert_eq!(newer.session.credentials(), Some(kept), "they stay the same");
    is_superseded(&older).await;
    assert_eq!(newer.attempts().await, [first, second, third]);
    let entries = newer.entries().await;
    assert_eq!((entries[0].order, entries[1].order, entries[2].order), orders);
    assert_eq!((entries[0].mode, &entries[0].value[..]), (Mode::Shared, &b"changed"[..]));
    let far = Seat::new(Arc::clone(&newer.session), &far);
    // The same attempts answer the same places, and no second entries.
    assert_eq!(newer.enter(first, Mode::Exclusive).await, orders.0);
    assert_eq!(newer.exclusive(third).await, orders.2);
    assert_eq!(far.enter(elsewhere, Mode::Shared).await, far_order);
    assert_eq!((newer.attempts().await.len(), far.attempts().await.len()), (3, 1));
    // What the older one's end leaves in place, the newer one's takes along.
    drop(older);
    longer_than_unrenewed(&newer).await;
    soon("close ends", newer.session.close()).await;
    other.until("theirs is left", &[second]).await;
    for gone in [first, third, elsewhere] {
        assert_eq!(stage.traces_of(gone).await, Vec::<String>::new(), "gone when close returns");
    }
}

pub(super) async fn an_older_incarnation_has_no_effect(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let older = stage.seat().await;
    let kept = credentials(&older);
    let (mine, new, register) = (stage.attempt(), stage.attempt(), stage.register("r"));
    let order = older.exclusive(mine).await;
    let held = Some((stage.path("q"), mine));
    let on_condition = RegisterWrite { value: "v".into(), if_version: None, if_held: held };
    let newer = resume(&stage, &kept).await;

    // From here on, whether or not it has been told yet.
    let change = Publish { attempt: mine, mode: Mode::Shared, value: "v".into(), if_version: None };
    let refused = [
        older.try_enqueue(entry(new, Mode::Exclusive)).await.map(drop),
        older.try_publish(change).await.map(drop),
        soon("a withdrawal ends", older.queue.withdraw(mine, Certainty::Placed)).await.map(drop),
        soon("a withdrawal ends", older.queue.withdraw(mine, Certainty::Ambiguous)).await.map(drop),
        soon("a write ends", older.session.write(&register, write("v", None))).await.map(drop),
        soon("a write ends", older.session.write(&register, on_condition.clone())).await.map(drop),
    ];
    for (index, refused) in refused.into_iter().enumerate() {
        let error = refused.expect_err("the session is another's");
        assert_eq!(error.kind(), BackendErrorKind::SessionLost, "{index}: {error:?}");
    }
    is_superseded(&older).await;
    assert_eq!(newer.session.read(&register).await.expect("read"), None);
    soon("close ends", older.session.close()).await;
    let waits = soon("a wait ends", async {
        while older.queue.changed(is_gone(mine)).await.is_ok() {
            sleep(QUIET / 50).await;
        }
    });
    waits.await;
    drop(older);
    longer_than_unrenewed(&newer).await;
    let left = newer.entry(mine).await;
    assert_eq!((left.order, left.mode, &left.value[..]), (order, Mode::Exclusive, &b"value"[..]));
    assert_eq!(newer.attempts().await, [mine]);
    let written = newer.session.write(&register, on_condition).await.expect("an answer");
    assert!(matches!(written, RegisterWritten::Written { .. }), "{written:?}");
}

pub(super) async fn a_resumed_session_s_entries_are_its_own(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (older, other) = (stage.seat().await, stage.direct_seat().await);
    let kept = credentials(&older);
    let [leaves, changes, later, theirs] = [(); 4].map(|()| stage.attempt());
    older.exclusive(leaves).await;
    let order = older.exclusive(changes).await;
    let newer = resume(&stage, &kept).await;
    let version = newer.publish(changes, Mode::Shared, "from the successor").await;
    let changed = newer.entry(changes).await;
    assert_eq!((changed.order, changed.mode, changed.version), (order, Mode::Shared, version));
    futures::join!(other.gone(leaves), async {
        assert_eq!(newer.withdraw(leaves).await, Withdrawn::Removed);
        assert_eq!(newer.withdraw(leaves).await, Withdrawn::WasGone);
    });
    assert!(newer.exclusive(later).await > order, "orders go on");
    other.exclusive(theirs).await;
    assert_eq!(newer.withdraw_as(changes, Certainty::Ambiguous).await, Withdrawn::Removed);
    newer.until("what is left", &[later, theirs]).await;
    // A further successor finds what this one made.
    let newest = resume(&stage, &kept).await;
    is_superseded(&newer).await;
    assert_eq!(newest.attempts().await, [later, theirs]);
    assert_eq!(newest.withdraw(later).await, Withdrawn::Removed);
    other.until("theirs is left", &[theirs]).await;
}

pub(super) async fn of_many_that_resume_one_is_left(world: Arc<dyn World>) {
    const RACERS: usize = 4;
    let stage = Stage::new(world);
    let older = stage.seat().await;
    let kept = credentials(&older);
    let attempt = stage.attempt();
    let order = older.exclusive(attempt).await;
    let backends: Vec<_> = (0..RACERS).map(|_| stage.world.direct()).collect();
    let raced = join_all(backends.iter().map(|backend| resume_over(&stage, backend, kept.clone()))).await;
    let mut seats = Vec::new();
    for racer in raced {
        match racer {
            Ok(session) => seats.push(Seat::new(session, &stage.path("q"))),
            Err(error) => assert_eq!(error.kind(), BackendErrorKind::SessionLost, "{error:?}"),
        }
    }
    is_superseded(&older).await;
    soon("one is left", async {
        loop {
            seats.retain(|seat| match seat.session.liveness().current() {
                Liveness::Lost(reason) => {
                    assert_eq!(reason, LossReason::Superseded);
                    false
                }
                _ => true,
            });
            assert!(!seats.is_empty(), "one is left");
            if seats.len() == 1 {
                return;
            }
            sleep(QUIET / 50).await;
        }
    })
    .await;
    let winner = seats.remove(0);
    longer_than_unrenewed(&winner).await;
    assert_eq!(winner.exclusive(attempt).await, order);
    assert_eq!(winner.attempts().await, [attempt]);
}

pub(super) async fn a_resumption_that_is_refused_has_no_effect(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, another) = (stage.seat().await, stage.seat().await);
    let kept = credentials(&seat);
    let attempt = stage.attempt();
    seat.exclusive(attempt).await;
    let backend = stage.world.direct();
    let kind = async |bytes: Vec<u8>| {
        let refused = resume_over(&stage, &backend, Credentials::from_bytes(bytes)).await;
        refused.map(drop).expect_err("it is refused").kind()
    };
    let right = kept.as_bytes().to_vec();
    for none in [Vec::new(), b"x".to_vec(), right[..right.len() - 1].to_vec(), [&right[..], b"x"].concat()] {
        assert_eq!(kind(none.clone()).await, BackendErrorKind::InvalidConfig, "{none:?}");
    }
    // What another service's look like is not ours to know; but not like this.
    let foreign: Vec<u8> = right.iter().map(|byte| byte ^ 0x55).collect();
    assert_eq!(kind(foreign).await, BackendErrorKind::InvalidConfig);
    for at in [right.len() - 1, right.len() - 16] {
        let mut wrong = right.clone();
        wrong[at] ^= 1;
        assert_eq!(kind(wrong).await, BackendErrorKind::Unauthenticated, "byte {at}");
    }
    assert!(matches!(seat.session.liveness().current(), Liveness::Live { .. }), "nobody disturbed it");
    assert_eq!(seat.attempts().await, [attempt]);

    let closed = another.session.credentials().expect("it can be resumed");
    soon("close ends", another.session.close()).await;
    assert_eq!(kind(closed.as_bytes().to_vec()).await, BackendErrorKind::SessionLost);
    stage.world.expire_session(&seat.session.id()).await;
    stage.no_trace_of(attempt).await;
    let before = stage.world.listing(stage.namespace.as_str()).await;
    assert_eq!(kind(right).await, BackendErrorKind::SessionLost);
    let left: Vec<_> = stage.world.listing(stage.namespace.as_str()).await;
    assert!(left.iter().all(|key| before.contains(key)), "left behind: {left:?}");
}

pub(super) async fn an_older_incarnation_that_comes_back_is_told(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let older = stage.seat().await;
    let kept = credentials(&older);
    let [mine, waits, ghost] = [(); 3].map(|()| stage.attempt());
    let order = older.exclusive(mine).await;
    stage.world.cut().await;
    let newer = resume(&stage, &kept).await;
    newer.exclusive(waits).await;
    // Under way while it cannot arrive; after the healing it may.
    let late = async {
        let tries = (
            older.queue.enqueue(entry(ghost, Mode::Exclusive)),
            older.queue.withdraw(mine, Certainty::Placed),
        );
        let (enqueued, withdrawn) =
            soon("the requests end", async { futures::join!(tries.0, tries.1) }).await;
        assert!(enqueued.is_err() && withdrawn.is_err(), "{enqueued:?}, {withdrawn:?}");
    };
    futures::join!(late, async {
        sleep(QUIET / 5).await;
        stage.world.heal().await;
    });
    // It comes back within its TTL, or its own deadline has passed meanwhile.
    let reason = soon("the loss is reported", older.session.liveness().lost()).await;
    assert!(matches!(reason, LossReason::Superseded | LossReason::DeadlinePassed), "{reason:?}");
    soon("close ends", older.session.close()).await;
    longer_than_unrenewed(&newer).await;
    drop(older);
    assert_eq!(newer.attempts().await, [mine, waits]);
    assert_eq!(newer.exclusive(mine).await, order);
    assert_eq!(stage.traces_of(ghost).await, Vec::<String>::new());
    let states = newer.session.liveness().subscribe();
    sleep(newer.session.ttl()).await;
    let state = *states.borrow();
    assert!(matches!(state, Liveness::Live { .. }), "nobody disturbs it any more: {state:?}");
}

pub(super) async fn a_session_outlives_the_process_that_had_it(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (older, other) = (stage.seat().await, stage.direct_seat().await);
    let kept = credentials(&older);
    let [mine, theirs] = [(); 2].map(|()| stage.attempt());
    let order = older.exclusive(mine).await;
    other.exclusive(theirs).await;
    other.until("both are there", &[mine, theirs]).await;
    // As if the process had been killed: nothing of it arrives any more.
    stage.world.cut().await;
    sleep(older.session.ttl() / 4).await;
    let newer = resume(&stage, &kept).await;
    let never_gone = async {
        longer_than_unrenewed(&newer).await;
        longer_than_unrenewed(&newer).await;
    };
    tokio::select! {
        () = never_gone => {}
        () = other.gone(mine) => panic!("there was a gap"),
    }
    assert!(!older.session.liveness().is_alive());
    stage.world.heal().await;
    assert_eq!(newer.exclusive(mine).await, order);
    futures::join!(other.gone(mine), newer.withdraw(mine));
}

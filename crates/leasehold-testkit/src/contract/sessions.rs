//! Sessions: what is tied to them, renewal, the local deadline, close.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use leasehold_core::{
    BackendError, BackendErrorKind, Certainty, Contenders, Interest, Kind, Liveness, LockBackend, LossReason,
    Mode, OpenSession, Publish, RegisterWrite, Session,
};
use tokio::time::{Instant, sleep};

use super::World;
use super::stage::*;

pub(super) async fn an_ended_session_takes_its_entries_along(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, other) = (stage.seat().await, stage.seat().await);
    let [mine, also_mine, theirs] = [stage.attempt(), stage.attempt(), stage.attempt()];
    let elsewhere = Seat::new(Arc::clone(&seat.session), &stage.path("elsewhere"));
    seat.exclusive(mine).await;
    elsewhere.exclusive(also_mine).await;
    other.exclusive(theirs).await;
    other.until("both are there", &[mine, theirs]).await;
    let id = seat.session.id();
    futures::join!(other.gone(mine), stage.world.expire_session(&id));
    assert_eq!(other.attempts().await, [theirs]);
    stage.no_trace_of(mine).await;
    stage.no_trace_of(also_mine).await;

    let reason = soon("the loss is reported", seat.session.liveness().lost()).await;
    assert_eq!(reason, LossReason::SessionEnded);
    assert!(!seat.session.liveness().is_alive());
    for new in [mine, stage.attempt()] {
        let error = seat.try_enqueue(entry(new, Mode::Exclusive)).await.expect_err("the session is over");
        assert_eq!(error.kind(), BackendErrorKind::SessionLost, "{error:?}");
    }
    assert_eq!(other.attempts().await, [theirs]);
    assert!(other.session.liveness().is_alive(), "another's session is not concerned");
}

pub(super) async fn waiting_in_an_ended_session_is_in_vain(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, other) = (stage.seat().await, stage.seat().await);
    let [theirs, mine] = [stage.attempt(), stage.attempt()];
    other.exclusive(theirs).await;
    seat.exclusive(mine).await;
    let revision = seat.look().await.revision();
    let ends_with_the_session = async |interest| {
        // A wait may end early, but not for ever.
        soon("the wait ends with its session", async {
            loop {
                if let Err(error) = seat.queue.changed(interest).await {
                    return error.kind();
                }
                sleep(QUIET / 50).await;
            }
        })
        .await
    };
    let (by_entry, by_queue, ()) = futures::join!(
        ends_with_the_session(is_gone(theirs)),
        ends_with_the_session(Interest::Queue { revision }),
        async {
            sleep(QUIET / 5).await;
            stage.world.expire_session(&seat.session.id()).await;
        }
    );
    assert_eq!((by_entry, by_queue), (BackendErrorKind::SessionLost, BackendErrorKind::SessionLost));
    other.until("only theirs is left", &[theirs]).await;
}

pub(super) async fn a_session_outlives_many_ttls(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, other) = (stage.seat().await, stage.seat().await);
    let attempt = stage.attempt();
    let order = seat.exclusive(attempt).await;
    assert!(seat.session.ttl() >= stage.world.ttl());
    let end = Instant::now() + seat.session.ttl() * 3;
    while Instant::now() < end {
        assert!(seat.session.liveness().is_alive());
        sleep(QUIET / 5).await;
    }
    assert!(matches!(seat.session.liveness().current(), Liveness::Live { .. }), "nothing is amiss");
    assert_eq!(other.attempts().await, [attempt]);
    assert_eq!(seat.exclusive(attempt).await, order);
}

pub(super) async fn one_session_serves_many_queues(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    // What is asked for all at once takes the service a while, each request with all the others.
    let open = async || {
        let backend = stage.world.backend();
        let options = OpenSession { request_timeout: PATIENCE, ..stage.options(&backend) };
        soon("a session is opened", backend.open_session(options)).await.expect("the service is reached")
    };
    let (session, other) = (open().await, open().await);
    let rows: Vec<_> = (0..100)
        .map(|row| {
            let path = stage.path(&format!("row {row}"));
            let (seat, peer) = (Seat::new(Arc::clone(&session), &path), Seat::new(Arc::clone(&other), &path));
            (seat, peer, stage.attempt(), stage.attempt())
        })
        .collect();
    join_all(rows.iter().map(async |(seat, peer, first, second)| {
        seat.exclusive(*first).await;
        peer.exclusive(*second).await;
        futures::join!(peer.gone(*first), seat.withdraw(*first));
        assert_eq!(peer.attempts().await, [*second]);
    }))
    .await;
}

pub(super) async fn close_removes_everything(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, other) = (stage.seat().await, stage.seat().await);
    let [mine, withdrawn, elsewhere, theirs] = [(); 4].map(|()| stage.attempt());
    seat.exclusive(mine).await;
    Seat::new(Arc::clone(&seat.session), &stage.path("elsewhere")).enter(elsewhere, Mode::Shared).await;
    seat.withdraw_as(withdrawn, Certainty::Ambiguous).await;
    other.exclusive(theirs).await;
    soon("close ends", seat.session.close()).await;
    for attempt in [mine, withdrawn, elsewhere] {
        assert_eq!(stage.traces_of(attempt).await, Vec::<String>::new(), "gone when close returns");
    }
    assert!(!seat.session.liveness().is_alive(), "nobody may believe in a closed session");
    other.until("only theirs is left", &[theirs]).await;
    soon("a second close ends", seat.session.close()).await;
}

pub(super) async fn a_dropped_session_ends_within_its_ttl(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, other) = (stage.seat().await, stage.seat().await);
    let attempt = stage.attempt();
    seat.exclusive(attempt).await;
    other.until("it is there", &[attempt]).await;
    let ttl = seat.session.ttl();
    let Seat { session, queue } = seat;
    drop(session);
    // The handle of a queue does not keep the session alive.
    let dropped = Instant::now();
    other.gone(attempt).await;
    // Services look for what has expired now and then only: half a second in etcd, a tick in ZooKeeper.
    let limit = ttl + ttl / 2 + SLACK;
    assert!(dropped.elapsed() <= limit, "{:?} after it was dropped", dropped.elapsed());
    drop(queue);
}

pub(super) async fn a_cut_session_is_lost_here_before_it_is_there(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let observer = stage.direct_seat().await;
    let seat = stage.seat().await;
    let attempt = stage.attempt();
    seat.exclusive(attempt).await;
    observer.until("it is there", &[attempt]).await;
    // Not in step with the renewals.
    sleep(stage.world.ttl() * 4 / 7).await;
    let mut states = seat.session.liveness().subscribe();
    let suspected = states.wait_for(|state| !matches!(state, Liveness::Live { .. }));
    let cut_at = Instant::now();
    stage.world.cut().await;
    let state = *soon("trouble is reported", suspected).await.expect("the session is there");
    assert!(matches!(state, Liveness::Suspect { .. }), "first suspect: {state:?}");
    let after = cut_at.elapsed();
    assert!(after <= stage.world.ttl() / 2 + SLACK, "suspect only {after:?} after the cut");
    assert!(seat.session.liveness().is_alive(), "and not lost yet");
    let ((), reason) = futures::join!(
        async {
            observer.gone(attempt).await;
            assert!(!seat.session.liveness().is_alive(), "given away while its owner believes to hold it");
        },
        soon("the loss is reported", seat.session.liveness().lost())
    );
    assert_eq!(reason, LossReason::DeadlinePassed);
    stage.world.heal().await;
    sleep(QUIET).await;
    assert!(!seat.session.liveness().is_alive(), "lost is for good");
}

pub(super) async fn a_short_cut_is_survived(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, observer) = (stage.seat().await, stage.direct_seat().await);
    let [attempt, next] = [stage.attempt(), stage.attempt()];
    let order = seat.exclusive(attempt).await;
    let mut states = seat.session.liveness().subscribe();
    stage.world.cut().await;
    let suspect = states.wait_for(|state| !matches!(state, Liveness::Live { .. }));
    soon("trouble is reported", suspect).await.expect("the session is there");
    stage.world.heal().await;
    let settled = states.wait_for(|state| !matches!(state, Liveness::Suspect { .. }));
    let state = *soon("the trouble ends", settled).await.expect("the session is there");
    assert!(matches!(state, Liveness::Live { .. }), "{state:?}");
    let again = until_reached("a repeated enqueue", async || {
        seat.queue.enqueue(entry(attempt, Mode::Exclusive)).await.map(|placed| order_of(&placed))
    });
    assert_eq!(again.await, order);
    seat.exclusive(next).await;
    observer.until("both are there", &[attempt, next]).await;
}

pub(super) async fn an_opening_that_fails_says_so_in_time(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let open = async || {
        let backend = stage.world.backend();
        let connect_timeout = stage.world.ttl();
        let options = OpenSession { connect_timeout, ..stage.options(&backend) };
        let start = Instant::now();
        let opened = soon("open_session ends", backend.open_session(options)).await;
        (opened, start.elapsed())
    };
    stage.world.cut().await;
    let (failed, after) = open().await;
    let error = failed.map(drop).expect_err("the service is not reached");
    assert_eq!(error.kind(), BackendErrorKind::Unavailable, "{error:?}");
    assert!(after <= stage.world.ttl() + SLACK, "{after:?}");
    stage.world.heal().await;
    open().await.0.expect("the service is reached").close().await;
}

pub(super) async fn secrets_are_not_shown(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (session, backend) = (stage.open().await, stage.world.backend());
    let credentials = session.credentials().expect("it can be resumed");
    let secret = credentials.as_bytes();
    let texts = [
        String::from_utf8_lossy(secret).into_owned(),
        secret.iter().map(|byte| format!("{byte:02x}")).collect(),
        format!("{:?}", secret.to_vec()),
    ];
    let resume = OpenSession { resume: Some(credentials.clone()), ..stage.options(&backend) };
    session.close().await;
    let shown = format!("{backend:?} {credentials:?} {resume:?} {} {}", backend.endpoint(), session.id());
    let error = backend.open_session(resume).await.map(drop).expect_err("the session is over");
    assert_eq!(error.kind(), BackendErrorKind::SessionLost, "{error:?}");
    for text in texts {
        assert!(!shown.contains(&text) && !format!("{error:?} {error}").contains(&text));
    }
}

/// What needs no request may well succeed during a cut, and a session may have been lost meanwhile.
async fn ends_in_time<T>(
    seat: &Seat,
    limit: Duration,
    what: &str,
    operation: impl Future<Output = Result<T, BackendError>>,
) {
    let start = Instant::now();
    let answer = soon(what, operation).await;
    assert!(start.elapsed() <= limit, "{what} took {:?}", start.elapsed());
    if let Err(error) = answer {
        let lost = error.kind() == BackendErrorKind::SessionLost && !seat.session.liveness().is_alive();
        assert!(error.is_transient() || lost, "{what}: {error:?}");
    }
}

pub(super) async fn every_operation_ends_in_time(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let seat = stage.seat().await;
    let attempt = stage.attempt();
    seat.exclusive(attempt).await;
    stage.world.cut().await;
    let limit = stage.world.ttl() / 2 + SLACK;
    let register = stage.register("r");
    let session: &dyn Session = &*seat.session;
    let unconditional = RegisterWrite { value: "v".into(), if_version: None, if_held: None };
    let change = Publish { attempt, mode: Mode::Shared, value: "v".into(), if_version: None };
    let new = entry(stage.attempt(), Mode::Exclusive);
    let mut look = |_: &Contenders| {};
    let (seat, withdraw) = (&seat, seat.queue.withdraw(attempt, Certainty::Placed));
    futures::join!(
        ends_in_time(seat, limit, "enqueue", seat.queue.enqueue(new)),
        ends_in_time(seat, limit, "contenders", seat.queue.contenders(&mut look)),
        ends_in_time(seat, limit, "entries", seat.queue.entries()),
        ends_in_time(seat, limit, "publish", seat.queue.publish(change)),
        ends_in_time(seat, limit, "withdraw", withdraw),
        ends_in_time(seat, limit, "queues", session.queues(Kind::Lock)),
        ends_in_time(seat, limit, "read", session.read(&register)),
        ends_in_time(seat, limit, "write", session.write(&register, unconditional)),
    );
    let start = Instant::now();
    soon("close", session.close()).await;
    assert!(start.elapsed() <= limit, "close took {:?}", start.elapsed());
    stage.world.heal().await;
    stage.no_trace_of(attempt).await;
}

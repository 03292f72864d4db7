//! Cuts, restarts and lost replies.

use std::sync::Arc;

use leasehold_core::{BackendError, BackendErrorKind, Certainty, Interest, Mode, OpenSession, Withdrawn};
use tokio::time::sleep;

use super::World;
use super::stage::*;

/// A seat whose requests give up early, so that the session outlives one that does.
async fn impatient_seat(stage: &Stage) -> Seat {
    let backend = stage.world.backend();
    let options = OpenSession { request_timeout: stage.world.ttl() / 5, ..stage.options(&backend) };
    Seat::new(backend.open_session(options).await.expect("the service is reached"), &stage.path("q"))
}

pub(super) async fn a_change_during_a_cut_is_not_missed(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, other) = (stage.seat().await, stage.direct_seat().await);
    let [first, second] = [stage.attempt(), stage.attempt()];
    other.exclusive(first).await;
    other.exclusive(second).await;
    seat.until("both are there", &[first, second]).await;
    let revision = seat.look().await.revision();
    let wait = async |interest| soon("the wait survives the cut", seat.queue.changed(interest)).await;
    let second_s = Interest::Entry { attempt: second, mode: Mode::Exclusive, version: None };
    let (by_entry, by_mode, by_queue, ()) =
        futures::join!(wait(is_gone(first)), wait(second_s), wait(Interest::Queue { revision }), async {
            sleep(QUIET / 5).await;
            stage.world.cut().await;
            other.withdraw(first).await;
            other.publish(second, Mode::Shared, "v").await;
            sleep(QUIET / 5).await;
            stage.world.heal().await;
        });
    for wait in [by_entry, by_mode, by_queue] {
        wait.expect("waiting on is not in vain");
    }
    soon("and the change is seen", async {
        while seat.try_look().await.map_or(true, |seen| seen.len() != 1) {
            sleep(QUIET / 50).await;
        }
    })
    .await;
    assert_eq!(seat.look().await.get(second).map(|entry| entry.mode), Some(Mode::Shared));
}

pub(super) async fn a_change_after_a_cut_is_not_missed(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, other) = (stage.seat().await, stage.direct_seat().await);
    let theirs = stage.attempt();
    other.exclusive(theirs).await;
    seat.until("it is there", &[theirs]).await;
    let waits = async {
        // A wait may end early while the connection is broken.
        while seat.try_look().await.map_or(true, |seen| seen.get(theirs).is_some()) {
            seat.changed(is_gone(theirs)).await;
            sleep(QUIET / 50).await;
        }
    };
    futures::join!(soon("it is gone", waits), async {
        for _ in 0..3 {
            stage.world.cut().await;
            sleep(QUIET / 10).await;
            stage.world.heal().await;
            sleep(QUIET / 10).await;
        }
        sleep(QUIET).await;
        other.withdraw(theirs).await;
    });
}

pub(super) async fn an_entry_deleted_by_hand_is_noticed(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let seat = stage.seat().await;
    let [first, second] = [stage.attempt(), stage.attempt()];
    let order = seat.exclusive(first).await;
    seat.exclusive(second).await;
    let path = stage.path("q");
    futures::join!(seat.gone(first), seat.gone(second), stage.world.remove_queue(&path));
    assert_eq!(seat.attempts().await, []);
    assert_eq!(seat.withdraw(first).await, Withdrawn::WasGone);
    assert!(seat.session.liveness().is_alive());
    let third = stage.attempt();
    assert!(seat.exclusive(third).await > order, "the queue goes on");
    futures::join!(seat.gone(third), stage.world.remove_queue(&path));
}

/// The answer, or none if the session is over.
fn alive<T>(answer: Result<T, BackendError>) -> Result<Option<T>, BackendError> {
    match answer {
        Err(error) if error.kind() == BackendErrorKind::SessionLost => Ok(None),
        answer => answer.map(Some),
    }
}

pub(super) async fn a_restart_loses_nothing(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, other) = (stage.seat().await, stage.seat().await);
    let [first, second] = [stage.attempt(), stage.attempt()];
    let register = stage.register("r");
    let order = seat.exclusive(first).await;
    other.exclusive(second).await;
    other.until("both are there", &[first, second]).await;
    seat.session.write(&register, write("kept", None)).await.expect("written");
    let waits = soon("it is gone", async {
        while other.try_look().await.map_or(true, |seen| seen.get(first).is_some()) {
            if other.queue.changed(is_gone(first)).await.is_err() {
                break;
            }
            sleep(QUIET / 50).await;
        }
    });
    futures::join!(waits, async {
        stage.world.restart().await;
        // A service that takes longer than a TTL to start may end its sessions, and then says so.
        let unless_lost = |seat: &Seat| assert!(!seat.session.liveness().is_alive(), "lost though it lives");
        let again = until_reached("a repeated enqueue", async || {
            alive(seat.queue.enqueue(entry(first, Mode::Exclusive)).await.map(|placed| order_of(&placed)))
        });
        again.await.map_or_else(|| unless_lost(&seat), |again| assert_eq!(again, order, "the same entry"));
        let read = until_reached("a read", async || alive(other.session.read(&register).await)).await;
        let value = |read: Option<leasehold_core::Versioned>| read.map(|read| read.value);
        read.map_or_else(|| unless_lost(&other), |read| assert_eq!(value(read), Some("kept".into())));
        let leave = async || alive(seat.queue.withdraw(first, Certainty::Placed).await);
        if until_reached("a withdrawal", leave).await.is_none() {
            unless_lost(&seat);
        }
    });
    let later = stage.seat().await;
    assert!(later.exclusive(stage.attempt()).await > order, "orders grow over a restart");
}

pub(super) async fn a_lost_reply_leaves_one_entry(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, observer) = (impatient_seat(&stage).await, stage.direct_seat().await);
    let [mine, theirs, earlier] = [stage.attempt(), stage.attempt(), stage.attempt()];
    // A backend may have to make the queue's place first; the reply that is lost shall be the entry's.
    observer.exclusive(earlier).await;
    observer.withdraw(earlier).await;
    // The session begins with a fresh deadline; the request gives up before that passes.
    stage.world.cut_replies().await;
    let error = seat.try_enqueue(entry(mine, Mode::Exclusive)).await.expect_err("nobody answers");
    assert_eq!(error.kind(), BackendErrorKind::Indeterminate, "it may have arrived: {error:?}");
    stage.world.heal().await;
    observer.until_entry(mine, "the request arrived", |mode| mode.is_some()).await;
    let order = until_reached("the enqueue is repeated", async || {
        seat.queue.enqueue(entry(mine, Mode::Exclusive)).await.map(|placed| order_of(&placed))
    })
    .await;
    observer.exclusive(theirs).await;
    assert_eq!(observer.attempts().await, [mine, theirs], "one entry, whose place is kept");
    assert_eq!(observer.entry(mine).await.order, order);
    assert!(seat.session.liveness().is_alive());
}

pub(super) async fn a_lost_reply_of_a_withdrawal_can_be_repeated(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, observer) = (impatient_seat(&stage).await, stage.direct_seat().await);
    let [mine, theirs] = [stage.attempt(), stage.attempt()];
    seat.exclusive(mine).await;
    observer.exclusive(theirs).await;
    stage.world.cut_replies().await;
    let error = soon("a withdrawal ends", seat.queue.withdraw(mine, Certainty::Placed)).await;
    let error = error.expect_err("nobody answers");
    assert_eq!(error.kind(), BackendErrorKind::Indeterminate, "{error:?}");
    stage.world.heal().await;
    until_reached("the withdrawal is repeated", async || seat.queue.withdraw(mine, Certainty::Placed).await)
        .await;
    observer.until("it is gone", &[theirs]).await;
    assert!(seat.session.liveness().is_alive());
}

pub(super) async fn a_write_is_never_repeated(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, observer) = (impatient_seat(&stage).await, stage.open_direct().await);
    let register = stage.register("r");
    // A backend may have to make the register's place first; the reply that is lost shall be the write's.
    observer.write(&register, write("before", None)).await.expect("written");
    stage.world.cut_replies().await;
    let error = soon("a write ends", seat.session.write(&register, write("once", None))).await;
    let error = error.expect_err("nobody answers");
    assert_eq!(error.kind(), BackendErrorKind::Indeterminate, "{error:?}");
    soon("the request arrived", async {
        loop {
            let read = observer.read(&register).await.expect("read").expect("it is there");
            if read.value == "once" {
                return;
            }
            observer.register_changed(&register, read.version).await.expect("the wait ends well");
        }
    })
    .await;
    observer.write(&register, write("since then", None)).await.expect("written");
    stage.world.heal().await;
    sleep(stage.world.ttl()).await;
    let read = observer.read(&register).await.expect("read").expect("it is there");
    assert_eq!(read.value, "since then", "nobody wrote it a second time");
}

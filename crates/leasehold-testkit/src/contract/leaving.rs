//! Withdrawal, of one's own entry and another's; withdrawn is final.

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{BackendErrorKind, Certainty, Mode, NewEntry, Withdrawn};
use tokio::time::sleep;

use super::World;
use super::stage::*;
use crate::polls::poll_times;

pub(super) async fn a_withdrawal_removes_exactly_one_entry(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, other) = (stage.seat().await, stage.seat().await);
    let [a, b, c] = [stage.attempt(), stage.attempt(), stage.attempt()];
    for attempt in [a, b, c] {
        seat.exclusive(attempt).await;
    }
    assert_eq!(seat.withdraw(b).await, Withdrawn::Removed);
    assert_eq!(seat.attempts().await, [a, c]);
    assert_eq!(seat.withdraw(b).await, Withdrawn::WasGone);
    assert_eq!(other.withdraw(b).await, Withdrawn::WasGone);
    assert_eq!(seat.withdraw(stage.attempt()).await, Withdrawn::WasGone);
    other.until("others see it too", &[a, c]).await;
    stage.no_trace_of(b).await;
}

pub(super) async fn another_s_entry_can_be_withdrawn(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (owner, breaker) = (stage.seat().await, stage.seat().await);
    let [broken, behind] = [stage.attempt(), stage.attempt()];
    owner.exclusive(broken).await;
    owner.exclusive(behind).await;
    owner.until("both are there", &[broken, behind]).await;
    let (withdrawn, ()) = futures::join!(breaker.withdraw(broken), owner.gone(broken));
    assert_eq!(withdrawn, Withdrawn::Removed);
    assert_eq!(owner.attempts().await, [behind]);
    assert_eq!(owner.withdraw(broken).await, Withdrawn::WasGone);
    assert!(owner.session.liveness().is_alive(), "its session is not concerned");
}

pub(super) async fn withdrawn_is_final(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, other) = (stage.seat().await, stage.seat().await);
    let [never_there, was_there, bystander] = [stage.attempt(), stage.attempt(), stage.attempt()];
    seat.exclusive(was_there).await;
    seat.exclusive(bystander).await;
    assert_eq!(seat.withdraw_as(never_there, Certainty::Ambiguous).await, Withdrawn::WasGone);
    assert_eq!(seat.withdraw_as(was_there, Certainty::Ambiguous).await, Withdrawn::Removed);
    assert_eq!(seat.withdraw_as(was_there, Certainty::Ambiguous).await, Withdrawn::WasGone);
    for attempt in [never_there, was_there] {
        for only_if_free in [false, true] {
            // What a request does that was on its way all the time.
            let late = NewEntry { only_if_free, ..entry(attempt, Mode::Exclusive) };
            let error = seat.try_enqueue(late).await.expect_err("it is withdrawn");
            assert_eq!(error.kind(), BackendErrorKind::Withdrawn, "{error:?}");
        }
    }
    for seat in [&seat, &other] {
        seat.until("what keeps them out is no contender", &[bystander]).await;
        assert_eq!(seat.entries().await.len(), 1);
    }
    seat.session.close().await;
    for attempt in [never_there, was_there, bystander] {
        stage.no_trace_of(attempt).await;
    }
}

pub(super) async fn what_keeps_attempts_out_keeps_nobody_else_out(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, other) = (stage.seat().await, stage.seat().await);
    seat.withdraw_as(stage.attempt(), Certainty::Ambiguous).await;
    assert_eq!(seat.session.queues(leasehold_core::Kind::Lock).await.expect("listed"), []);
    assert!(seat.enter_if_free(stage.attempt(), Mode::Exclusive).await.is_some(), "the queue is free");
    assert!(other.exclusive(stage.attempt()).await > 0);
}

pub(super) async fn a_dropped_enqueue_can_be_withdrawn(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, other) = (stage.seat().await, stage.seat().await);
    let mut dropped = Vec::new();
    for polls in 0..64 {
        let attempt = stage.attempt();
        let new = NewEntry { only_if_free: polls % 2 == 1, ..entry(attempt, Mode::Exclusive) };
        let finished = poll_times(seat.queue.enqueue(new), polls, QUIET / 10).await;
        dropped.push(attempt);
        seat.withdraw_as(attempt, Certainty::Ambiguous).await;
        assert!(seat.look().await.get(attempt).is_none(), "dropped after {polls} polls");
        if let Some(finished) = finished {
            finished.expect("an enqueue succeeds");
            break;
        }
        assert!(polls < 63, "an enqueue ends");
    }
    // Whatever was on its way has arrived by now.
    sleep(QUIET + Duration::from_millis(100)).await;
    assert_eq!(seat.attempts().await, []);
    other.until("nothing is there", &[]).await;
    seat.session.close().await;
    for attempt in dropped {
        stage.no_trace_of(attempt).await;
    }
}

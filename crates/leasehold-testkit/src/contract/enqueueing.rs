//! Entering a queue: order, idempotence, only if it is free; what the session then sees.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use leasehold_core::{AttemptId, Certainty, Enqueued, Mode, NewEntry, Publish, Withdrawn};

use super::World;
use super::stage::*;

pub(super) async fn an_entry_goes_to_the_end(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let seats = [stage.seat().await, stage.seat().await];
    let attempts: Vec<_> = (0..6).map(|_| stage.attempt()).collect();
    let mut orders = Vec::new();
    for (place, attempt) in attempts.iter().enumerate() {
        let placed = seats[place % 2].try_enqueue(entry(*attempt, Mode::Exclusive)).await.expect("placed");
        orders.push(order_of(&placed));
        if let Enqueued::Placed { contenders: Some(contenders), .. } = &placed {
            let seen: Vec<_> = contenders.iter().map(|entry| entry.attempt).collect();
            assert_eq!(seen, attempts[..=place], "what comes with the answer is as of the enqueue or later");
        }
        let own = seats[place % 2].look().await.get(*attempt).expect("I see my entry");
        assert_eq!(own.mode, Mode::Exclusive);
    }
    assert!(orders.is_sorted_by(|a, b| a < b), "the orders grow: {orders:?}");
    for seat in &seats {
        seat.until("both sessions see the same queue", &attempts).await;
        let orders_read: Vec<_> = seat.entries().await.iter().map(|entry| entry.order).collect();
        assert_eq!(orders_read, orders);
    }
}

pub(super) async fn a_repeated_enqueue_answers_the_same_place(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let seat = stage.seat().await;
    let [first, second] = [stage.attempt(), stage.attempt()];
    let order = seat.exclusive(first).await;
    seat.exclusive(second).await;
    for only_if_free in [false, true] {
        let again = NewEntry { only_if_free, ..entry(first, Mode::Exclusive) };
        assert_eq!(order_of(&seat.try_enqueue(again).await.expect("placed")), order);
    }
    let racing = stage.attempt();
    let orders = join_all((0..8).map(|_| seat.exclusive(racing))).await;
    assert!(orders.iter().all(|order| *order == orders[0]), "one place: {orders:?}");
    assert_eq!(seat.attempts().await, [first, second, racing]);
}

pub(super) async fn orders_grow_whatever_happened(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let mut seat = stage.seat().await;
    let mut last = 0;
    for round in 0..8 {
        let attempt = stage.attempt();
        let order = seat.exclusive(attempt).await;
        assert!(order > last, "round {round}: {order} after {last}");
        last = order;
        match round % 4 {
            0 => drop(seat.withdraw(attempt).await),
            1 => stage.world.remove_queue(&stage.path("q")).await,
            2 => {
                seat.session.close().await;
                seat = stage.seat().await;
            }
            _ => {
                stage.world.expire_session(&seat.session.id()).await;
                seat = stage.seat().await;
            }
        }
        seat.until("it is empty again", &[]).await;
    }
}

pub(super) async fn a_busy_queue_is_left_alone(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (holder, other) = (stage.seat().await, stage.seat().await);
    let [held, tried] = [stage.attempt(), stage.attempt()];
    assert!(holder.enter_if_free(held, Mode::Exclusive).await.is_some(), "an empty queue is free");
    for mode in [Mode::Exclusive, Mode::Shared, Mode::Permits { count: 1, limit: 3, granted: false }] {
        for seat in [&holder, &other] {
            assert_eq!(seat.enter_if_free(tried, mode).await, None, "{mode}");
            assert_eq!(seat.attempts().await, [held], "{mode}");
        }
    }
    stage.no_trace_of(tried).await;
    holder.withdraw(held).await;
    other.gone(held).await;
    assert!(other.enter_if_free(stage.attempt(), Mode::Exclusive).await.is_some(), "free again");
}

pub(super) async fn who_is_admitted_gets_in(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let seat = stage.seat().await;
    let permits = |count| Mode::Permits { count, limit: 3, granted: false };
    let of_four = Mode::Permits { count: 1, limit: 4, granted: false };
    // Each row: who is there, and then who gets in and who does not.
    let rows = [
        (vec![Mode::Shared, Mode::Shared], Mode::Shared, true),
        (vec![Mode::Shared], Mode::Exclusive, false),
        (vec![Mode::Shared, Mode::Exclusive], Mode::Shared, false),
        (vec![permits(1)], permits(2), true),
        (vec![permits(1), permits(1)], permits(2), false),
        (vec![permits(3)], permits(1), false),
        // Who does not agree on the limit takes all, and so does who wants no permits.
        (vec![of_four], permits(1), false),
        (vec![permits(1)], of_four, false),
        (vec![Mode::Shared], permits(1), false),
    ];
    for (row, (there, mode, admitted)) in rows.into_iter().enumerate() {
        let seat = Seat::new(Arc::clone(&seat.session), &stage.path(&format!("row {row}")));
        for mode in &there {
            seat.enter(stage.attempt(), *mode).await;
        }
        let answer = seat.enter_if_free(stage.attempt(), mode).await;
        assert_eq!(answer.is_some(), admitted, "{mode} behind {there:?}");
        let modes: Vec<_> = seat.look().await.iter().map(|entry| entry.mode).collect();
        assert_eq!(modes.len(), there.len() + usize::from(admitted), "{mode} behind {there:?}");
        assert_eq!(modes[..there.len()], there);
    }
}

pub(super) async fn who_wants_permits_is_shown_who_was_met(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let [there, trying] = [stage.seat().await, stage.seat().await];
    let permits = |limit| Mode::Permits { count: limit, limit, granted: false };
    for limit in 1..=20 {
        // What this session knows of the queue by itself is older than what it is going to meet.
        trying.look().await;
        let met = stage.attempt();
        there.enter(met, permits(limit)).await;
        let new = NewEntry { only_if_free: true, ..entry(stage.attempt(), permits(limit + 1)) };
        match trying.try_enqueue(new).await.expect("an enqueue succeeds") {
            Enqueued::Busy { contenders } => {
                let contenders = contenders.expect("the contenders that were met");
                let seen: Vec<_> = contenders.iter().map(|entry| (entry.attempt, entry.mode)).collect();
                assert_eq!(seen, [(met, permits(limit))]);
            }
            Enqueued::Placed { .. } => panic!("placed beside one who has all"),
        }
        assert_eq!(there.withdraw(met).await, Withdrawn::Removed);
    }
}

pub(super) async fn of_many_that_try_at_most_one_gets_in(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let seats = join_all((0..4).map(|_| stage.seat())).await;
    let mut last = 0;
    for _ in 0..10 {
        let attempts: Vec<_> = (0..8).map(|_| stage.attempt()).collect();
        let tries = attempts.iter().zip(seats.iter().cycle());
        let orders =
            join_all(tries.map(|(attempt, seat)| seat.enter_if_free(*attempt, Mode::Exclusive))).await;
        let placed: Vec<_> =
            attempts.iter().zip(orders).filter_map(|(a, order)| Some((*a, order?))).collect();
        assert!(placed.len() <= 1, "exclusive, and placed together: {placed:?}");
        let left: Vec<AttemptId> = placed.iter().map(|(attempt, _)| *attempt).collect();
        seats[0].until("nothing is there but who got in", &left).await;
        for (attempt, order) in placed {
            assert!(order > last);
            last = order;
            seats[0].withdraw(attempt).await;
            for seat in &seats {
                seat.gone(attempt).await;
            }
        }
    }
}

pub(super) async fn a_session_reads_its_own_writes(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, other) = (stage.seat().await, stage.seat().await);
    let mut revision = seat.look().await.revision();
    let mut grew = |contenders: &leasehold_core::Contenders, what: &str| {
        assert!(contenders.revision() > revision, "the revision grows with: {what}");
        revision = contenders.revision();
    };
    for round in 0..20 {
        let [mine, theirs] = [stage.attempt(), stage.attempt()];
        seat.exclusive(mine).await;
        let seen = seat.look().await;
        assert!(seen.get(mine).is_some(), "round {round}: my enqueue has returned");
        grew(&seen, "an entry");

        seat.publish(mine, Mode::Shared, "changed").await;
        let seen = seat.look().await;
        assert_eq!(
            seen.get(mine).map(|e| e.mode),
            Some(Mode::Shared),
            "round {round}: my publish has returned"
        );
        grew(&seen, "a mode");

        other.exclusive(theirs).await;
        seat.until_entry(theirs, "theirs arrives", |mode| mode.is_some()).await;
        let (gone, ()) = futures::join!(soon("the wait ends", seat.queue.changed(is_gone(theirs))), async {
            other.withdraw(theirs).await;
        });
        gone.expect("the wait ends well");
        // A wait may end early, so this looks again as every waiter does.
        seat.gone(theirs).await;
        grew(&seat.look().await, "a withdrawal by another session");

        seat.withdraw(mine).await;
        let seen = seat.look().await;
        assert!(seen.get(mine).is_none(), "round {round}: my withdrawal has returned");
        grew(&seen, "a withdrawal");
    }
}

pub(super) async fn entries_carry_modes_and_values(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let (seat, other) = (stage.seat().await, stage.seat().await);
    let every_byte: Vec<u8> = (0..=255).collect();
    let rows: [(Mode, Bytes); 6] = [
        (Mode::Exclusive, Bytes::new()),
        (Mode::Shared, Bytes::from(every_byte)),
        (Mode::Permits { count: 1, limit: 1, granted: false }, Bytes::from_static(b"\n\nx\n\0")),
        (Mode::Permits { count: 3, limit: u32::MAX, granted: true }, Bytes::from(vec![0xff; 4096])),
        (Mode::Exclusive, Bytes::from("锁 🔒")),
        (Mode::Shared, Bytes::from(vec![0; 10])),
    ];
    let mut expected = Vec::new();
    for (mode, value) in rows {
        let attempt = stage.attempt();
        let new = NewEntry { attempt, mode, value: value.clone(), only_if_free: false };
        let order = order_of(&seat.try_enqueue(new).await.expect("placed"));
        expected.push((attempt, order, mode, value));
    }
    for seat in [&seat, &other] {
        let entries = seat.entries().await;
        assert!(entries.iter().all(|entry| entry.version > 0));
        let read: Vec<_> = entries.into_iter().map(|e| (e.attempt, e.order, e.mode, e.value)).collect();
        assert_eq!(read, expected);
    }
    let modes: Vec<_> = seat.look().await.iter().map(|entry| entry.mode).collect();
    assert!(modes.into_iter().eq(expected.iter().map(|(_, _, mode, _)| *mode)));
}

pub(super) async fn a_value_that_is_too_large_is_refused(world: Arc<dyn World>) {
    let stage = Stage::new(world);
    let seat = stage.seat().await;
    let [refused, there] = [stage.attempt(), stage.attempt()];
    let too_large = Bytes::from(vec![b'x'; stage.world.backend().capabilities().max_value_bytes + 1]);
    let new = NewEntry { value: too_large.clone(), ..entry(refused, Mode::Exclusive) };
    let kind = |error: leasehold_core::BackendError| error.kind();
    let expected = leasehold_core::BackendErrorKind::TooLarge;
    assert_eq!(seat.try_enqueue(new).await.map_err(kind).err(), Some(expected));
    seat.exclusive(there).await;
    let change =
        Publish { attempt: there, mode: Mode::Exclusive, value: too_large.clone(), if_version: None };
    assert_eq!(seat.try_publish(change).await.map_err(kind).err(), Some(expected));
    let register = stage.register("r");
    assert_eq!(
        seat.session.write(&register, write(too_large, None)).await.map_err(kind).err(),
        Some(expected)
    );
    assert_eq!(seat.attempts().await, [there]);
    assert_eq!(seat.session.read(&register).await.expect("it is read"), None);
    assert!(seat.session.liveness().is_alive());
    seat.withdraw_as(refused, Certainty::Ambiguous).await;
}

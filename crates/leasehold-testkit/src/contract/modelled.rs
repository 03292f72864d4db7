//! A random history of one queue, step by step beside a model.

use std::sync::Arc;

use bytes::Bytes;
use leasehold_core::{
    AttemptId, BackendErrorKind, Certainty, Enqueued, Interest, Mode, NewEntry, Publish, Published, Withdrawn,
};

use super::World;
use super::stage::*;
use crate::conformance::Dice;

const SEATS: usize = 3;
const STEPS: usize = 80;

/// An entry as it has to be.
#[derive(Debug, Clone, PartialEq)]
struct Modelled {
    attempt: AttemptId,
    seat: usize,
    order: u64,
    mode: Mode,
    value: Bytes,
    version: u64,
}

/// What the queue has to be.
#[derive(Default)]
struct Model {
    entries: Vec<Modelled>,
    /// Attempts that had an entry and have none, or never had one.
    gone: Vec<AttemptId>,
    newest: u64,
}

impl Model {
    fn admits(&self, mode: Mode) -> bool {
        let weight = |other: Mode, limit| match other {
            Mode::Permits { count, limit: theirs, .. } if theirs == limit => count,
            _ => limit,
        };
        match mode {
            Mode::Exclusive => self.entries.is_empty(),
            Mode::Shared => self.entries.iter().all(|entry| entry.mode == Mode::Shared),
            Mode::Permits { count, limit, .. } => {
                count + self.entries.iter().map(|entry| weight(entry.mode, limit)).sum::<u32>() <= limit
            }
        }
    }

    fn leave(&mut self, at: usize) {
        self.gone.push(self.entries.remove(at).attempt);
    }
}

fn any_mode(dice: &mut Dice) -> Mode {
    let permits = |count, limit| Mode::Permits { count, limit, granted: false };
    dice.one_of(&[Mode::Exclusive, Mode::Shared, Mode::Shared, permits(1, 3), permits(2, 3), permits(1, 4)])
}

pub(super) async fn whatever_is_done_the_queue_is_as_the_model_says(world: Arc<dyn World>) {
    let mut dice = Dice::of_the_environment("whatever_is_done_the_queue_is_as_the_model_says");
    let stage = Stage::new(world);
    let mut seats = Vec::new();
    for _ in 0..SEATS {
        seats.push(stage.seat().await);
    }
    let mut model = Model::default();
    let mut history = Vec::new();
    for step in 0..STEPS {
        let acting = dice.below(SEATS);
        let seat = &seats[acting];
        let what = dice.below(12);
        history.push((acting, what));
        follow(seat, &model).await;
        let at = (!model.entries.is_empty()).then(|| dice.below(model.entries.len()));
        match (what, at) {
            (0..=3, _) => {
                let (attempt, mode, only_if_free) =
                    (stage.attempt(), any_mode(&mut dice), dice.below(3) == 0);
                let value = Bytes::from(format!("step {step}"));
                let new = NewEntry { attempt, mode, value: value.clone(), only_if_free };
                match seat.try_enqueue(new).await.expect("an enqueue succeeds") {
                    Enqueued::Placed { order, .. } => {
                        assert!(!only_if_free || model.admits(mode), "{mode} got in: {history:?}");
                        assert!(order > model.newest, "orders grow: {history:?}");
                        model.newest = order;
                        let version = order;
                        model.entries.push(Modelled { attempt, seat: acting, order, mode, value, version });
                    }
                    Enqueued::Busy { .. } => {
                        assert!(only_if_free && !model.admits(mode), "{mode} was kept out: {history:?}");
                        model.gone.push(attempt);
                    }
                }
            }
            (4, Some(at)) => {
                // By the session that has it; of another's attempts nobody is asked.
                let entry = &model.entries[at];
                let again = seats[entry.seat].exclusive(entry.attempt).await;
                assert_eq!(again, entry.order, "the same place: {history:?}");
            }
            (5 | 6, Some(at)) => {
                let certainty = dice.one_of(&[Certainty::Placed, Certainty::Ambiguous]);
                let withdrawn = seat.withdraw_as(model.entries[at].attempt, certainty).await;
                assert_eq!(withdrawn, Withdrawn::Removed, "{history:?}");
                model.leave(at);
            }
            (7, _) if !model.gone.is_empty() => {
                let attempt = model.gone[dice.below(model.gone.len())];
                assert_eq!(seat.withdraw(attempt).await, Withdrawn::WasGone, "{history:?}");
                let change = Publish { attempt, mode: Mode::Shared, value: Bytes::new(), if_version: None };
                let refused = seat.try_publish(change).await.expect_err("there is no entry");
                assert_eq!(refused.kind(), BackendErrorKind::NoEntry, "{history:?}");
            }
            (8 | 9, Some(at)) => {
                let entry = &mut model.entries[at];
                let if_version = dice.one_of(&[None, Some(entry.version), Some(entry.version + 1)]);
                // Whose entry it is not leaves the mode as it is.
                let mode = if entry.seat == acting { any_mode(&mut dice) } else { entry.mode };
                let value = Bytes::from(format!("changed in step {step}"));
                let change = Publish { attempt: entry.attempt, mode, value: value.clone(), if_version };
                match seat.try_publish(change).await.expect("a publication succeeds") {
                    Published::Done { version } => {
                        assert_ne!(if_version, Some(entry.version + 1), "{history:?}");
                        assert!(version > entry.version, "versions grow: {history:?}");
                        model.newest = model.newest.max(entry.order);
                        (entry.mode, entry.value, entry.version) = (mode, value, version);
                    }
                    Published::VersionDiffers => {
                        assert_eq!(if_version, Some(entry.version + 1), "{history:?}");
                    }
                }
            }
            (10, _) => {
                soon("close ends", seat.session.close()).await;
                seats[acting] = stage.seat().await;
                while let Some(at) = model.entries.iter().position(|entry| entry.seat == acting) {
                    model.leave(at);
                }
            }
            _ => {}
        }
        // Any session reads what is there.
        let read = seats[dice.below(SEATS)].entries().await;
        let read: Vec<_> =
            read.into_iter().map(|e| (e.attempt, e.order, e.mode, e.value, e.version)).collect();
        let expected = model.entries.iter().cloned();
        let expected: Vec<_> = expected.map(|e| (e.attempt, e.order, e.mode, e.value, e.version)).collect();
        assert_eq!(read, expected, "{history:?}");
    }
    for seat in &seats {
        follow(seat, &model).await;
    }
}

/// Waits until the session's copy of the queue is as the model.
async fn follow(seat: &Seat, model: &Model) {
    let expected = || model.entries.iter().map(|entry| (entry.attempt, entry.mode));
    soon("the copy follows", async {
        loop {
            let seen = seat.look().await;
            if seen.iter().map(|entry| (entry.attempt, entry.mode)).eq(expected()) {
                return;
            }
            seat.changed(Interest::Queue { revision: seen.revision() }).await;
        }
    })
    .await;
}

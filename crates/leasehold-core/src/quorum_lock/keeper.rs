//! Keeping a quorum lock: the task that owns the members' guards.
//!
//! # Implementation
//!
//! One task a guard, on the driver of a member that is held. It owns the members' guards and, for each other member, the
//! acquisition by which that one is to come back; the quorum's guard owns the sending end of one channel. A message there is a
//! release, its closing a drop; the acquisitions under way are dropped first then, so nothing of the lock comes to be
//! afterwards.
//!
//! Each member has one future here: that of its end while it is held, that of its acquisition while it is not. With each end the state is
//! looked at, which tells a loss. From then on no member is taken again, and those left are kept, for the holder to clean up under.
//!
//! *Waiting for a member again blocks nobody for long.* The keeper waits in the member's queue like everybody, but the holder
//! needs nothing of it: it is no link of a circle of waiters (see [`super`]).
//!
//! *What does not come back.* A member that an administrator broke: the word of an administrator stands, also of one that
//! breaks the lock member by member. A member whose coordinator shuts down: it is given up as soon as that begins, if the
//! others are enough, so that its shutdown need not wait; otherwise the work is asked to stop, and the shutdown waits for it as
//! for any holder.
//!
//! Dropped with its runtime, the task says that it is gone before it drops the guards.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::oneshot;

use super::QuorumLock;
use super::asking::Question;
use super::guard::{Report, release};
use super::held::State;
use crate::acquisition::Patience;
use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind};
use crate::guard::HeldGuard;
use crate::held::Held;
use crate::liveness::LossReason;

/// How long a member that refuses is left alone, at the most.
const REFUSED: Duration = Duration::from_secs(10);

/// Asks for everything to be released.
pub(super) type Release = oneshot::Sender<Report>;

enum Event {
    /// What a member has said.
    Asked(usize, Result<Option<HeldGuard>, Error>),
    Ended(usize, LossReason),
    /// The member's coordinator asks for it.
    Unwanted(usize),
}

pub(super) struct Keeper {
    state: Arc<State>,
    lock: QuorumLock,
    taken: Vec<Option<HeldGuard>>,
    events: FuturesUnordered<BoxFuture<'static, Event>>,
}

impl Keeper {
    /// Of the members that are held and of questions to others that are not answered yet. It asks those that are left.
    pub(super) fn new(
        state: Arc<State>,
        lock: QuorumLock,
        taken: Vec<Option<HeldGuard>>,
        pending: FuturesUnordered<Question>,
    ) -> Self {
        let mut keeper = Self { state, lock, taken: Vec::new(), events: FuturesUnordered::new() };
        let mut to_ask: BTreeSet<_> = (0..taken.len()).collect();
        for question in pending {
            to_ask.remove(&question.at);
            keeper.events.push(asked(question).boxed());
        }
        for (at, guard) in taken.iter().enumerate() {
            if let Some(guard) = guard {
                to_ask.remove(&at);
                keeper.events.push(end(at, guard.held().clone()));
            }
        }
        keeper.taken = taken;
        to_ask.into_iter().for_each(|at| keeper.ask(at, Duration::ZERO));
        keeper
    }

    pub(super) async fn run(mut self, mut released: oneshot::Receiver<Release>) {
        loop {
            tokio::select! {
                biased;
                release = &mut released => return self.release(release.ok()).await,
                Some(event) = self.events.next() => self.hear(event),
            }
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Asked(at, Ok(Some(guard))) => {
                let held = guard.held().clone();
                if self.state.seat(at, held.clone()) {
                    self.taken[at] = Some(guard);
                    self.events.push(end(at, held));
                }
            }
            Event::Asked(at, Ok(None)) => self.ask(at, Duration::ZERO),
            Event::Asked(at, Err(error)) => match error.kind() {
                ErrorKind::Closed => {}
                _ if error.is_retryable() => self.ask(at, Duration::ZERO),
                _ => self.ask(at, Backoff::new(REFUSED, REFUSED).next_delay()),
            },
            Event::Ended(at, reason) => {
                self.taken[at] = None;
                // Whatever the reason, so that a loss is told.
                self.state.look();
                if !matches!(reason, LossReason::ForceReleased | LossReason::ShutDown) {
                    self.ask(at, Duration::ZERO);
                }
            }
            Event::Unwanted(at) => self.part_with(at),
        }
    }

    /// Asks a member after that time, and waits in its queue, unless all is over.
    fn ask(&mut self, at: usize, after: Duration) {
        if self.state.look().is_some() {
            return;
        }
        let question = Question::new(&self.lock, at, "lock", Patience::Forever);
        let ask = async move {
            if !after.is_zero() {
                tokio::time::sleep(after).await;
            }
            asked(question).await
        };
        self.events.push(ask.boxed());
    }

    /// A member's coordinator shuts down: gives the member up, or if it is needed asks the work to stop.
    fn part_with(&mut self, at: usize) {
        let others = self.taken.iter().enumerate().filter(|(other, _)| *other != at);
        let held = others.filter(|(_, guard)| guard.as_ref().is_some_and(|guard| guard.held().is_held()));
        if held.count() >= self.lock.majority() {
            self.taken[at] = None;
            return;
        }
        self.state.ask_to_stop();
        if let Some(guard) = &self.taken[at] {
            let lost = guard.held().lost();
            self.events.push(async move { Event::Ended(at, lost.await) }.boxed());
        }
    }

    async fn release(mut self, report: Option<Release>) {
        self.events.clear();
        let taken = (self.taken.iter_mut().zip(&*self.lock.members))
            .filter_map(|(taken, member)| Some((member.label.clone(), taken.take()?)))
            // What is lost by now, and was not heard of, has told so by itself.
            .filter(|(_, guard)| guard.held().is_held())
            .collect();
        if let Some(report) = report {
            let spare = self.lock.members.len() - self.lock.majority();
            // Whoever asked may be gone.
            let _ = report.send(release(taken, spare, self.lock.member_timeout).await);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.state.end(LossReason::DriverGone);
    }
}

async fn asked(question: Question) -> Event {
    let (at, answer) = question.await;
    Event::Asked(at, answer)
}

/// Resolves when the member is held no longer, or should not be.
fn end(at: usize, held: Held) -> BoxFuture<'static, Event> {
    let (lost, stop) = (held.lost(), held.cancellation_token());
    async move {
        tokio::select! {
            biased;
            reason = lost => Event::Ended(at, reason),
            () = stop.cancelled() => match held.state().ended() {
                Some(reason) => Event::Ended(at, reason),
                None => Event::Unwanted(at),
            },
        }
    }
    .boxed()
}

//! What the holder of a quorum lock knows of its holds.
//!
//! # Implementation
//!
//! *When it is held.* At an instant at which a majority of members is held by this holder, each by its own local deadline, and
//! never again after one at which that was not so. If k members are held with the deadlines d₁ ≥ d₂ ≥ … ≥ dₖ and m is a
//! majority, then fewer than m are left from dₘ on and not before: **the deadline of the whole is the m-th largest one**, and
//! it moves with every renewal of any member. Redlock takes the smallest of all, one validity that begins with the acquisition.
//! That is safe and too little: a member more than needed, or a slow one, would make the lock last shorter instead of longer.
//! The deadline is not stored: to count the members that are held now says the same, and cannot be out of date. Drift is taken
//! off by each member, in its own.
//!
//! *Never again.* A member that is taken again must not bring back a lock that was lost meanwhile, unseen: between the two
//! counts another holder may have come and gone. Without members that are taken again the count only falls. So it is looked at,
//! under the mutex, right before each member that comes in ([`State::seat`]), and what is below the majority then stays lost.
//! Whoever notices first (the keeper that is woken by each member's end, or who asks) decides for all.
//!
//! *Who is told.* [`State::look`] sets the end under the mutex and cancels the tokens after it, so whoever is woken sees the end.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::held::Held;
use crate::liveness::LossReason;

/// What is known of a member of a held [`QuorumLock`](crate::QuorumLock).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuorumMember {
    /// Its label.
    pub label: String,
    /// Whether it is held.
    pub is_held: bool,
    /// Why it is not held any more, if it was.
    pub loss: Option<LossReason>,
}

impl fmt::Display for QuorumMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "member {:?}: ", self.label)?;
        match &self.loss {
            _ if self.is_held => f.write_str("held"),
            Some(reason) => reason.fmt(f),
            None => f.write_str("not taken"),
        }
    }
}

/// How a [`QuorumLock`](crate::QuorumLock) came to be held no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuorumLost {
    /// Why: [`LossReason::Released`] if its guard gave it up; otherwise that of a member, the first in order that was lost.
    pub reason: LossReason,
    /// How it stood with all members at that moment.
    pub members: Vec<QuorumMember>,
}

impl fmt::Display for QuorumLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reason == LossReason::Released {
            return self.reason.fmt(f);
        }
        let held = self.members.iter().filter(|member| member.is_held).count();
        write!(f, "{held} of {} members are left", self.members.len())?;
        for member in self.members.iter().filter(|member| !member.is_held) {
            write!(f, "; {member}")?;
        }
        Ok(())
    }
}

/// A member's place: the last hold of it, which may be over.
struct Seat {
    label: Arc<str>,
    held: Option<Held>,
}

impl Seat {
    fn member(&self) -> QuorumMember {
        // One look, so that the two agree.
        let loss = self.held.as_ref().and_then(|held| held.state().ended());
        QuorumMember { label: self.label.to_string(), is_held: self.held.is_some() && loss.is_none(), loss }
    }
}

struct Seats {
    seats: Box<[Seat]>,
    end: Option<QuorumLost>,
}

/// What the guard, the clones of [`QuorumHeld`] and the keeper share.
pub(super) struct State {
    name: Arc<str>,
    majority: usize,
    seats: Mutex<Seats>,
    over: CancellationToken,
    /// Cancelled with `over`, and when too few members would stay.
    stop: CancellationToken,
}

impl State {
    /// With every member's label, in order, and its hold, if there is one.
    pub(super) fn new(
        name: Arc<str>,
        majority: usize,
        seats: impl Iterator<Item = (Arc<str>, Option<Held>)>,
    ) -> Self {
        let seats = seats.map(|(label, held)| Seat { label, held }).collect();
        let over = CancellationToken::new();
        let stop = CancellationToken::new();
        Self { name, majority, seats: Mutex::new(Seats { seats, end: None }), over, stop }
    }

    fn locked(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it ended, if it has.
    pub(super) fn look(&self) -> Option<QuorumLost> {
        self.step(None, |_| {})
    }

    /// Ends it for this reason, unless it has ended before; how it has.
    pub(super) fn end(&self, reason: LossReason) -> QuorumLost {
        self.step(Some(reason), |_| {}).expect("it has ended by now")
    }

    /// Counts a member in again, if the others were enough without it; whether they were.
    pub(super) fn seat(&self, at: usize, held: Held) -> bool {
        self.step(None, |seats| seats[at].held = Some(held)).is_none()
    }

    /// Looks first, and goes on only if it is held.
    fn step(&self, end: Option<LossReason>, go_on: impl FnOnce(&mut [Seat])) -> Option<QuorumLost> {
        let lost = {
            let mut locked = self.locked();
            if let Some(lost) = &locked.end {
                return Some(lost.clone());
            }
            let members: Vec<_> = locked.seats.iter().map(Seat::member).collect();
            let held = members.iter().filter(|member| member.is_held).count();
            let reason = if held < self.majority {
                // It began with a majority, so some of it is lost.
                let first = members.iter().find_map(|member| member.loss);
                Some(first.unwrap_or(LossReason::DriverGone))
            } else {
                end
            };
            let Some(reason) = reason else {
                go_on(&mut locked.seats);
                return None;
            };
            locked.end.insert(QuorumLost { reason, members }).clone()
        };
        // In this order: who is woken by the end sees everything ended.
        self.stop.cancel();
        self.over.cancel();
        Some(lost)
    }

    /// Asks the work to come to its end; the hold goes on.
    pub(super) fn ask_to_stop(&self) {
        self.stop.cancel();
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn error(&self, operation: &'static str, lost: &QuorumLost) -> Error {
        Error::lost(operation, lost.reason).with_detail(lost.to_string()).with_name(self.name.clone())
    }
}

/// The fact of holding a [`QuorumLock`](crate::QuorumLock): owned, `'static`, cheap to clone.
///
/// It keeps nothing locked: the guard does. Once fewer than a majority of members were held, the whole is not held, and never is again.
///
/// It has no fencing token; [`QuorumLock`](crate::QuorumLock#what-it-promises-and-what-it-cannot) says why.
#[derive(Clone)]
pub struct QuorumHeld {
    state: Arc<State>,
}

impl QuorumHeld {
    pub(super) fn new(state: Arc<State>) -> Self {
        Self { state }
    }

    pub(super) fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// The name of the lock.
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// How it stands with each member now, in the order of their labels. A member that is not held is being taken again, in most cases;
    /// see [`QuorumLock`](crate::QuorumLock#losing-members).
    pub fn members(&self) -> Vec<QuorumMember> {
        self.state.locked().seats.iter().map(Seat::member).collect()
    }

    /// Whether a majority of members is held, each by its local deadline; what that means and what it cannot promise, see
    /// [`Held::is_held`].
    pub fn is_held(&self) -> bool {
        self.loss().is_none()
    }

    /// How it was lost, or that it was released, if it is not held any more.
    pub fn loss(&self) -> Option<QuorumLost> {
        self.state.look()
    }

    /// How long it is held from now on if no member is heard of any more: until so many local deadlines have passed that fewer than
    /// a majority are left. It begins anew with every renewal of the members' sessions. Zero if it is not held.
    pub fn remaining(&self) -> Duration {
        if !self.is_held() {
            return Duration::ZERO;
        }
        let locked = self.state.locked();
        let mut rests: Vec<_> =
            locked.seats.iter().filter_map(|seat| Some(seat.held.as_ref()?.state().rest())).collect();
        rests.sort_unstable_by(|a, b| b.cmp(a));
        rests.get(self.state.majority - 1).copied().unwrap_or_default()
    }

    /// Resolves when fewer than a majority are held, with what became of each; with [`LossReason::Released`] when the guard
    /// gave it up. Everybody is told the same.
    ///
    /// The members' deadlines are watched by their drivers; see [`Held::lost`].
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub fn lost(&self) -> impl Future<Output = QuorumLost> + Send + 'static {
        let state = self.state.clone();
        async move {
            state.over.cancelled().await;
            // Of one that is over it is how it ended.
            state.end(LossReason::DriverGone)
        }
    }

    /// Cancelled when the work should stop: the lock is lost or released, or so many members' coordinators are shutting down
    /// that too few would stay. See [`Held::cancellation_token`].
    pub fn cancellation_token(&self) -> CancellationToken {
        self.state.stop.clone()
    }

    /// Makes the work and runs it for as long as a majority is held. It is not even made if none is.
    pub(super) async fn work<F, W>(&self, work: F) -> Result<W::Output, Error>
    where
        F: FnOnce(QuorumHeld) -> W,
        W: Future,
    {
        self.while_held(async { work(self.clone()).await }).await
    }

    /// Runs `work` for as long as a majority is held.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`](crate::ErrorKind::Lost), with what became of the members, if it was lost before `work` had ended; then
    /// `work` was dropped at the await it was at. What it had sent away by then still happens.
    ///
    /// # Cancel safety
    /// Dropping the future drops `work`.
    pub async fn while_held<F: Future>(&self, work: F) -> Result<F::Output, Error> {
        if let Some(lost) = self.loss() {
            return Err(self.state.error("hold", &lost));
        }
        tokio::select! {
            biased;
            lost = self.lost() => Err(self.state.error("hold", &lost)),
            output = work => match self.loss() {
                None => Ok(output),
                Some(lost) => Err(self.state.error("hold", &lost)),
            },
        }
    }
}

impl fmt::Debug for QuorumHeld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuorumHeld")
            .field("name", &self.name())
            .field("members", &self.members())
            .field("loss", &self.loss())
            .finish()
    }
}

//! The double barrier: *n* parties enter together and leave together.
//!
//! # Implementation
//!
//! **What there is.** A queue with an entry for each party, whose mode says for how many parties it counts
//! (`p1of<n>`) and, once it leaves, that it has left (`p1of<n>g`); and a register with the newest *round*: its
//! number, its phase, and the parties that it concerns. Every decision is a compare-and-set of the register; it
//! is also conditional on the decider's own entry, so that one that is gone decides nothing. A party decides on what
//! it saw of the queue *after* it had read that version of the register.
//!
//! ```text
//!                n have come                    all have left
//! done, broken ───────────────→ open (the n) ──────────────────→ done (the n)
//!      │  ↑                          └── one of the n is gone and had not left ──→ broken (the n)
//!      └──┘ one of those that waited is gone: broken (all that wait)
//! ```
//!
//! *Rule of the last one out*: a round is followed by another only when none of the parties that it concerns has an
//! entry any more. So each living party sees the outcome of its round before the register forgets it: it withdraws
//! its entry only afterwards. Therefore outcomes need not be kept, the n that pass next are simply the first n of
//! the queue, and a quick party that has left leaves a slow one nothing to miss: `open` names the slow one, whatever
//! the queue looks like by then. `open` whose parties are all gone without a word (all died) counts as over.
//!
//! **Entering**: (1) create the entry; (2) read the round; (3) if it concerns me: `open` lets me in, otherwise I was
//! told too late, `PeerLost`; (4) look at the queue; if the first entry counts other parties, `Mismatch`; remember who
//! waits beside me, behind those of the round; (5) while one of those is there, wait; (6) if one that I saw wait
//! beside me under the number of this round is gone, break the next one, for all that wait now; (7) if n wait, open the
//! next one for the first n; (8) wait for a change of queue or register, and begin at (2).
//!
//! **Leaving**: (1) publish in the entry that I have left; (2) read the round; `done` and `broken` are answers; (3)
//! look at the queue and remember who has left; (4) all have: the round is done; (5) one is gone and was never seen
//! to have left: read the queue anew, and if that is confirmed the round is broken; (6) wait for a change, and begin
//! at (2); (7) after the answer, withdraw the entry. So *left* is published before the entry is withdrawn, which is
//! how leaving differs from dying.
//!
//! **Exactly n, no one twice.** The n of a round stand in the register, by compare-and-set. More than n that come at
//! once pass in the order of the queue; the others wait for the round after it. A party's entry is one attempt, and
//! an attempt is in one round only: its entry is gone before the next.
//!
//! **Why a look that is late does no harm.** A look may be older than the register (a mirror of the queue that
//! lags), but it is never older than my own enqueue. A round that does not concern me concerns only entries that
//! came before mine: it is made of the first in a look that shows me behind them or not at all, or of all in a
//! reading that does not show me. So my look shows every one of them that still exists; if it shows none (5), they
//! are gone for good. Those of all rounds before came before them, so whoever stands behind them, or behind nobody
//! when they are gone, waits for the next one, and has no reason to go as long as the number stays (6). What has
//! been seen to be gone, or to have left, stays so; and if the round has moved on meanwhile, the compare-and-set
//! fails. When I leave, a party that my mirror does not show *yet* is told from one that is gone by the new reading
//! (5), which is newer than the register that names it.
//!
//! **Crashes**, at every step of a party *x*; the entry of one that dies goes with its session:
//! - before its entry exists: nothing has happened.
//! - waiting: those that saw it wait break the round (6), and all that wait are told. One that came after *x* had
//!   gone and before the round was broken may be told too. Whoever enters again meets none of this: it is not one of
//!   those concerned, and the withdrawal of those is no loss (5).
//! - opening the round, before the write: each of the others writes it as well. After it: *x* was one of the n, and
//!   died inside.
//! - inside, or leaving before its word is published: the others find it gone without (5).
//! - leaving, its word published: who has seen that counts it as left. Who has not counts it as lost, and is told
//!   that a party died before all had left, which is true. If the two kinds differ, the first write decides for all
//!   that have not answered yet.
//! - having written an outcome: the others read it. Its entry keeps the next round waiting until its session ends.
//!
//! **Who wakes whom.** The queue's changes (an entry, a departure, a word of leaving) wake all parties, and so do
//! the register's. That is O(n²) wake-ups for n parties a round, and in the worst case O(n²) looks; n
//! compare-and-sets are tried for each decision, of which one succeeds. It is made for tens or hundreds of parties,
//! not for thousands.
//!
//! **At each await.** The steps run in a task of the driver that ends with the caller's future. A write that is
//! dropped on its way was decided on facts that still hold if its condition does. The entry is the guard's, whose
//! drop withdraws it. A party that leaves does so in a task of its own, which nobody's drop ends.

mod passage;
mod round;

#[cfg(any(test, feature = "fuzzing"))]
pub use round::check_double_barrier;

use std::fmt;
use std::ops::Deref;

use self::passage::{Enter, Failure, Leave, View, entering, left};
use self::round::Round;
use crate::acquisition::Patience;
use crate::coordinator::Coordinator;
use crate::error::{Error, ErrorKind};
use crate::group::Everybody;
use crate::guard::HeldGuard;
use crate::held::Held;
use crate::hold::Change;
use crate::liveness::LossReason;
use crate::name::{KeyPath, Kind};
use crate::named::{Acquire, Named};

/// A barrier that a fixed number of parties enter together and leave together: the first to come wait until all have
/// come, the first to be done wait until all are. It can be passed any number of times.
///
/// A `DoubleBarrier` is a name, a number of parties and a [`Coordinator`]; making one costs nothing and touches no
/// service.
///
/// # What it promises, and what it cannot
///
/// Exactly as many parties as the number says are let in for each round, in the order in which they came; more than
/// that wait for the next round, which begins when all of the one before are out. Nobody waits for a party that is
/// gone: one that dies, gives up waiting, or drops its [`Inside`] without leaving breaks the round, and all others
/// of the round are told by [`PeerLost`](ErrorKind::PeerLost), at the latest when the session of the lost one has
/// ended. They may enter again at once.
///
/// It cannot tell that the *work* of a party failed: that is for the parties to say. Nor does it keep a party from
/// working on after its session was lost; see [`Held::lost`].
///
/// What it leaves at the service is one small register for each name, which says how it stands with the newest round.
///
/// A round costs the service of the order of *n*² requests for *n* parties, since each observes all.
///
/// ```
/// # async fn example(coordinator: leasehold_core::Coordinator) -> Result<(), leasehold_core::Error> {
/// let barrier = coordinator.double_barrier("step", 3);
/// let inside = barrier.enter().await?;
/// // All three are here.
/// inside.leave().await?;
/// // All three are done.
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct DoubleBarrier {
    named: Named,
    rounds: Named,
    parties: u32,
}

impl DoubleBarrier {
    pub(crate) fn new(coordinator: Coordinator, name: &str, parties: u32) -> Self {
        let rounds = Named::new(coordinator.clone(), Kind::DoubleBarrierRound, name);
        Self { named: Named::new(coordinator, Kind::DoubleBarrier, name), rounds, parties }
    }

    /// The name, as it was given.
    pub fn name(&self) -> &str {
        self.named.name()
    }

    /// How many parties it takes.
    pub fn parties(&self) -> u32 {
        self.parties
    }

    /// Enters, waiting until all parties have come.
    ///
    /// # Errors
    /// - [`PeerLost`](ErrorKind::PeerLost): a party that had come is gone. Nobody of those that waited was let in.
    /// - [`Lost`](ErrorKind::Lost): this party's own session, or its entry, went away while it waited; the others
    ///   are told of it.
    /// - [`Mismatch`](ErrorKind::Mismatch): the first in line counts another number of parties.
    /// - [`InvalidArgument`](ErrorKind::InvalidArgument) for no parties at all,
    ///   [`InvalidName`](ErrorKind::InvalidName).
    /// - [`Closed`](ErrorKind::Closed) if the coordinator is shut down, [`TooLarge`](ErrorKind::TooLarge) if there
    ///   are more parties than a value of the service can list (33 bytes each), and what the service refuses with
    ///   for good. While the service cannot be reached it waits on.
    ///
    /// # Cancel safety
    /// Dropping the future takes this party out: its entry is removed in the background within about a round trip,
    /// at the latest with the session. To the others it is a party that is gone, so their round is broken.
    pub async fn enter(&self) -> Result<Inside, Error> {
        const ENTER: &str = "enter";
        if self.parties == 0 {
            return Err(self.named.error(
                ErrorKind::InvalidArgument,
                ENTER,
                "there must be a party at least",
            ));
        }
        let (queue, register) = (self.named.path(ENTER)?, self.rounds.path(ENTER)?);
        let acquire = Acquire::new(ENTER, &Everybody, entering(self.parties), Patience::Forever);
        let guard = self.named.acquire_patiently(acquire).await?;
        let view = self.view(&guard, queue, register);
        let entered = tokio::select! {
            biased;
            entered = self.named.until(ENTER, Enter::new(view.clone())) => entered?,
            _ = guard.held().lost() => Err(Failure::Lost),
        };
        match entered {
            Ok(round) => Ok(Inside { barrier: self.clone(), guard, view, round }),
            Err(failure) => Err(self.error(ENTER, guard.held(), failure)),
        }
    }

    fn view(&self, guard: &HeldGuard, queue: KeyPath, register: KeyPath) -> View {
        View::new(queue, register, guard.held().state().entry().1, self.parties)
    }

    fn driver_gone(&self, operation: &'static str) -> Error {
        self.named.error(ErrorKind::DriverGone, operation, &LossReason::DriverGone.to_string())
    }

    fn error(&self, operation: &'static str, held: &Held, failure: Failure) -> Error {
        match failure {
            Failure::PeerLost => {
                self.named.error(ErrorKind::PeerLost, operation, "a party is gone without having left")
            }
            Failure::Mismatch(others) => {
                let detail = format!("this one counts {} parties, another {others}", self.parties);
                self.named.error(ErrorKind::Mismatch, operation, &detail)
            }
            Failure::Lost => {
                let state = held.state();
                match state.ended().unwrap_or(LossReason::EntryRemoved) {
                    LossReason::DriverGone => self.driver_gone(operation),
                    reason => state.error(operation, reason),
                }
            }
        }
    }
}

impl fmt::Debug for DoubleBarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DoubleBarrier")
            .field("name", &self.named)
            .field("parties", &self.parties)
            .finish_non_exhaustive()
    }
}

/// To be inside of a [`DoubleBarrier`]: all parties have come.
///
/// Dropping it without [leaving](Inside::leave) breaks the round for the others, as dying does. What a party knows
/// of its session while it is inside are the methods of [`Held`].
#[must_use = "dropping it without leaving breaks the round for the others"]
pub struct Inside {
    barrier: DoubleBarrier,
    guard: HeldGuard,
    view: View,
    round: Round,
}

impl Inside {
    /// The number of the round, the same for all parties of it; it rises from round to round, not always by one.
    pub fn round(&self) -> u64 {
        self.round.number
    }

    /// The owned, cloneable fact of being inside, for tasks that work there.
    pub fn held(&self) -> Held {
        self.guard.held().clone()
    }

    /// Leaves, waiting until all parties do.
    ///
    /// # Errors
    /// [`PeerLost`](ErrorKind::PeerLost) if a party is gone that was not known to have left,
    /// [`Lost`](ErrorKind::Lost) if this party's own session or entry went away before it knew that all had left,
    /// [`Closed`](ErrorKind::Closed) if the coordinator is shut down meanwhile, and what the service refuses with
    /// for good. In each case this party is out.
    ///
    /// # Cancel safety
    /// Once polled, the party has left and goes on to wait for the others, whether or not the future does; a
    /// shutdown of the coordinator ends that.
    pub async fn leave(self) -> Result<(), Error> {
        let barrier = self.barrier.clone();
        let driver = barrier.named.coordinator().engine().driver.clone();
        // An error is that the task is gone with its runtime.
        driver.spawn(self.leave_now()).await.unwrap_or_else(|_| Err(barrier.driver_gone(LEAVE)))
    }

    async fn leave_now(self) -> Result<(), Error> {
        let Self { barrier, guard, view, round } = self;
        let change = Change { mode: Some(left(barrier.parties)), ..Change::default() };
        guard.change(LEAVE, change).await?;
        let outcome = tokio::select! {
            biased;
            outcome = barrier.named.until(LEAVE, Leave::new(view, round)) => outcome?,
            _ = guard.held().lost() => Err(Failure::Lost),
        };
        let outcome = outcome.map_err(|failure| barrier.error(LEAVE, guard.held(), failure));
        // The round is over for this party, whatever the service says of the entry.
        let _released = guard.release().await;
        outcome
    }
}

const LEAVE: &str = "leave";

impl Deref for Inside {
    type Target = Held;

    fn deref(&self) -> &Held {
        self.guard.held()
    }
}

impl fmt::Debug for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inside").field("round", &self.round.number).field("held", &self.guard).finish()
    }
}

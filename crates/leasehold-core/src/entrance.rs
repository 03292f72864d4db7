//! An acquisition in a queue that is entered under a lock, as another client's contenders enter it.
//!
//! # Implementation
//!
//! A path has two queues then: the *entrance*, a mutex, and the *permits*. Whoever wants a permit stands in line at the entrance. The
//! first in line waits until there is room among the permits, makes its entry there, and leaves the entrance. A hold is an entry among the
//! permits and nothing else.
//!
//! **Why an entry does not wait among the permits.** A contender of the other client makes its entry as soon as it is first in line,
//! and then waits until there are no more entries than permits, *those behind it included*. An entry of ours that waited behind that one would
//! wait for it to go, and be waited for: both for ever, with a permit free. That takes a contender that has lost its place at the entrance and does not know
//! it, as one that was stopped for longer than its TTL. So ours is made only where it is granted at once
//! (`only_if_free`), and is taken back if it comes to stand behind another one after all.
//!
//! **The limit** does not rest on the entrance. Ours hold by the rule of the semaphore, which counts everybody ahead; the other client counts
//! everybody. Of those who hold at some time take the last in the order of the entries: the others were there when it was
//! granted, and were counted.
//!
//! **Order.** The entrance is first come first served, for both clients. Entries are made by the first in line, one after the other; so
//! tokens, which are of the entries among the permits, rise in the order of the line. A try that finds somebody at the entrance
//! gives up: that one comes first.
//!
//! **Who wakes whom.** At the entrance the engine's mutex rule holds. Who is first in line is woken by every change among the permits,
//! and is the only one of ours that is.
//!
//! **Who owns what.** One task on the driver takes the steps, so that a caller who is not polled keeps nobody waiting at the entrance. It owns the guard of
//! the entrance, and the acquisition under way or its permit. The caller's future owns the task and aborts it when it is dropped.
//!
//! **At each await** dropping the task drops the guards and the acquisition under way, each of which cleans up after itself: nothing of
//! either queue stays. A process that dies leaves two entries at most, which go with its session.
//!
//! **A lost session** in the line is the engine's business: on goes the wait, at the line's end. Later the entrance is lost with the
//! session, or is removed by an administrator: what was begun under it is dropped and everything begins again at the line's end, within the
//! caller's time. (The engine may enter the permits by itself in a new session before that is seen; that entry is given back.) The permit is looked at
//! last, after the entrance was left: a grant is never born stale.

use async_trait::async_trait;
use tokio::time::Instant;

use crate::acquisition::{Patience, until};
use crate::backend::Interest;
use crate::backend_error::BackendError;
use crate::budget::Budget;
use crate::error::{Error, ErrorKind};
use crate::guard::HeldGuard;
use crate::liveness::LossReason;
use crate::mode::Mode;
use crate::mutex::FirstInLine;
use crate::name::KeyPath;
use crate::named::{Acquire, Named};
use crate::observe::Subject;
use crate::requests::{AbortOnDrop, Step};
use crate::rule::Rule;
use crate::session_keeper::LiveSession;
use crate::stats::Outcome;

type Acquired = Result<Option<HeldGuard>, Error>;

/// Acquires one of the permits through the entrance, for the application; `None` when others were there, as far as the patience went.
///
/// # Cancel safety
/// Dropping the future gives up the place in the line and the permit.
pub(crate) async fn acquire(entrance: &Named, permits: &Named, acquire: Acquire) -> Acquired {
    let Acquire { operation, rule, mode, patience, .. } = acquire;
    let (entrance, budget) = (entrance.clone(), Budget::new(patience));
    // Made here, so that one who goes before the task has begun is counted, too.
    let counted = Counted::new(permits, &permits.path(operation)?);
    let steps =
        Steps { entrance, permits: permits.clone(), operation, rule, mode, patience, budget, counted };
    match AbortOnDrop(permits.coordinator().engine().spawn(steps.run())).await {
        Some(acquired) => acquired.map(|permit| permit.inspect(HeldGuard::hand_over)),
        None => Err(permits.error(ErrorKind::DriverGone, operation, &LossReason::DriverGone.to_string())),
    }
}

struct Steps {
    entrance: Named,
    permits: Named,
    operation: &'static str,
    rule: &'static dyn Rule,
    mode: Mode,
    patience: Patience,
    budget: Budget,
    counted: Counted,
}

impl Steps {
    async fn run(mut self) -> Acquired {
        let acquired = self.enter().await;
        self.counted.outcome = match &acquired {
            Ok(Some(_)) => Outcome::Acquired(self.counted.since.elapsed()),
            Ok(None) if self.patience == Patience::Try => Outcome::Contended,
            Ok(None) => Outcome::TimedOut,
            Err(_) => Outcome::Failed,
        };
        acquired
    }

    async fn enter(&self) -> Acquired {
        loop {
            let Some(rest) = self.budget.rest() else { return Ok(None) };
            let first = Acquire::new(self.operation, &FirstInLine, Mode::Exclusive, rest);
            let Some(entrance) = self.entrance.acquire_part(first).await? else { return Ok(None) };
            // An entrance that is lost meanwhile leads back to the line's end.
            let Ok(permit) = entrance.held().while_held(self.permit()).await else { continue };
            self.leave(entrance).await;
            match permit? {
                Some(permit) if !permit.held().is_held() => {}
                permit => return Ok(permit),
            }
        }
    }

    /// To be called by the first in line.
    async fn permit(&self) -> Acquired {
        loop {
            let Some(patience) = self.budget.rest() else { return Ok(None) };
            let acquire = Acquire {
                only_if_free: true,
                // The whole is counted, and not each of its steps.
                outcomes: Some(self.entrance.recorder().clone()),
                ..Acquire::new(self.operation, self.rule, self.mode, patience)
            };
            if let Some(permit) = self.permits.acquire_part(acquire).await? {
                return Ok(Some(permit));
            }
            if self.patience == Patience::Try {
                return Ok(None);
            }
            let room = Room { permits: self.permits.path(self.operation)?, mode: self.mode };
            let waited = self.permits.until_at_most(self.operation, self.budget.deadline(), room).await?;
            if waited.is_none() {
                return Ok(None);
            }
        }
    }

    /// Waits for the service's word, so that who tries next does not meet what this one left; what is not confirmed in time goes on in
    /// the background.
    async fn leave(&self, entrance: HeldGuard) {
        tokio::select! {
            biased;
            _ = entrance.release() => {}
            () = until(self.budget.deadline()) => {}
        }
    }
}

/// Waits until an entry of the mode would be granted at once.
struct Room {
    permits: KeyPath,
    mode: Mode,
}

#[async_trait]
impl Step for Room {
    type Output = ();

    async fn step(&mut self, live: &LiveSession) -> Result<Option<()>, BackendError> {
        let queue = live.session.queue(&self.permits);
        let (mut admitted, mut revision) = (false, 0);
        queue
            .contenders(&mut |contenders| {
                admitted = self.mode.is_admitted_behind(contenders);
                revision = contenders.revision();
            })
            .await?;
        if admitted {
            return Ok(Some(()));
        }
        queue.changed(Interest::Queue { revision }).await.map(|()| None)
    }
}

/// Counts an acquisition when it ends: as cancelled, unless somebody says otherwise.
struct Counted {
    subject: Subject,
    since: Instant,
    outcome: Outcome,
}

impl Counted {
    fn new(named: &Named, path: &KeyPath) -> Self {
        let subject = Subject::of_whole(named, path);
        Self { subject, since: Instant::now(), outcome: Outcome::Cancelled }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.subject.acquisition_counted(self.outcome);
    }
}

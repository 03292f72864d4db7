//! Following a queue from outside: who is first, or who is in it, with their values.
//!
//! # Implementation
//!
//! One task an observation, on the driver. It reads the queue, publishes what it read in a `watch` channel if that differs from
//! the last, and waits for the next change; a lost session or a broken connection is waited out, after which the queue is read anew. So the
//! channel always ends up with the newest state, may skip states in between, and never ends before the coordinator does.
//!
//! *Nothing is missed.* The revision and the versions that are waited on are those of the state that was published: the
//! revision was looked up before the entries were read, so a change in between is reported at once.
//!
//! [`States`] takes the newest state from the channel. Of a channel that was closed it takes what is new first.
//!
//! The task ends when the receiver is gone, or when there will be no session any more; then the channel is closed. It is
//! dropped only with its runtime, which closes the channel as well.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::future::{FutureExt, select_all};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::ReusableBoxFuture;

use crate::backend::{Entry, Interest, Queue};
use crate::backend_error::{BackendError, BackendErrorKind};
use crate::engine::Engine;
use crate::liveness::LossReason;
use crate::name::KeyPath;
use crate::own_entry::transient_backoff;

/// What of a queue is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Focus {
    /// The first entry alone. The entries behind it cost nothing.
    First,
    /// All entries; each costs a watch where the service watches single entries.
    All,
}

/// A state of the queue; `None` until it was read for the first time.
type Observed = Option<Arc<[Entry]>>;

/// Follows a queue until what is answered is dropped.
pub(crate) fn observe(engine: &Arc<Engine>, path: KeyPath, focus: Focus) -> States {
    let (sender, receiver) = watch::channel(None);
    let observation = Observation { engine: engine.clone(), path, focus, sender };
    engine.driver.spawn(observation.run());
    States { next: ReusableBoxFuture::new(next(receiver)) }
}

/// The receiving end: states of the queue from the first reading on, of which some may be left out, but never the newest.
pub(crate) struct States {
    next: ReusableBoxFuture<'static, (bool, watch::Receiver<Observed>)>,
}

/// Waits for the next state; whether there is one.
async fn next(mut states: watch::Receiver<Observed>) -> (bool, watch::Receiver<Observed>) {
    let changed = states.changed().await;
    (changed.is_ok(), states)
}

impl States {
    /// The newest state, once there is one that was not taken yet; `None` when the observation has ended, however often it is asked then.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Arc<[Entry]>>> {
        loop {
            let (changed, mut states) = ready!(self.next.poll(context));
            let seen = states.borrow_and_update().clone();
            self.next.set(next(states));
            if !changed {
                return Poll::Ready(None);
            }
            // Otherwise nothing has been read yet.
            if seen.is_some() {
                return Poll::Ready(seen);
            }
        }
    }
}

struct Observation {
    engine: Arc<Engine>,
    path: KeyPath,
    focus: Focus,
    sender: watch::Sender<Observed>,
}

/// What a reading of the queue rests on.
struct Seen {
    revision: u64,
    entries: Arc<[Entry]>,
}

impl Observation {
    async fn run(self) {
        let mut backoff = transient_backoff(&self.engine.entropy);
        loop {
            let live = tokio::select! {
                () = self.sender.closed() => return,
                () = self.engine.draining.cancelled() => return,
                live = self.engine.live_session() => live,
            };
            let live = match live {
                Ok(live) => live,
                // Waiting cures a refusal, should the rights be given later; there is nobody to tell it to.
                Err(crate::engine::NoSession::Refused(_)) => {
                    tokio::select! {
                        () = self.sender.closed() => return,
                        () = self.engine.draining.cancelled() => return,
                        () = sleep(backoff.next_delay()) => continue,
                    }
                }
                Err(crate::engine::NoSession::Closed) => return,
            };
            let queue = live.session.queue(&self.path);
            let stepped = tokio::select! {
                () = self.sender.closed() => return,
                () = self.engine.draining.cancelled() => return,
                _ = live.liveness().seen_lost() => continue,
                stepped = self.step(&*queue) => stepped,
            };
            match stepped {
                Ok(()) => backoff = transient_backoff(&self.engine.entropy),
                Err(error) => {
                    if error.kind() == BackendErrorKind::SessionLost {
                        live.liveness().end(LossReason::SessionEnded);
                    }
                    sleep(backoff.next_delay()).await;
                }
            }
        }
    }

    /// Reads, publishes, and waits for the next change.
    async fn step(&self, queue: &dyn Queue) -> Result<(), BackendError> {
        let seen = self.read(queue).await?;
        self.sender.send_if_modified(|published| {
            let differs = published.as_ref() != Some(&seen.entries);
            *published = Some(seen.entries.clone());
            differs
        });
        let of_entry = |entry: &Entry| {
            let (attempt, mode, version) = (entry.attempt, entry.mode, Some(entry.version));
            queue.changed(Interest::Entry { attempt, mode, version })
        };
        let of_queue = || queue.changed(Interest::Queue { revision: seen.revision });
        match (self.focus, seen.entries.first()) {
            (Focus::First, Some(first)) => of_entry(first).await,
            (Focus::First, None) => of_queue().await,
            (Focus::All, _) => {
                let changes = seen.entries.iter().map(of_entry).chain([of_queue()]);
                select_all(changes.map(FutureExt::boxed)).await.0
            }
        }
    }

    async fn read(&self, queue: &dyn Queue) -> Result<Seen, BackendError> {
        loop {
            let (mut revision, mut first) = (0, None);
            queue
                .contenders(&mut |contenders| {
                    revision = contenders.revision();
                    first = contenders.first().map(|contender| (contender.attempt, contender.mode));
                })
                .await?;
            let entries: Arc<[Entry]> = match (self.focus, first) {
                (Focus::All, _) => queue.entries().await?.into(),
                (Focus::First, None) => Arc::new([]),
                (Focus::First, Some((first, mode))) => match queue.entry(first).await? {
                    Some(entry) => Arc::new([entry]),
                    // It went meanwhile, and another one is or will be first as soon as what is known here has caught up.
                    None => {
                        queue.changed(Interest::Entry { attempt: first, mode, version: None }).await?;
                        continue;
                    }
                },
            };
            return Ok(Seen { revision, entries });
        }
    }
}

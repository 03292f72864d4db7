//! The hold of a granted entry: from the grant to the confirmed end of the entry.
//!
//! # Implementation
//!
//! **Who owns what.** The acquisition's task goes on as [`Holding::keep`] and stays the only one that talks to the service
//! about its entry. The guard owns a [`Grant`]: the sending end of a command channel. Commands are carried out one after the
//! other, so a release is never overtaken by a change of the entry that was asked for before it. A closed channel is a guard that was dropped.
//!
//! **What ends a hold**, whichever comes first: the guard's release or drop; the loss of the session; the entry's
//! removal by somebody else; a mark in the entry that it is about to be removed by force; the end of the maximum hold; the
//! coordinator that abandons it. All but the first are told to the holders by [`HeldState::end`] *before* the entry is withdrawn. While
//! a command is carried out, the loss of the session, the abandonment and the guard's end are still heard: a change that nobody
//! awaits any more does not keep a release waiting. Given up in flight it can still arrive, and then changes an entry that is
//! about to go or finds none.
//!
//! **What is watched.** The entry's mode and version, from some 50 ms after its enqueue on, so that a short hold costs no
//! more than its enqueue and its withdrawal. An entry's first version is its order, so that a change between enqueue and
//! watch is not missed. After each change the entry is read, and nothing is concluded from the change itself.
//!
//! **Writers of one entry** are its holder and whoever asks it to give up. Both compare versions, and who finds another one
//! than it knew reads the entry again and merges: the holder owns mode and payload, the others the fields `asked` and `broken`. A
//! change that went unanswered is found out by reading the entry.
//!
//! **At each await.** The task is dropped only with its runtime: [`EndOnDrop`] tells the holders, and the service
//! removes the entry with the session. The callers of a command own nothing but a reply channel.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use crate::backend::{Entry, Publish, Published};
use crate::backend_error::{BackendError, BackendErrorKind};
use crate::engine::Engine;
use crate::entry_value::EntryValue;
use crate::error::{Error, ReleaseError};
use crate::held::{Held, HeldState};
use crate::liveness::LossReason;
use crate::mode::Mode;
use crate::own_entry::{OwnEntry, Release, transient_backoff};

/// A grant on its way to a guard, and what a guard is made of. Dropping it gives up the hold.
pub(crate) struct Grant {
    held: Held,
    commands: mpsc::UnboundedSender<Command>,
}

/// What a guard asks of the task that keeps its hold.
enum Command {
    Release(oneshot::Sender<Release>),
    Change(Change, oneshot::Sender<Result<(), Unchanged>>),
}

/// A change of the entry. What is `None` stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct Change {
    pub(crate) mode: Option<Mode>,
    pub(crate) payload: Option<Bytes>,
}

/// How long a hold lasts at least and at most.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HoldLimits {
    pub(crate) min: Duration,
    pub(crate) max: Option<Duration>,
}

impl Grant {
    pub(crate) fn held(&self) -> &Held {
        &self.held
    }

    /// Gives up the hold and waits for the service's word.
    pub(crate) async fn release(self) -> Result<(), ReleaseError> {
        let error = |reason| self.held.state().error("release", reason);
        if let Some(reason) = self.held.state().ended() {
            return Err(ReleaseError::Lost(error(reason)));
        }
        self.held.state().end(LossReason::Released);
        let (reply, outcome) = oneshot::channel();
        let sent = self.commands.send(Command::Release(reply)).is_ok();
        match if sent { outcome.await.ok() } else { None } {
            Some(Release::Done) => Ok(()),
            Some(Release::Lost(reason)) => Err(ReleaseError::Lost(error(reason))),
            // None: the session was lost in the same moment, or the driver's runtime is gone.
            Some(Release::Unknown) | None => Err(ReleaseError::Unknown(self.held.state().unconfirmed())),
        }
    }

    /// Changes the entry, and waits until the service has confirmed it, or the hold is over.
    pub(crate) async fn change(&self, operation: &'static str, change: Change) -> Result<(), Error> {
        let state = self.held.state();
        if let Some(reason) = state.ended() {
            return Err(state.error(operation, reason));
        }
        let (reply, outcome) = oneshot::channel();
        let sent = self.commands.send(Command::Change(change, reply)).is_ok();
        match if sent { outcome.await.ok() } else { None } {
            Some(Ok(())) => Ok(()),
            Some(Err(Unchanged::Over(reason))) => Err(state.error(operation, reason)),
            Some(Err(Unchanged::Refused(error))) => {
                Err(state.named(Error::from_backend(operation, Arc::new(error))))
            }
            None => Err(state.error(operation, state.ended().unwrap_or(LossReason::DriverGone))),
        }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.held.state().end(LossReason::Released);
    }
}

/// A hold as the task keeps it.
pub(crate) struct Holding {
    engine: Arc<Engine>,
    own: OwnEntry,
    state: Arc<HeldState>,
    commands: mpsc::UnboundedReceiver<Command>,
    /// The entry as this task knows it.
    value: EntryValue,
    version: u64,
    limits: HoldLimits,
    since: Instant,
    _fail_closed: EndOnDrop,
}

/// What happened to a hold.
enum Event {
    Command(Option<Command>),
    Over(LossReason),
    TooLong,
    Entry(Option<Entry>),
}

/// Why an entry was not changed.
enum Unchanged {
    Over(LossReason),
    Refused(BackendError),
}

impl Holding {
    /// Begins the hold of an entry that was granted. `version` is the one that `value` and the entry's mode have.
    pub(crate) fn begin(
        engine: Arc<Engine>,
        own: OwnEntry,
        state: HeldState,
        (value, version): (EntryValue, u64),
        limits: HoldLimits,
    ) -> (Grant, Self) {
        let state = Arc::new(state);
        let (sender, commands) = mpsc::unbounded_channel();
        let grant = Grant { held: Held::new(state.clone()), commands: sender };
        let _fail_closed = EndOnDrop(state.clone());
        let since = Instant::now();
        (grant, Self { engine, own, state, commands, value, version, limits, since, _fail_closed })
    }

    /// Keeps the hold until it is over and its entry is gone.
    pub(crate) async fn keep(mut self, announce: Option<Mode>) {
        if let Some(mode) = announce {
            let announced = self.change(Change { mode: Some(mode), ..Change::default() }).await;
            if let Some(reason) = loss(&announced) {
                return self.end(reason).await;
            }
        }
        // A time that no clock reaches is no limit.
        let ends = self.limits.max.and_then(|max| self.since.checked_add(max));
        loop {
            match self.next(ends).await {
                Event::Command(None) => return self.release(None).await,
                Event::Command(Some(Command::Release(reply))) => return self.release(Some(reply)).await,
                Event::Command(Some(Command::Change(change, reply))) => {
                    let outcome = self.change(change).await;
                    let over = loss(&outcome);
                    // Told first, so that whoever sees the error sees the loss as well.
                    if let Some(reason) = over {
                        self.state.end(reason);
                    }
                    // Whoever asked may be gone.
                    let _ = reply.send(outcome);
                    if let Some(reason) = over {
                        return self.end(reason).await;
                    }
                }
                Event::Over(reason) => return self.end(reason).await,
                Event::TooLong => return self.end(LossReason::MaxHoldPassed).await,
                Event::Entry(None) => return self.end(LossReason::EntryRemoved).await,
                Event::Entry(Some(entry)) => {
                    if let Err(reason) = self.adopt(&entry) {
                        return self.end(reason).await;
                    }
                }
            }
        }
    }

    async fn next(&mut self, ends: Option<Instant>) -> Event {
        let too_long = async {
            match ends {
                Some(ends) => sleep_until(ends).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            command = self.commands.recv() => Event::Command(command),
            reason = self.own.live.liveness().lost() => Event::Over(reason),
            () = self.engine.abandon.cancelled() => Event::Over(LossReason::ShutDown),
            () = too_long => Event::TooLong,
            entry = self.own.altered(self.version) => Event::Entry(entry),
        }
    }

    /// Changes the entry, however often that has to be tried, as long as the hold lasts.
    async fn change(&mut self, change: Change) -> Result<(), Unchanged> {
        let (liveness, engine) = (self.own.live.liveness().clone(), self.engine.clone());
        let state = self.state.clone();
        tokio::select! {
            biased;
            reason = state.over() => Err(Unchanged::Over(reason)),
            outcome = self.publish(change) => outcome,
            reason = liveness.lost() => Err(Unchanged::Over(reason)),
            () = engine.abandon.cancelled() => Err(Unchanged::Over(LossReason::ShutDown)),
        }
    }

    async fn publish(&mut self, change: Change) -> Result<(), Unchanged> {
        let removed = || Unchanged::Over(LossReason::EntryRemoved);
        let mut backoff = transient_backoff();
        loop {
            let mut value = self.value.clone();
            if let Some(payload) = &change.payload {
                value.payload = payload.clone();
            }
            let publish = Publish {
                attempt: self.own.attempt,
                mode: change.mode.unwrap_or(self.own.mode),
                value: value.encode(),
                if_version: Some(self.version),
            };
            let (mode, encoded) = (publish.mode, publish.value.clone());
            match self.own.queue.publish(publish).await {
                Ok(Published::Done { version }) => {
                    (self.own.mode, self.value, self.version) = (mode, value, version);
                    return Ok(());
                }
                Ok(Published::VersionDiffers) => {}
                Err(error) if error.kind() == BackendErrorKind::NoEntry => return Err(removed()),
                Err(error) if error.kind() == BackendErrorKind::SessionLost => {
                    return Err(Unchanged::Over(self.own.live.ended()));
                }
                Err(error) if error.is_transient() => sleep(backoff.next_delay()).await,
                Err(error) => return Err(Unchanged::Refused(error)),
            }
            // Somebody else has changed the entry, or nobody knows whether this has.
            match self.own.queue.entry(self.own.attempt).await {
                Ok(Some(entry)) => {
                    let done = entry.mode == mode && entry.value == encoded;
                    if done {
                        self.own.mode = mode;
                    }
                    self.adopt(&entry).map_err(Unchanged::Over)?;
                    if done {
                        return Ok(());
                    }
                }
                Ok(None) => return Err(removed()),
                Err(_) => sleep(backoff.next_delay()).await,
            }
        }
    }

    /// Takes over what others have written into the entry.
    fn adopt(&mut self, entry: &Entry) -> Result<(), LossReason> {
        self.version = entry.version;
        let Some(value) = EntryValue::decode(&entry.value) else {
            // Not of our making; the next change that this holder makes replaces it.
            return Ok(());
        };
        if value.turn > self.value.turn {
            return Err(LossReason::Superseded);
        }
        if value.broken.is_some() {
            return Err(LossReason::ForceReleased);
        }
        if let Some(who) = &value.asked {
            self.state.ask(who);
        }
        self.value = value;
        Ok(())
    }

    /// The guard has given up the hold: removes the entry, when it has been there for long enough.
    async fn release(self, reply: Option<oneshot::Sender<Release>>) {
        if let Some(until) = self.since.checked_add(self.limits.min)
            && until > Instant::now()
        {
            tokio::select! {
                () = sleep_until(until) => {}
                _ = self.own.live.liveness().lost() => {}
                () = self.engine.abandon.cancelled() => {}
            }
        }
        self.own.withdraw(&self.engine, reply).await;
    }

    /// Tells the holders that the hold is over, and removes the entry if it may still be there and is this hold's.
    async fn end(self, reason: LossReason) {
        self.state.end(reason);
        match reason {
            LossReason::MaxHoldPassed | LossReason::ForceReleased => {
                self.own.withdraw(&self.engine, None).await;
            }
            LossReason::EntryRemoved => self.own.leave_nothing(&self.engine).await,
            _ => {}
        }
    }
}

/// How the hold ended while the entry was to be changed. A guard that was given up is no loss: its command is the next.
fn loss(outcome: &Result<(), Unchanged>) -> Option<LossReason> {
    match outcome {
        Err(Unchanged::Over(reason)) if *reason != LossReason::Released => Some(*reason),
        _ => None,
    }
}

/// Tells the holders when the task that keeps watch for them is gone.
struct EndOnDrop(Arc<HeldState>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end(LossReason::DriverGone);
    }
}

/// The value that a new entry gets.
pub(crate) fn value_of_new_entry(engine: &Engine, payload: &Bytes) -> EntryValue {
    EntryValue::new(engine.holder.clone(), SystemTime::now(), payload.clone())
}

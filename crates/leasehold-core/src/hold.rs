//! The hold of a granted entry: from the grant to the confirmed end of the entry.
//!
//! # Implementation
//!
//! **Who owns what.** The acquisition's task goes on as [`Holding::keep`] and stays the only one that talks to the service
//! about its entry. A hold that ends soon may see nobody but its guard carry that task out ([`Holding::pause`], [`crate::errand`]). The guard owns a [`Grant`]: the sending end of a command channel. Commands are carried out one after the
//! other, so a release is never overtaken by a change of the entry that was asked for before it. A closed channel is a guard that was dropped.
//!
//! **What ends a hold**, whichever comes first: the guard's release or drop; the loss of the session; the entry's
//! removal by somebody else, or its change into one that claims something else; a mark in the entry that it is about to be
//! removed by force; the end of the maximum hold; the coordinator that abandons it. All but the first are told to the holders by
//! [`HeldState::end`] *before* the entry is withdrawn. While a command is carried out, all but the entry are still heard, and the
//! entry is looked at by the command itself: a change that nobody awaits any more does not keep a release waiting. Given up in
//! flight it can still arrive, and then changes an entry that is about to go or finds none.
//!
//! *A release that races another end.* [`HeldState::end`] decides which was first. If that is the release, its command (or the
//! closing of the channel) follows without an await in between, so the task takes it before it goes, and answers what became
//! of the entry.
//!
//! **The minimum hold** begins with the grant, and counts once the guard was handed over to the application. The entry of a hold that ends early by its guard stays for the *rest* of the time; its coordinator is kept
//! for as long ([`Request::_keeps`](crate::acquisition::Request::_keeps)). The rest ends early by what ends a hold: a lost session, an entry that
//! was removed or is broken. A shutdown waits for it within its grace; abandoned after that, the entry goes with the session.
//!
//! **What is watched.** The entry's mode and version, from some 50 ms after its enqueue on, so that a short hold costs no
//! more than its enqueue and its withdrawal. An entry's first version is its order, so that a change between enqueue and
//! watch is not missed. An entry of another order is not the one that was granted (see [`crate::own_entry`]). After each change the entry is read, and nothing is concluded from the change itself.
//!
//! **Writers of one entry** are its holder and whoever asks it to give up. Both compare versions, and who finds another one
//! than it knew reads the entry again and merges: the holder owns mode and payload, the others the fields `asked` and `broken`. A
//! change that went unanswered is found out by reading the entry.
//!
//! **At each await.** The task is dropped only with its runtime: [`EndOnDrop`] tells the holders, and the service
//! removes the entry with the session. The callers of a command own nothing but a reply channel.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use crate::backend::{Entry, Publish, Published};
use crate::backend_error::{BackendError, BackendErrorKind};
use crate::engine::Engine;
use crate::entry_value::{EntryValue, ValueForm};
use crate::errand::{Errand, attend, pause};
use crate::error::{Error, ReleaseError};
use crate::held::{Held, HeldState};
use crate::liveness::{LivenessCell, LossReason};
use crate::mode::Mode;
use crate::observe::{self, Span};
use crate::own_entry::{OwnEntry, Release, transient_backoff};

/// A grant on its way to a guard, and what a guard is made of. Dropping it gives up the hold.
pub(crate) struct Grant {
    held: Held,
    commands: mpsc::UnboundedSender<Command>,
    /// The task that keeps the hold, where somebody carries it out himself at first.
    kept_by: Option<Arc<Errand>>,
}

/// What a guard asks of the task that keeps its hold.
enum Command {
    Release(oneshot::Sender<Release>),
    /// Boxed: the channel of every hold has room for some commands, and most holds are never changed.
    Change(Box<Change>, oneshot::Sender<Result<(), Unchanged>>),
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

impl HoldLimits {
    /// Why nothing can be held within these limits.
    pub(crate) fn objection(&self) -> Option<&'static str> {
        match self.max {
            Some(max) if max.is_zero() => Some("a maximum hold of zero"),
            Some(max) if max < self.min => Some("a maximum hold that is shorter than the minimum"),
            _ => None,
        }
    }
}

impl Grant {
    pub(crate) fn held(&self) -> &Held {
        &self.held
    }

    pub(crate) fn kept_by(mut self, task: Arc<Errand>) -> Self {
        self.kept_by = Some(task);
        self
    }

    /// What the task answers.
    async fn answer<T>(&self, answer: oneshot::Receiver<T>) -> Option<T> {
        match &self.kept_by {
            Some(task) => attend(task, answer).await,
            None => answer.await.ok(),
        }
    }

    /// The application has it from now on. What nobody ever had, because the caller was gone at that moment or needed more than
    /// this, is given up without a minimum.
    pub(crate) fn hand_over(&self) {
        self.held.state().hand_over();
    }

    /// Gives up the hold and waits for the service's word.
    pub(crate) async fn release(self) -> Result<(), ReleaseError> {
        let state = self.held.state();
        let error = |reason| state.error("release", reason);
        // One look and one step: a loss in between stays a loss.
        match state.ended().unwrap_or_else(|| state.end(LossReason::Released)) {
            LossReason::Released => {}
            reason => return Err(ReleaseError::Lost(error(reason))),
        }
        let (reply, outcome) = oneshot::channel();
        let sent = self.commands.send(Command::Release(reply)).is_ok();
        match if sent { self.answer(outcome).await } else { None } {
            Some(Release::Done) => Ok(()),
            Some(Release::Lost(reason)) => Err(ReleaseError::Lost(error(reason))),
            // None: the driver's runtime is gone.
            Some(Release::Unknown) | None => Err(ReleaseError::Unknown(state.unconfirmed())),
        }
    }

    /// Changes the entry, and waits until the service has confirmed it, or the hold is over.
    pub(crate) async fn change(&self, operation: &'static str, change: Change) -> Result<(), Error> {
        let state = self.held.state();
        if let Some(reason) = state.ended() {
            return Err(state.error(operation, reason));
        }
        let (reply, outcome) = oneshot::channel();
        let sent = self.commands.send(Command::Change(Box::new(change), reply)).is_ok();
        match if sent { self.answer(outcome).await } else { None } {
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
        let state = self.held.state();
        // A loss that nobody has noticed yet stays one.
        if state.ended().is_none() {
            state.end(LossReason::Released);
        }
        if let Some(task) = &self.kept_by {
            task.hand_over();
        }
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
    since: Instant,
    min: Duration,
    /// When somebody wants to be told that it is still held.
    alert_at: Option<Instant>,
    ending: Ending,
    _fail_closed: EndOnDrop,
}

/// What ends a hold without a word of its guard or of its entry.
#[derive(Clone)]
struct Ending {
    engine: Arc<Engine>,
    liveness: Arc<LivenessCell>,
    /// When the maximum hold is over; a time that no clock reaches is no limit.
    at: Option<Instant>,
}

impl Ending {
    async fn reached(&self) -> LossReason {
        tokio::select! {
            biased;
            reason = self.liveness.seen_lost() => reason,
            () = self.engine.abandon.cancelled() => LossReason::ShutDown,
            () = reach(self.at) => LossReason::MaxHoldPassed,
        }
    }
}

/// Resolves at that time, or never.
async fn reach(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// What happened to a hold.
enum Event {
    Command(Option<Command>),
    Over(LossReason),
    Long,
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
        let grant = Grant { held: Held::new(state.clone()), commands: sender, kept_by: None };
        let _fail_closed = EndOnDrop(state.clone());
        let since = Instant::now();
        let ending = Ending {
            engine: engine.clone(),
            liveness: own.live.liveness().clone(),
            at: limits.max.and_then(|max| since.checked_add(max)),
        };
        let (min, alerts) = (limits.min, engine.alerts.as_ref());
        let alert_at = alerts.and_then(|alerts| since.checked_add(alerts.threshold()?));
        let holding =
            Self { engine, own, state, commands, value, version, since, min, alert_at, ending, _fail_closed };
        (grant, holding)
    }

    /// What it is traced in.
    pub(crate) fn span(&self) -> Span {
        observe::hold_span(&self.state)
    }

    /// Leaves the hold alone until its guard says something, or its session is lost, or the driver takes it.
    pub(crate) async fn pause(&self) {
        tokio::select! {
            biased;
            _ = self.ending.reached() => {}
            () = pause() => {}
        }
    }

    /// Keeps the hold until it is over and its entry is gone.
    pub(crate) async fn keep(mut self, announce: Option<Mode>) {
        if let Some(mode) = announce {
            // Refused, it is a hint that the others do without.
            let announced = self.change(Change { mode: Some(mode), ..Change::default() }).await;
            if let Some(reason) = loss(&announced) {
                return self.end(reason).await;
            }
        }
        loop {
            let over = match self.next().await {
                Event::Command(None) => return self.release(None).await,
                Event::Command(Some(Command::Release(reply))) => return self.release(Some(reply)).await,
                Event::Command(Some(Command::Change(change, reply))) => {
                    let outcome = self.change(*change).await;
                    let over = loss(&outcome);
                    // Told first, so that whoever sees the error sees the loss as well.
                    if let Some(reason) = over {
                        self.state.end(reason);
                    }
                    // Whoever asked may be gone.
                    let _ = reply.send(outcome);
                    over
                }
                Event::Over(reason) => Some(reason),
                Event::Long => {
                    self.alert_at = None;
                    observe::held_long(&self.engine, &self.state, self.since.elapsed());
                    None
                }
                Event::Entry(entry) => self.adopt(entry).err(),
            };
            if let Some(reason) = over {
                return self.end(reason).await;
            }
        }
    }

    async fn next(&mut self) -> Event {
        tokio::select! {
            biased;
            command = self.commands.recv() => Event::Command(command),
            reason = self.ending.reached() => Event::Over(reason),
            entry = self.own.altered(self.version) => Event::Entry(entry),
            () = reach(self.alert_at) => Event::Long,
        }
    }

    /// Changes the entry, however often that has to be tried, as long as the hold lasts.
    async fn change(&mut self, change: Change) -> Result<(), Unchanged> {
        let (ending, state) = (self.ending.clone(), self.state.clone());
        tokio::select! {
            biased;
            reason = state.over() => Err(Unchanged::Over(reason)),
            outcome = self.publish(change) => outcome,
            reason = ending.reached() => Err(Unchanged::Over(reason)),
        }
    }

    async fn publish(&mut self, change: Change) -> Result<(), Unchanged> {
        let mut backoff = transient_backoff(&self.engine.entropy);
        loop {
            let mut value = self.value.clone();
            if let Some(payload) = &change.payload {
                value.payload = payload.clone();
            }
            let publish = Publish {
                attempt: self.own.attempt,
                mode: change.mode.unwrap_or(self.own.mode),
                value: self.form().encode(&value),
                if_version: Some(self.version),
            };
            let (mode, encoded) = (publish.mode, publish.value.clone());
            match self.own.queue.publish(publish).await {
                Ok(Published::Done { version }) => {
                    (self.own.mode, self.value, self.version) = (mode, value, version);
                    return Ok(());
                }
                Ok(Published::VersionDiffers) => {}
                Err(error) => {
                    self.retryable(error)?;
                    sleep(backoff.next_delay()).await;
                }
            }
            // Somebody else has changed the entry, or nobody knows whether this has.
            match self.own.queue.entry(self.own.attempt).await {
                Ok(entry) => {
                    let done =
                        entry.as_ref().is_some_and(|entry| entry.mode == mode && entry.value == encoded);
                    if entry.as_ref().is_some_and(|entry| entry.mode == mode) {
                        self.own.mode = mode;
                    }
                    self.adopt(entry).map_err(Unchanged::Over)?;
                    if done {
                        return Ok(());
                    }
                }
                Err(error) => {
                    self.retryable(error)?;
                    sleep(backoff.next_delay()).await;
                }
            }
        }
    }

    /// Whether a request of a change is to be made again.
    fn retryable(&self, error: BackendError) -> Result<(), Unchanged> {
        match error.kind() {
            BackendErrorKind::NoEntry => Err(Unchanged::Over(LossReason::EntryRemoved)),
            BackendErrorKind::SessionLost => Err(Unchanged::Over(self.own.live.ended())),
            _ if error.is_transient() => Ok(()),
            _ => Err(Unchanged::Refused(error)),
        }
    }

    fn form(&self) -> ValueForm {
        ValueForm::of(self.state.entry().0)
    }

    /// Takes over what others have written into the entry, as it is now.
    fn adopt(&mut self, entry: Option<Entry>) -> Result<(), LossReason> {
        let Some(entry) = entry else { return Err(LossReason::EntryRemoved) };
        if entry.order != self.own.order || !entry.mode.claims_what(self.own.mode) {
            // Others are granted by what it says and where it stands, so what was granted to this holder is not there any more.
            return Err(LossReason::EntryRemoved);
        }
        self.own.mode = entry.mode;
        self.version = entry.version;
        let Some(value) = self.form().decode(&entry.value) else {
            // Not of our making, or in another program's words; the next change that this holder makes replaces it.
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
    async fn release(mut self, reply: Option<oneshot::Sender<Release>>) {
        match self.rest().await {
            None => self.own.withdraw(&self.engine, reply).await,
            Some(LossReason::ForceReleased) => {
                // The minimum was cut short, which whoever waits for its end wants to know.
                answer(reply, Release::Lost(LossReason::ForceReleased));
                self.leave(LossReason::ForceReleased, None).await;
            }
            Some(reason) => self.leave(reason, reply).await,
        }
    }

    /// Waits for the end of the minimum hold; why it is over before, if it is.
    async fn rest(&mut self) -> Option<LossReason> {
        if !self.state.was_handed_over() {
            return None;
        }
        // Never, where no clock reaches it.
        let until = self.since.checked_add(self.min);
        while until.is_none_or(|until| until > Instant::now()) {
            tokio::select! {
                biased;
                () = reach(until) => {}
                reason = self.ending.reached() => return Some(reason),
                entry = self.own.altered(self.version) => {
                    if let Err(reason) = self.adopt(entry) {
                        return Some(reason);
                    }
                }
            }
        }
        None
    }

    /// Tells the holders that the hold is over, and sees to the entry.
    async fn end(mut self, reason: LossReason) {
        if self.state.end(reason) != LossReason::Released {
            // Whoever has asked for a change meanwhile is told at once.
            self.commands.close();
            while self.commands.try_recv().is_ok() {}
            return self.leave(reason, None).await;
        }
        // The guard gave up first, and may want to hear how that went: it says so, or closes the channel, in the same breath.
        let reply = loop {
            match self.commands.recv().await {
                Some(Command::Release(reply)) => break Some(reply),
                Some(Command::Change(..)) => {}
                None => break None,
            }
        };
        self.leave(reason, reply).await;
    }

    /// Removes the entry if it may still be there and is this hold's.
    async fn leave(self, reason: LossReason, reply: Option<oneshot::Sender<Release>>) {
        match reason {
            // It is the successor's.
            LossReason::Superseded => answer(reply, Release::Lost(reason)),
            // It goes with the session.
            LossReason::ShutDown => answer(reply, Release::Unknown),
            // Nothing is asked of a session that is lost. An entry that is gone could come back by an enqueue that went unanswered.
            _ => self.own.withdraw(&self.engine, reply).await,
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

fn answer(reply: Option<oneshot::Sender<Release>>, outcome: Release) {
    if let Some(reply) = reply {
        // Whoever asked may be gone.
        let _ = reply.send(outcome);
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
    EntryValue::new(engine.holder.clone(), engine.options.clock.wall_time(), payload.clone())
}

#[cfg(test)]
#[path = "hold_tests.rs"]
mod tests;

//! Single requests of recipes to the service, beside the entries that acquisitions own.
//!
//! # Implementation
//!
//! A request is a task on the driver's runtime, where backends expect to be called. It waits for a session that lives, asks, and
//! where the session is lost or the service not reached asks again, within one budget of time.
//!
//! - A *read* may be repeated whenever its answer was lost, and ends with its caller: dropping the future aborts the task.
//! - A *write* is repeated only if it was certainly not applied; one whose answer was lost is
//!   [`ErrorKind::Indeterminate`]. It goes on when its caller is gone, as far as its budget goes: whoever drops the future does not know
//!   whether it was applied. A shutdown waits for it.
//! - A *wait* lasts until its condition is met, its patience ends, the caller gives up, or the coordinator drains. While the service is not reached it
//!   goes on. It reads, and waits for a version other than the one that it read; so no change is missed, and a waking without a change is
//!   a read more and nothing else.
//!
//! *A coordinator that drains* goes on to answer reads and writes for as long as it has its session: work under a guard that the shutdown waits for
//! may have its last word to write. It opens no session for them, and ends the waits.
//!
//! *What the budget bounds.* Nothing is begun after its end. A read under way is dropped then, a write under way is awaited, which the
//! backend bounds by the request time-out: so a write takes at most two of them.
//!
//! *At each await.* The task is dropped only with its runtime, or by a caller who drops a read or a wait: both leave nothing. A write goes with its
//! runtime only, and what became of it then nobody knows.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::acquisition::{Patience, until};
use crate::backend::{RegisterWrite, RegisterWritten, Versioned};
use crate::backend_error::{BackendError, BackendErrorKind};
use crate::engine::{Engine, NoSession};
use crate::error::{Error, ErrorKind};
use crate::liveness::LossReason;
use crate::name::KeyPath;
use crate::named::Named;
use crate::own_entry::transient_backoff;
use crate::session_keeper::LiveSession;

/// How a request may be treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// It changes nothing.
    Read,
    /// It changes something, and may be made again whatever became of it.
    Repeatable,
    /// It changes something, and is not made again unless it certainly was not applied.
    Write,
}

/// Why a request has no answer.
pub(crate) enum Failed {
    Backend(Arc<BackendError>),
    Closed,
    OutOfTime,
}

impl Failed {
    /// The same of a request that changes nothing: there is nothing to be in doubt of.
    pub(crate) fn changing_nothing(self) -> Self {
        match self {
            Failed::Backend(error) if error.kind() == BackendErrorKind::Indeterminate => Failed::OutOfTime,
            other => other,
        }
    }
}

impl Named {
    /// Asks the service for something that changes nothing, for at most the request time-out.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if there was no answer in time, [`ErrorKind::Closed`], and what the service refuses with.
    pub(crate) async fn ask<T, F>(
        &self,
        operation: &'static str,
        ask: impl Fn(Arc<LiveSession>) -> F + Send + Sync + 'static,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, BackendError>> + Send,
        T: Send + 'static,
    {
        let engine = self.coordinator().engine().clone();
        let budget = engine.request_timeout;
        let task = async move { request(&engine, Effect::Read, budget, ask).await };
        let answer = AbortOnDrop(self.spawn(task)).await;
        self.answer(operation, answer)
    }

    /// The value of a register.
    ///
    /// # Errors
    /// As [`Named::ask`].
    pub(crate) async fn read_register(
        &self,
        operation: &'static str,
        register: &KeyPath,
    ) -> Result<Option<Versioned>, Error> {
        let register = register.clone();
        self.ask(operation, move |live| {
            let register = register.clone();
            async move { live.session.read(&register).await }
        })
        .await
    }

    /// Writes a register, if the write's conditions are met.
    ///
    /// # Errors
    /// As [`Named::ask`], and [`ErrorKind::Indeterminate`] if it was sent and not answered. With all others it was certainly not applied, but for
    /// [`ErrorKind::DriverGone`], which tells nothing.
    pub(crate) async fn write_register(
        &self,
        operation: &'static str,
        register: &KeyPath,
        write: RegisterWrite,
    ) -> Result<RegisterWritten, Error> {
        self.tell(operation, register, move |live, register| {
            let write = write.clone();
            async move { live.session.write(&register, write).await }
        })
        .await
    }

    /// Writes once more what was written before, where that makes no difference, and reads the register on the same session: what is
    /// read is as new as what the write was answered.
    ///
    /// # Errors
    /// As [`Named::write_register`].
    pub(crate) async fn repeat_write(
        &self,
        operation: &'static str,
        register: &KeyPath,
        write: RegisterWrite,
    ) -> Result<(Option<RegisterWritten>, Option<Versioned>), Error> {
        self.tell(operation, register, move |live, register| {
            let write = write.clone();
            async move {
                let written = live.session.write(&register, write).await?;
                let value = live.session.read(&register).await?;
                Ok((Some(written), value))
            }
        })
        .await
    }

    /// Makes a request that may change something. It goes on when its caller is gone.
    async fn tell<T, F>(
        &self,
        operation: &'static str,
        register: &KeyPath,
        tell: impl Fn(Arc<LiveSession>, KeyPath) -> F + Send + Sync + 'static,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, BackendError>> + Send,
        T: Send + 'static,
    {
        let (engine, register) = (self.coordinator().engine().clone(), register.clone());
        let budget = engine.request_timeout;
        let task =
            async move { request(&engine, Effect::Write, budget, |live| tell(live, register.clone())).await };
        let answer = self.spawn(task).await.ok();
        self.answer(operation, answer)
    }

    /// Waits until the register's value is such that `enough` answers something.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] when the coordinator shuts down meanwhile, and what the service refuses with for good.
    pub(crate) async fn until_register<T>(
        &self,
        operation: &'static str,
        register: &KeyPath,
        enough: impl FnMut(Option<&Versioned>) -> Option<T> + Send + 'static,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
    {
        match self.until_register_within(operation, register, Patience::Forever, enough).await? {
            Some(enough) => Ok(enough),
            // Only a wait whose patience ends is over without an answer.
            None => Err(self.error(ErrorKind::Closed, operation, "the wait was given up")),
        }
    }

    /// The same for as long as the patience goes; `None` when it is over and the value was read, but was not such.
    /// [`Patience::Try`] looks once.
    ///
    /// # Errors
    /// As [`Named::until_register`], and [`ErrorKind::Unavailable`] if the value was not read within the patience.
    pub(crate) async fn until_register_within<T>(
        &self,
        operation: &'static str,
        register: &KeyPath,
        patience: Patience,
        enough: impl FnMut(Option<&Versioned>) -> Option<T> + Send + 'static,
    ) -> Result<Option<T>, Error>
    where
        T: Send + 'static,
    {
        let (engine, register) = (self.coordinator().engine().clone(), register.clone());
        let task = async move {
            let patient = match patience {
                Patience::Try => Some(engine.request_timeout),
                Patience::For(patience) => Some(patience),
                Patience::Forever => None,
            };
            let deadline = patient.and_then(|patience| Instant::now().checked_add(patience));
            let mut step = RegisterIs { register, enough, once: patience == Patience::Try, read: false };
            let over = tokio::select! {
                over = take_steps(&engine, &mut step) => Some(over),
                () = until(deadline) => None,
            };
            match over {
                Some(over) => over,
                None if step.read => Ok(None),
                None => Err(Failed::OutOfTime),
            }
        };
        let answer = AbortOnDrop(self.spawn(task)).await;
        self.answer(operation, answer)
    }

    /// Takes steps until one answers something.
    ///
    /// # Errors
    /// As [`Named::until_register`].
    pub(crate) async fn until<S: Step>(
        &self,
        operation: &'static str,
        mut step: S,
    ) -> Result<S::Output, Error> {
        let engine = self.coordinator().engine().clone();
        let task = async move { take_steps(&engine, &mut step).await };
        let answer = AbortOnDrop(self.spawn(task)).await;
        self.answer(operation, answer)
    }

    /// The same until a deadline at most; `None` when that passes.
    ///
    /// # Errors
    /// As [`Named::until`].
    pub(crate) async fn until_at_most<S: Step>(
        &self,
        operation: &'static str,
        deadline: Option<Instant>,
        mut step: S,
    ) -> Result<Option<S::Output>, Error> {
        let engine = self.coordinator().engine().clone();
        let task = async move {
            tokio::select! {
                over = take_steps(&engine, &mut step) => over.map(Some),
                () = until(deadline) => Ok(None),
            }
        };
        let answer = AbortOnDrop(self.spawn(task)).await;
        self.answer(operation, answer)
    }

    /// Carries out what consists of several requests, to its end also when the caller is gone. A shutdown waits for it.
    ///
    /// # Errors
    /// As [`Named::ask`], and [`ErrorKind::Indeterminate`] if a request that changes something was not answered.
    pub(crate) async fn carry_out<T: Send + 'static>(
        &self,
        operation: &'static str,
        requests: impl Future<Output = Result<T, Failed>> + Send + 'static,
    ) -> Result<T, Error> {
        let answer = self.spawn(requests).await.ok();
        self.answer(operation, answer)
    }

    /// Lets time pass, whatever runtime the caller is on.
    pub(crate) async fn pause(&self, time: Duration) {
        let driver = &self.coordinator().engine().driver;
        // Without its runtime whatever is tried next fails, and says so.
        let _ = AbortOnDrop(driver.spawn(async move { sleep(time).await })).await;
    }

    fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = Result<T, Failed>> + Send + 'static,
    ) -> JoinHandle<Result<T, Failed>> {
        let engine = self.coordinator().engine();
        engine.spawn(task)
    }

    /// `None`: the driver's runtime is gone.
    fn answer<T>(&self, operation: &'static str, answer: Option<Result<T, Failed>>) -> Result<T, Error> {
        let engine = self.coordinator().engine();
        let error = |kind, detail: &str| Err(self.error(kind, operation, detail));
        let backend = |error| Err(self.with_name(Error::from_backend(operation, error)));
        match answer {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(Failed::Backend(error))) => backend(error),
            Some(Err(Failed::Closed)) => error(ErrorKind::Closed, "the coordinator is shut down"),
            Some(Err(Failed::OutOfTime)) => match engine.connection_error() {
                Some(error) => backend(error),
                None => error(ErrorKind::Unavailable, "the service did not answer in time"),
            },
            None => error(ErrorKind::DriverGone, &LossReason::DriverGone.to_string()),
        }
    }
}

/// One step of a wait: looks, and either answers or waits for a change.
///
/// It may be dropped at each of its awaits and taken again, on another session too, and an error that may pass is followed by
/// another step. So a step concludes nothing from the one before but what stays true.
#[async_trait]
pub(crate) trait Step: Send + 'static {
    /// What the wait is for.
    type Output: Send + 'static;

    /// `None`: something has changed, or may have.
    async fn step(&mut self, live: &LiveSession) -> Result<Option<Self::Output>, BackendError>;
}

/// Waits for a value of a register.
struct RegisterIs<E> {
    register: KeyPath,
    enough: E,
    /// Only one look, which answers `None` if it is not enough.
    once: bool,
    /// Whether the value was read at all.
    read: bool,
}

#[async_trait]
impl<T, E> Step for RegisterIs<E>
where
    T: Send + 'static,
    E: FnMut(Option<&Versioned>) -> Option<T> + Send + 'static,
{
    type Output = Option<T>;

    async fn step(&mut self, live: &LiveSession) -> Result<Option<Option<T>>, BackendError> {
        let value = live.session.read(&self.register).await?;
        self.read = true;
        let enough = (self.enough)(value.as_ref());
        if enough.is_some() || self.once {
            return Ok(Some(enough));
        }
        let seen = value.map_or(0, |value| value.version);
        live.session.register_changed(&self.register, seen).await.map(|()| None)
    }
}

/// Takes steps until one answers something, or the coordinator drains.
async fn take_steps<S: Step>(engine: &Engine, step: &mut S) -> Result<S::Output, Failed> {
    let steps = async {
        let mut backoff = transient_backoff(&engine.entropy);
        loop {
            let live = engine.live_session().await.map_err(no_session)?;
            let stepped = tokio::select! {
                stepped = step.step(&live) => stepped,
                _ = live.liveness().seen_lost() => continue,
            };
            match stepped {
                Ok(Some(output)) => return Ok(output),
                Ok(None) => backoff = transient_backoff(&engine.entropy),
                Err(error) => {
                    retryable(&live, error, Effect::Read)?;
                    sleep(backoff.next_delay()).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = engine.draining.cancelled() => Err(Failed::Closed),
        output = steps => output,
    }
}

fn no_session(error: NoSession) -> Failed {
    match error {
        NoSession::Refused(error) => Failed::Backend(error),
        NoSession::Closed => Failed::Closed,
    }
}

/// A session that lives. A coordinator that drains does not get another one.
async fn session(engine: &Engine) -> Result<Arc<LiveSession>, Failed> {
    tokio::select! {
        biased;
        live = engine.live_session() => live.map_err(no_session),
        () = engine.draining.cancelled() => Err(Failed::Closed),
    }
}

/// One of the requests of [`Named::carry_out`], which may be made again whatever became of it, for at most the request time-out.
pub(crate) async fn repeatable<T, F>(
    engine: &Engine,
    ask: impl Fn(Arc<LiveSession>) -> F,
) -> Result<T, Failed>
where
    F: Future<Output = Result<T, BackendError>>,
{
    request(engine, Effect::Repeatable, engine.request_timeout, ask).await
}

/// Asks until there is an answer, for at most `budget`.
async fn request<T, F>(
    engine: &Engine,
    effect: Effect,
    budget: Duration,
    ask: impl Fn(Arc<LiveSession>) -> F,
) -> Result<T, Failed>
where
    F: Future<Output = Result<T, BackendError>>,
{
    let deadline = Instant::now().checked_add(budget);
    let mut backoff = transient_backoff(&engine.entropy);
    // Why the last try failed, where that says more than that time is up.
    let mut last = Failed::OutOfTime;
    loop {
        let live = tokio::select! {
            biased;
            live = session(engine) => live?,
            () = until(deadline) => return Err(last),
        };
        let asked = ask(live.clone());
        let answer = match effect {
            Effect::Write | Effect::Repeatable => asked.await,
            Effect::Read => tokio::select! {
                biased;
                answer = asked => answer,
                () = until(deadline) => return Err(last),
            },
        };
        match answer {
            Ok(answer) => return Ok(answer),
            Err(error) => last = retryable(&live, error, effect)?,
        }
        let delay = backoff.next_delay();
        if deadline.is_some_and(|deadline| Instant::now() + delay >= deadline) {
            return Err(last);
        }
        sleep(delay).await;
    }
}

/// What to say if there is no time to make the request again; an error if it must not be made again.
fn retryable(live: &LiveSession, error: BackendError, effect: Effect) -> Result<Failed, Failed> {
    match error.kind() {
        // Decided before anything was done, and the next session may do it.
        BackendErrorKind::SessionLost => {
            live.ended();
            Ok(Failed::OutOfTime)
        }
        BackendErrorKind::Unavailable => Ok(Failed::Backend(Arc::new(error))),
        BackendErrorKind::Indeterminate if effect == Effect::Repeatable => {
            Ok(Failed::Backend(Arc::new(error)))
        }
        // What changes nothing was merely not answered.
        BackendErrorKind::Indeterminate if effect == Effect::Read => Ok(Failed::OutOfTime),
        _ => Err(Failed::Backend(Arc::new(error))),
    }
}

/// A task that nobody needs when nobody awaits it.
pub(crate) struct AbortOnDrop<T>(pub(crate) JoinHandle<T>);

impl<T> Future for AbortOnDrop<T> {
    /// `None`: the task's runtime is gone.
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        Pin::new(&mut self.0).poll(context).map(Result::ok)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests;

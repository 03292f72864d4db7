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
//! - A *wait* has no budget of its own: it lasts until its condition is met, the caller gives up, or the coordinator drains. While the service is not
//!   reached it goes on.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

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
    Read,
    Write,
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

struct RegisterIs<E> {
    register: KeyPath,
    enough: E,
}

#[async_trait]
impl<T, E> Step for RegisterIs<E>
where
    T: Send + 'static,
    E: FnMut(Option<&Versioned>) -> Option<T> + Send + 'static,
{
    type Output = T;

    async fn step(&mut self, live: &LiveSession) -> Result<Option<T>, BackendError> {
        let value = live.session.read(&self.register).await?;
        if let Some(enough) = (self.enough)(value.as_ref()) {
            return Ok(Some(enough));
        }
        let seen = value.map_or(0, |value| value.version);
        live.session.register_changed(&self.register, seen).await.map(|()| None)
    }
}

/// Why a request has no answer.
enum Failed {
    Backend(Arc<BackendError>),
    Closed,
    OutOfTime,
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
    /// As [`Named::ask`], and [`ErrorKind::Indeterminate`] if it was sent and not answered.
    pub(crate) async fn write_register(
        &self,
        operation: &'static str,
        register: &KeyPath,
        write: RegisterWrite,
    ) -> Result<RegisterWritten, Error> {
        let (engine, register) = (self.coordinator().engine().clone(), register.clone());
        let budget = engine.request_timeout;
        let task = async move {
            request(&engine, Effect::Write, budget, |live| {
                let (register, write) = (register.clone(), write.clone());
                async move { live.session.write(&register, write).await }
            })
            .await
        };
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
        self.until(operation, RegisterIs { register: register.clone(), enough }).await
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
        let task = async move {
            let mut backoff = transient_backoff();
            loop {
                let live = session(&engine).await?;
                let stepped = tokio::select! {
                    stepped = step.step(&live) => stepped,
                    _ = live.liveness().lost() => continue,
                    () = engine.draining.cancelled() => return Err(Failed::Closed),
                };
                match stepped {
                    Ok(Some(output)) => return Ok(output),
                    Ok(None) => backoff = transient_backoff(),
                    Err(error) => {
                        retryable(&live, error, Effect::Read)?;
                        sleep(backoff.next_delay()).await;
                    }
                }
            }
        };
        let answer = AbortOnDrop(self.spawn(task)).await;
        self.answer(operation, answer)
    }

    fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = Result<T, Failed>> + Send + 'static,
    ) -> JoinHandle<Result<T, Failed>> {
        let engine = self.coordinator().engine();
        engine.acquisitions.spawn_on(task, engine.driver.handle())
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

/// A session that lives.
async fn session(engine: &Engine) -> Result<Arc<LiveSession>, Failed> {
    let live = tokio::select! {
        biased;
        () = engine.draining.cancelled() => return Err(Failed::Closed),
        live = engine.live_session() => live,
    };
    live.map_err(|error| match error {
        NoSession::Refused(error) => Failed::Backend(error),
        NoSession::Closed => Failed::Closed,
    })
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
    let deadline = Instant::now() + budget;
    let mut backoff = transient_backoff();
    let mut last = None;
    let out_of_time = |last: Option<Arc<BackendError>>| last.map_or(Failed::OutOfTime, Failed::Backend);
    loop {
        let live = match timeout_at(deadline, session(engine)).await {
            Ok(live) => live?,
            Err(_) => return Err(out_of_time(last)),
        };
        // The backend bounds each operation by the request time-out itself; nothing is dropped in flight here.
        match ask(live.clone()).await {
            Ok(answer) => return Ok(answer),
            Err(error) => last = Some(retryable(&live, error, effect)?),
        }
        let delay = backoff.next_delay();
        if Instant::now() + delay >= deadline {
            return Err(out_of_time(last));
        }
        sleep(delay).await;
    }
}

/// The error, if the request may be made again.
fn retryable(live: &LiveSession, error: BackendError, effect: Effect) -> Result<Arc<BackendError>, Failed> {
    let again = match error.kind() {
        BackendErrorKind::SessionLost => {
            live.liveness().end(LossReason::SessionEnded);
            true
        }
        BackendErrorKind::Unavailable => true,
        BackendErrorKind::Indeterminate => effect == Effect::Read,
        _ => false,
    };
    let error = Arc::new(error);
    if again { Ok(error) } else { Err(Failed::Backend(error)) }
}

/// A task that nobody needs when nobody awaits it.
struct AbortOnDrop<T>(JoinHandle<T>);

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

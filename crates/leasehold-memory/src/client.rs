//! How calls reach the service.
//!
//! # Implementation
//!
//! A call that nothing hinders is applied on the spot, without a task and without waiting. Otherwise it becomes a *letter*: a
//! task of its own that carries it to the service, however long that takes and whatever became of the caller,
//! and answers through a channel. The caller waits for the answer, the request time-out or the break of its
//! connection, whichever comes first; the last two are `Indeterminate`. So a dropped future leaves at most a letter
//! under way, as a dropped request of a real client does.
//!
//! Every transaction of a session checks that the session lives and that the caller is its newest incarnation. A
//! letter that arrives late meets the same check, and the tombstone of its attempt.
//!
//! A wait ([`Client::until_changed`]) is woken by its [topic](Topic), by the end of the session or not at all. It
//! reports nothing while the link or the service is down. Dropped, it takes its registration back.

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::mirror::Registration;
use leasehold_core::{AttemptId, BackendError, BackendErrorKind, KeyPath, LivenessCell, Timestamp};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::error::{denied, indeterminate, session_lost, unavailable};
use crate::fault::{Call, Fault, Operation};
use crate::link::Link;
use crate::service::Service;
use crate::state::{SessionRef, State, Topic};

/// What a call is about, for the hook and for errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site<'a> {
    pub(crate) operation: Operation,
    pub(crate) path: Option<&'a KeyPath>,
    pub(crate) attempt: Option<AttemptId>,
}

impl<'a> Site<'a> {
    pub(crate) fn new(operation: Operation) -> Self {
        Self { operation, path: None, attempt: None }
    }

    pub(crate) fn at(operation: Operation, path: &'a KeyPath, attempt: Option<AttemptId>) -> Self {
        Self { operation, path: Some(path), attempt }
    }
}

/// How old what a look shows may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    Newest,
    Oldest,
}

/// One side of a link.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) service: Arc<Service>,
    pub(crate) link: Arc<Link>,
    pub(crate) session: Option<(SessionRef, Arc<LivenessCell>)>,
    pub(crate) patience: Duration,
}

impl Client {
    /// Calls the service. If the answer is that the session is over, that is told to everybody, with the reason.
    pub(crate) async fn call<T, A>(&self, site: Site<'_>, apply: A) -> Result<T, BackendError>
    where
        T: Send + 'static,
        A: FnOnce(&mut State, Timestamp) -> Result<T, BackendError> + Send + 'static,
    {
        let answer = self.call_with_faults(site, apply).await;
        self.noticed(answer)
    }

    fn noticed<T>(&self, answer: Result<T, BackendError>) -> Result<T, BackendError> {
        if let (Err(error), Some((session, liveness))) = (&answer, &self.session)
            && error.kind() == BackendErrorKind::SessionLost
        {
            liveness.end(self.service.transact(|state, _| state.loss(*session)));
        }
        answer
    }

    async fn call_with_faults<T, A>(&self, site: Site<'_>, apply: A) -> Result<T, BackendError>
    where
        T: Send + 'static,
        A: FnOnce(&mut State, Timestamp) -> Result<T, BackendError> + Send + 'static,
    {
        // Calls that never wait would starve the other tasks of the thread.
        tokio::task::coop::consume_budget().await;
        let operation = site.operation;
        match self.fault(site) {
            // The last ones concern others.
            Fault::None | Fault::Wake(_) | Fault::LoseEvent(_) | Fault::Stale => {
                self.send(operation, apply).await
            }
            Fault::Refuse => Err(unavailable(operation)),
            Fault::Deny => Err(denied(operation)),
            Fault::Delay(time) => self.exchange(operation, time, apply).await,
            Fault::LoseRequest => Err(indeterminate(operation)),
            Fault::LoseReply => match self.send(operation, apply).await {
                Err(error) if error.kind() == unavailable(operation).kind() => Err(error),
                _ => Err(indeterminate(operation)),
            },
            Fault::DelayReply(time) => {
                let answer = self.send(operation, apply).await;
                self.delay_reply(operation, time, answer).await
            }
            Fault::DeliverLate(time) => {
                drop(self.post(time, apply));
                Err(indeterminate(operation))
            }
        }
    }

    /// Calls the service with something that cannot leave the caller, so that it is applied here or not at all.
    pub(crate) async fn call_here<T>(
        &self,
        site: Site<'_>,
        apply: impl FnOnce(&mut State, Timestamp, Age) -> Result<T, BackendError> + Send,
    ) -> Result<T, BackendError> {
        let answer = self.call_here_with_faults(site, apply).await;
        self.noticed(answer)
    }

    async fn call_here_with_faults<T>(
        &self,
        site: Site<'_>,
        apply: impl FnOnce(&mut State, Timestamp, Age) -> Result<T, BackendError> + Send,
    ) -> Result<T, BackendError> {
        tokio::task::coop::consume_budget().await;
        let operation = site.operation;
        let fault = self.fault(site);
        let age = if fault == Fault::Stale { Age::Oldest } else { Age::Newest };
        let apply = |state: &mut State, now| apply(state, now, age);
        let delay = match fault {
            Fault::None | Fault::Wake(_) | Fault::LoseEvent(_) | Fault::Stale => Duration::ZERO,
            Fault::Delay(time) => time,
            Fault::DelayReply(time) => {
                let answer = self.service.transact(apply);
                return self.delay_reply(operation, time, answer).await;
            }
            Fault::Refuse => return Err(unavailable(operation)),
            Fault::Deny => return Err(denied(operation)),
            Fault::LoseRequest | Fault::LoseReply | Fault::DeliverLate(_) => {
                return Err(indeterminate(operation));
            }
        };
        if delay.is_zero() && self.reaches_service() {
            return self.service.transact(apply);
        }
        let connection = self.link.state();
        if connection.is_cut() {
            return Err(unavailable(operation));
        }
        let answered = async {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            self.service.until_running().await;
            self.link.until(|link| link.carries_replies()).await;
        };
        tokio::select! {
            biased;
            () = answered => self.service.transact(apply),
            () = self.link.broken(connection) => Err(indeterminate(operation)),
            () = tokio::time::sleep(self.patience) => Err(indeterminate(operation)),
        }
    }

    async fn delay_reply<T>(
        &self,
        operation: Operation,
        delay: Duration,
        answer: Result<T, BackendError>,
    ) -> Result<T, BackendError> {
        tokio::time::sleep(delay.min(self.patience)).await;
        if delay < self.patience { answer } else { Err(indeterminate(operation)) }
    }

    fn fault(&self, site: Site<'_>) -> Fault {
        self.service.faults.next(|nth| Call {
            operation: site.operation,
            session: self.session.as_ref().map(|(session, _)| session.id.to_string()),
            path: site.path.cloned(),
            attempt: site.attempt,
            nth,
        })
    }

    async fn send<T, A>(&self, operation: Operation, apply: A) -> Result<T, BackendError>
    where
        T: Send + 'static,
        A: FnOnce(&mut State, Timestamp) -> Result<T, BackendError> + Send + 'static,
    {
        if self.reaches_service() {
            return self.service.transact(apply);
        }
        self.exchange(operation, Duration::ZERO, apply).await
    }

    /// Sends a letter and waits for the answer.
    async fn exchange<T, A>(&self, operation: Operation, delay: Duration, apply: A) -> Result<T, BackendError>
    where
        T: Send + 'static,
        A: FnOnce(&mut State, Timestamp) -> Result<T, BackendError> + Send + 'static,
    {
        let connection = self.link.state();
        if connection.is_cut() {
            return Err(unavailable(operation));
        }
        let letter = self.post(delay, apply);
        let answered = async {
            match letter.await {
                Ok(answer) if self.link.state().carries_replies() => answer,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            answer = answered => answer,
            () = self.link.broken(connection) => Err(indeterminate(operation)),
            () = tokio::time::sleep(self.patience) => Err(indeterminate(operation)),
        }
    }

    /// Sends a letter.
    fn post<T, A>(&self, delay: Duration, apply: A) -> oneshot::Receiver<Result<T, BackendError>>
    where
        T: Send + 'static,
        A: FnOnce(&mut State, Timestamp) -> Result<T, BackendError> + Send + 'static,
    {
        let (answer, receiver) = oneshot::channel();
        let service = Arc::clone(&self.service);
        tokio::spawn(async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            service.until_running().await;
            let _ = answer.send(service.transact(apply));
        });
        receiver
    }

    /// Waits until `differs` says so, which it is asked again at each change of `topic`. Ends with `SessionLost` when
    /// `over` is cancelled.
    pub(crate) async fn until_changed(
        &self,
        site: Site<'_>,
        topic: Topic,
        over: &CancellationToken,
        differs: impl Fn(&State) -> bool + Send,
    ) -> Result<(), BackendError> {
        tokio::task::coop::consume_budget().await;
        let fault = self.fault(site);
        match fault {
            Fault::Refuse => return Ok(()),
            Fault::Deny => return Err(denied(site.operation)),
            _ => {}
        }
        let reported = async {
            self.until_different(topic, differs).await;
            match fault {
                Fault::Delay(time) => tokio::time::sleep(time).await,
                Fault::LoseEvent(time) => {
                    tokio::time::sleep(time).await;
                    self.link.interrupt();
                }
                _ => {}
            }
        };
        let woken = async {
            match fault {
                Fault::Wake(time) => tokio::time::sleep(time).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = over.cancelled() => Err(session_lost()),
            () = reported => Ok(()),
            () = woken => Ok(()),
        }
    }

    async fn until_different(&self, topic: Topic, differs: impl Fn(&State) -> bool + Send) {
        loop {
            let registered = self.service.transact(|state, _| {
                (!differs(state)).then(|| {
                    let (registration, notified) = state.waiters.register(topic.clone());
                    (Watching { service: &self.service, registration }, notified)
                })
            });
            match registered {
                Some((_watching, notified)) => notified.await,
                None if self.reaches_service() => return,
                None => self.until_reached().await,
            }
        }
    }

    fn reaches_service(&self) -> bool {
        self.service.is_running() && self.link.state().carries_replies()
    }

    /// Resolves once the service answers over this link.
    pub(crate) async fn until_reached(&self) {
        while !self.reaches_service() {
            self.link.until(|link| link.carries_replies()).await;
            self.service.until_running().await;
        }
    }
}

/// Takes the registration back when the wait ends or is dropped.
struct Watching<'a> {
    service: &'a Service,
    registration: Registration<Topic>,
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.service.lock().waiters.unregister(&self.registration);
    }
}

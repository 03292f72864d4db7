//! Keeps a coordinator in a session.
//!
//! # Implementation
//!
//! One task a coordinator, on the driver: opens a session, publishes it in a `watch` channel (the slot), follows its
//! liveness (which also enforces the local deadline), and when it is lost opens the next one, with a backoff. It is
//! the only writer of slot and status. The first session is one to resume if there are credentials; they are tried until it is
//! resumed or known to be gone, and then used up. It ends
//!
//! - when the first session cannot be opened and the caller wanted to know at once (`first` is answered),
//! - on a shutdown command: it drains, then closes the session,
//! - when the command channel closes, that is when the last handle of the coordinator and the last guard are gone: as by a
//!   shutdown, since nothing can be held any more, but for withdrawals that are still under way.
//!
//! Nobody awaits the task, so it is never dropped at an await but with its runtime; then the slot's sender goes, and waiters
//! see that there will be no session any more.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

use crate::attempt::{AttemptId, AttemptIds};
use crate::backend::{Credentials, OpenSession, Session};
use crate::backend_error::{BackendError, BackendErrorKind};
use crate::backoff::Backoff;
use crate::engine::Engine;
use crate::entropy::Entropy;
use crate::liveness::{Liveness, LivenessCell, LossReason};
use crate::observe::{self, SessionObserver};
use crate::status::State;

/// A session in use.
pub(crate) struct LiveSession {
    pub(crate) session: Arc<dyn Session>,
    pub(crate) attempts: AttemptIds,
    /// The entries of an earlier incarnation that this one has taken over: each has one owner.
    pub(crate) adopted: Mutex<HashSet<AttemptId>>,
    pub(crate) entropy: Entropy,
}

impl LiveSession {
    pub(crate) fn liveness(&self) -> &Arc<LivenessCell> {
        self.session.liveness()
    }

    /// Notes that the service says that the session is over, and answers why: the backend may have told more of it before.
    pub(crate) fn ended(&self) -> LossReason {
        self.liveness().end(LossReason::SessionEnded);
        match self.liveness().current() {
            Liveness::Lost(reason) => reason,
            Liveness::Live { .. } | Liveness::Suspect { .. } => LossReason::SessionEnded,
        }
    }
}

/// What acquisitions see of the keeper.
#[derive(Clone, Default)]
pub(crate) struct Slot {
    pub(crate) live: Option<Arc<LiveSession>>,
    /// Why there is none, if the last try to open one failed.
    pub(crate) error: Option<Arc<BackendError>>,
}

/// Asks the keeper to shut down; it answers how many acquisitions had not ended when `grace` was over.
pub(crate) struct Shutdown {
    pub(crate) grace: Duration,
    pub(crate) done: oneshot::Sender<usize>,
}

pub(crate) struct SessionKeeper {
    engine: Arc<Engine>,
    slot: watch::Sender<Slot>,
    commands: mpsc::UnboundedReceiver<Shutdown>,
    /// Of the session to resume, until that is done or in vain.
    resume: Option<Credentials>,
}

enum Why {
    SessionLost,
    Command(Option<Shutdown>),
}

impl SessionKeeper {
    pub(crate) fn new(
        engine: Arc<Engine>,
        slot: watch::Sender<Slot>,
        commands: mpsc::UnboundedReceiver<Shutdown>,
        resume: Option<Credentials>,
    ) -> Self {
        Self { engine, slot, commands, resume }
    }

    /// Runs until the coordinator is closed. With `first`, it answers there how the first try to open a session went, and
    /// gives up if it failed.
    pub(crate) async fn run(mut self, mut first: Option<oneshot::Sender<Result<(), Arc<BackendError>>>>) {
        let mut backoff = self.backoff();
        loop {
            let opened = tokio::select! {
                opened = open(&self.engine, self.resume.clone()) => opened,
                command = self.commands.recv() => return self.finish(command, None).await,
            };
            match opened {
                Ok(live) => {
                    backoff = self.backoff();
                    self.resume = None;
                    self.publish(&live);
                    if let Some(first) = first.take() {
                        let _ = first.send(Ok(()));
                    }
                    match self.follow(&live).await {
                        Why::SessionLost => self.discard(live),
                        Why::Command(command) => return self.finish(command, Some(live)).await,
                    }
                }
                Err(error) => {
                    let error = Arc::new(error);
                    observe::session_refused(&self.engine, &error);
                    if let Some(first) = first.take() {
                        self.engine.set_state(State::Closed);
                        let _ = first.send(Err(error));
                        return;
                    }
                    self.engine.status.send_modify(|s| s.last_error = Some(error.to_string()));
                    // There is nothing left of it to wait for.
                    if error.kind() == BackendErrorKind::SessionLost && self.resume.take().is_some() {
                        continue;
                    }
                    self.slot.send_replace(Slot { live: None, error: Some(error) });
                    tokio::select! {
                        () = sleep(backoff.next_delay()) => {}
                        command = self.commands.recv() => return self.finish(command, None).await,
                    }
                }
            }
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::with_entropy(Duration::from_millis(50), Duration::from_secs(5), self.engine.entropy.clone())
    }

    fn publish(&self, live: &Arc<LiveSession>) {
        self.engine.status.send_modify(|status| {
            status.state = State::Live;
            status.session = Some(live.session.id());
            status.ttl = Some(live.session.ttl());
        });
        self.slot.send_replace(Slot { live: Some(live.clone()), error: None });
    }

    /// Follows the session until it is lost or a command comes.
    async fn follow(&mut self, live: &Arc<LiveSession>) -> Why {
        let liveness = live.liveness().clone();
        let mut observer = SessionObserver::new(&self.engine, live);
        let mut states = liveness.subscribe();
        let lost = liveness.lost();
        tokio::pin!(lost);
        loop {
            tokio::select! {
                reason = &mut lost => {
                    observer.lost(reason);
                    self.engine.status.send_modify(|status| {
                        status.state = State::Connecting;
                        status.session = None;
                        status.last_error = Some(reason.to_string());
                    });
                    return Why::SessionLost;
                }
                // The cell, which `liveness` keeps alive, is the sender: this fails never.
                Ok(()) = states.changed() => {
                    let seen = *states.borrow_and_update();
                    observer.saw(seen);
                    let state = match seen {
                        Liveness::Live { .. } => State::Live,
                        Liveness::Suspect { .. } => State::Suspect,
                        Liveness::Lost(_) => continue,
                    };
                    self.engine.set_state(state);
                }
                command = self.commands.recv() => return Why::Command(command),
            }
        }
    }

    /// Ends a session that is lost here: the service may still keep it, and what it held is free the sooner it knows.
    fn discard(&self, live: Arc<LiveSession>) {
        self.slot.send_replace(Slot::default());
        let bound = self.engine.request_timeout;
        self.engine.driver.spawn(async move { timeout(bound, live.session.close()).await });
    }

    /// Drains, closes the session, and answers every command that has come.
    async fn finish(mut self, command: Option<Shutdown>, live: Option<Arc<LiveSession>>) {
        let engine = self.engine.clone();
        engine.set_state(State::Draining);
        engine.draining.cancel();
        engine.acquisitions.close();
        // Without a command nothing is held; what may be left are withdrawals, which end with the session at the latest.
        let grace = command.as_ref().map_or(engine.request_timeout, |c| c.grace);
        let drained = timeout(grace, self.drain(live.as_deref())).await.is_ok();
        // Whoever has come since everything had ended is turned away, and is nothing that is left.
        let left = if drained { 0 } else { engine.acquisitions.len() };
        engine.abandon.cancel();
        if let Some(live) = live {
            observe::session_closed(&engine, &live);
            self.slot.send_replace(Slot::default());
            if drained || command.is_none() {
                let _ = timeout(engine.request_timeout, live.session.close()).await;
            } else {
                // Work may still go on under a lock of this session. Its holder has been told; it has a TTL to hear of it.
                engine.driver.spawn(async move {
                    sleep(live.session.ttl()).await;
                    live.session.close().await;
                });
            }
        }
        engine.set_state(State::Closed);
        self.commands.close();
        for command in command.into_iter().chain(std::iter::from_fn(|| self.commands.try_recv().ok())) {
            let _ = command.done.send(left);
        }
    }

    /// Waits until no acquisition is left. The deadline is enforced meanwhile: a guard may still be held.
    async fn drain(&self, live: Option<&LiveSession>) {
        let acquisitions = &self.engine.acquisitions;
        match live {
            Some(live) => {
                tokio::select! {
                    () = acquisitions.wait() => {}
                    _ = live.liveness().lost() => acquisitions.wait().await,
                }
            }
            None => acquisitions.wait().await,
        }
    }
}

async fn open(engine: &Engine, resume: Option<Credentials>) -> Result<Arc<LiveSession>, BackendError> {
    let attempts = AttemptIds::with_entropy(&engine.entropy).map_err(|error| {
        BackendError::new(BackendErrorKind::Unavailable, "the system gives no randomness").with_source(error)
    })?;
    let session = engine.backend.open_session(OpenSession { resume, ..engine.options.clone() }).await?;
    Ok(Arc::new(LiveSession {
        session,
        attempts,
        adopted: Mutex::default(),
        entropy: engine.entropy.clone(),
    }))
}

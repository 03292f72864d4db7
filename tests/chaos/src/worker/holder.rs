//! A tenure: from the asking to its end.

use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use leasehold_core::{Coordinator, Error, ErrorKind, Guard, Held, LossReason, Mode, ReleaseError};
use leasehold_testkit::history::{CANCELLED, Call, OpId, Outcome, Recorder, What};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::Io;
use super::plan::WorkerPlan;
use super::watched::Sessions;
use crate::dice::Dice;
use crate::resource::ResourceClient;

/// What acquires: for ever (`None`), at once (no time) or for that time.
pub(super) type Acquire<'a, G> = Box<
    dyn Fn(Option<Duration>) -> Pin<Box<dyn Future<Output = Result<Option<G>, Error>> + Send + 'a>>
        + Send
        + Sync
        + 'a,
>;

/// An acquisition as a function of its patience.
macro_rules! acquiring {
    ($lock:ident . $forever:ident ($($argument:expr),*), $try:ident, $try_for:ident) => {{
        let lock = &$lock;
        let acquire: $crate::worker::holder::Acquire<'_, _> = Box::new(move |patience: Option<std::time::Duration>| {
            Box::pin(async move {
                match patience {
                    None => lock.$forever($($argument),*).await.map(Some),
                    Some(std::time::Duration::ZERO) => lock.$try($($argument),*).await,
                    Some(time) => lock.$try_for($($argument,)* time).await,
                }
            })
        });
        acquire
    }};
}
pub(super) use acquiring;

/// How to ask.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ask {
    Forever,
    Try,
    For(Duration),
    /// The future is dropped after this time.
    Dropped(Duration),
}

/// Where something is held, and how.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) path: String,
    pub(super) mode: Mode,
    /// Whether a resource is behind it.
    pub(super) guards: bool,
}

/// One task of a worker process.
pub(super) struct Actor {
    pub(super) dice: Dice,
    pub(super) plan: Arc<WorkerPlan>,
    pub(super) recorder: Recorder,
    pub(super) coordinator: Coordinator,
    pub(super) sessions: Arc<Sessions>,
    pub(super) resource: ResourceClient,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) rounds: Arc<AtomicU64>,
}

impl Actor {
    /// Asks, and writes down what came of it. After an error it rests.
    pub(super) async fn acquire<G>(
        &mut self,
        place: &Place,
        ask: Ask,
        acquire: Acquire<'_, G>,
    ) -> Option<(OpId, G)>
    where
        G: Deref<Target = Held>,
    {
        let (lock, mode, only_if_free) = (place.path.clone(), place.mode, matches!(ask, Ask::Try));
        let op = self.recorder.invoke(Call::Acquire { lock, mode, only_if_free });
        let asked = async {
            match ask {
                Ask::Forever => Some(acquire(None).await),
                Ask::Try => Some(acquire(Some(Duration::ZERO)).await),
                Ask::For(time) => Some(acquire(Some(time)).await),
                Ask::Dropped(after) => timeout(after, acquire(None)).await.ok(),
            }
        };
        let asked = tokio::select! {
            asked = asked => asked,
            _ = self.stopping.wait_for(|stop| *stop) => None,
        };
        match asked {
            Some(Ok(Some(guard))) => {
                self.granted(op, place, &guard);
                Some((op, guard))
            }
            Some(Ok(None)) if only_if_free => {
                self.recorder.ok(op, Outcome::Busy);
                None
            }
            Some(Ok(None)) | None => {
                self.recorder.info(op, CANCELLED);
                None
            }
            Some(Err(error)) => {
                self.failed(op, &error).await;
                None
            }
        }
    }

    async fn failed(&mut self, op: OpId, error: &Error) {
        match error.kind() {
            kind @ ErrorKind::Indeterminate => self.recorder.info(op, format!("{kind:?}")),
            kind => self.recorder.fail(op, format!("{kind:?}")),
        }
        let rest = self.dice.millis(50..=300);
        sleep(rest).await;
    }

    fn granted(&self, op: OpId, place: &Place, held: &Held) {
        let token = held.fencing_token();
        let session = self.sessions.of(&place.path, token.order());
        self.recorder.ok(op, Outcome::Granted { token, session });
        let (recorder, lost) = (self.recorder.clone(), held.lost());
        tokio::spawn(async move {
            let reason = lost.await;
            if reason != LossReason::Released {
                recorder.record(What::Lost { hold: op, reason: format!("{reason:?}") });
            }
        });
    }

    /// Works under a guard, and lets go.
    pub(super) async fn hold<G>(&mut self, (op, guard): (OpId, G), place: &Place) -> Io<()>
    where
        G: Guard<ReleaseError = ReleaseError> + Deref<Target = Held>,
    {
        let held = Held::clone(&guard);
        self.work(&held, place).await?;
        self.end((op, guard)).await;
        Ok(())
    }

    pub(super) async fn end<G>(&mut self, (op, guard): (OpId, G))
    where
        G: Guard<ReleaseError = ReleaseError>,
    {
        let dropped = self.dice.percent(20);
        let release = self.recorder.invoke(Call::Release { hold: op });
        if dropped {
            drop(guard);
            return self.recorder.info(release, CANCELLED);
        }
        match guard.release().await {
            Ok(()) => self.recorder.ok(release, Outcome::Done),
            Err(ReleaseError::Lost(error)) => self.recorder.fail(release, format!("{:?}", error.kind())),
            // Unknown, or something newer.
            Err(_) => self.recorder.info(release, "Unknown"),
        }
    }
}

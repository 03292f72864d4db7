//! The entry of one attempt, as the acquisition that owns it handles it.
//!
//! # Implementation
//!
//! Owned by one acquisition's task, which awaits one of these futures at a time (beside other wake-ups); what drops at
//! an await is described there.
//!
//! *An entry that came back.* The entry of an attempt whose enqueue was answered once can be removed by somebody else, and an enqueue that
//! went unanswered before can then arrive and make another one of the same attempt, at the queue's end. It has another order, by which it is told:
//! nothing is granted by it ([`OwnEntry::look`]) and nothing is held by it (`Holding::adopt`). Removing it is this owner's business.
//!
//! [`OwnEntry::withdraw`] runs until the service confirms or the session is lost, whatever becomes of
//! the one who asked for it; a request of it is dropped in flight only when nothing depends on its outcome any more.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until};

use crate::attempt::AttemptId;
use crate::backend::{Certainty, Entry, Interest, Queue, Withdrawn};
use crate::backend_error::{BackendError, BackendErrorKind};
use crate::backoff::Backoff;
use crate::contenders::Contenders;
use crate::engine::Engine;
use crate::entropy::Entropy;
use crate::liveness::{Liveness, LossReason};
use crate::mode::Mode;
use crate::observe;
use crate::rule::{Rule, Verdict};
use crate::session_keeper::LiveSession;

/// How long after its enqueue an acquisition begins to watch its own entry: a short wait or hold costs no more than its
/// enqueue and its withdrawal.
const WATCH_AFTER: Duration = Duration::from_millis(50);

/// One entry, or what may become one.
pub(crate) struct OwnEntry {
    pub(crate) live: Arc<LiveSession>,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) attempt: AttemptId,
    pub(crate) mode: Mode,
    /// The order of the entry, as the enqueue was answered; 0 before that.
    pub(crate) order: u64,
    /// Ambiguous from the first enqueue on that went unanswered.
    pub(crate) certainty: Certainty,
    /// Whether the rule minds only the entry next ahead.
    near: bool,
    watch_from: Instant,
}

/// What came of a withdrawal.
pub(crate) enum Release {
    /// It is confirmed.
    Done,
    /// The entry was not there any more.
    Lost(LossReason),
    /// Nobody confirmed it.
    Unknown,
}

impl OwnEntry {
    /// A new attempt; nothing is sent.
    pub(crate) fn new(live: Arc<LiveSession>, queue: Arc<dyn Queue>, mode: Mode, rule: &dyn Rule) -> Self {
        let attempt = live.attempts.next();
        Self::existing(live, queue, rule, (attempt, mode, 0))
    }

    /// The entry of an attempt that was made before, by an earlier incarnation of the session; no request of that one is
    /// carried out any more.
    pub(crate) fn existing(
        live: Arc<LiveSession>,
        queue: Arc<dyn Queue>,
        rule: &dyn Rule,
        (attempt, mode, order): (AttemptId, Mode, u64),
    ) -> Self {
        Self {
            live,
            queue,
            attempt,
            mode,
            order,
            certainty: Certainty::Placed,
            near: rule.minds_the_next_only(),
            watch_from: Instant::now() + WATCH_AFTER,
        }
    }

    /// Asks the rule, by a look at the queue.
    pub(crate) async fn look(&self, rule: &dyn Rule) -> Result<Verdict, BackendError> {
        let mut verdict = Verdict::NotQueued;
        let look = &mut |contenders: &Contenders| {
            verdict = match contenders.get(self.attempt) {
                Some(own) if own.mode == self.mode => rule.verdict(contenders, self.attempt),
                // None, or one of which somebody else has made something that was not asked for.
                _ => Verdict::NotQueued,
            }
        };
        match self.near {
            true => self.queue.near(look).await?,
            false => self.queue.contenders(look).await?,
        }
        match verdict {
            // Orders are never used again: if the entry is the one that was made, it was so in the look before.
            Verdict::Granted { .. } if self.certainty == Certainty::Ambiguous => {
                let entry = self.queue.entry(self.attempt).await?;
                let is_mine = entry.is_some_and(|entry| entry.order == self.order);
                Ok(if is_mine { verdict } else { Verdict::NotQueued })
            }
            verdict => Ok(verdict),
        }
    }

    /// Resolves when the entry is gone or has another mode, watching from some time after its enqueue on.
    async fn changed(&self) -> Result<(), BackendError> {
        sleep_until(self.watch_from).await;
        self.heard(Interest::Entry { attempt: self.attempt, mode: self.mode, version: None }).await
    }

    /// Resolves when that has changed, as the rule has seen it.
    async fn heard(&self, interest: Interest) -> Result<(), BackendError> {
        match self.near {
            true => self.queue.near_changed(interest).await,
            false => self.queue.changed(interest).await,
        }
    }

    /// Resolves when what the rule waits for, or the entry itself, has changed.
    pub(crate) async fn changed_with(&self, interest: Interest) -> Result<(), BackendError> {
        tokio::select! {
            changed = self.heard(interest) => changed,
            changed = self.changed() => changed,
        }
    }

    /// Resolves when the entry has another version than `seen`, with the entry, or with `None` when the service shows that it
    /// is gone.
    pub(crate) async fn altered(&self, seen: u64) -> Option<Entry> {
        sleep_until(self.watch_from).await;
        let interest = Interest::Entry { attempt: self.attempt, mode: self.mode, version: Some(seen) };
        let mut backoff = transient_backoff(&self.live.entropy);
        loop {
            let entry = match self.heard(interest).await {
                Ok(()) => self.queue.entry(self.attempt).await,
                Err(error) => Err(error),
            };
            match entry {
                Ok(entry) if entry.as_ref().is_none_or(|entry| entry.version != seen) => return entry,
                // Woken early.
                Ok(_) => backoff = transient_backoff(&self.live.entropy),
                // An error tells nothing of the entry. While it lasts, the session's liveness decides.
                Err(_) => {}
            }
            sleep(backoff.next_delay()).await;
        }
    }

    /// Whether there is an entry, or can come to be one.
    pub(crate) fn may_exist(&self) -> bool {
        self.order > 0 || self.certainty == Certainty::Ambiguous
    }

    /// Removes the entry, whatever it takes, and tells `reply` within the request time-out. A session that is lost takes its
    /// entries with it.
    pub(crate) async fn withdraw(&self, engine: &Engine, mut reply: Option<oneshot::Sender<Release>>) {
        let mut answer = |outcome| {
            if let Some(reply) = reply.take() {
                // Whoever asked may be gone; the removal was not for its sake alone.
                let _ = reply.send(outcome);
            }
        };
        let after_loss = |reason| match reason {
            // It was held when the release began, and nobody has said otherwise.
            LossReason::DeadlinePassed => Release::Unknown,
            reason => Release::Lost(reason),
        };
        if let Liveness::Lost(reason) = self.live.liveness().current() {
            return answer(after_loss(reason));
        }
        let _pending = observe::withdrawing(engine);
        tokio::pin! {
            let confirmed = self.confirm_removal();
            let lost = self.live.liveness().seen_lost();
            let patience = sleep(engine.request_timeout);
        }
        let mut patient = true;
        loop {
            tokio::select! {
                biased;
                outcome = &mut confirmed => return answer(outcome),
                reason = &mut lost => return answer(after_loss(reason)),
                () = engine.abandon.cancelled() => return answer(Release::Unknown),
                () = &mut patience, if patient => {
                    patient = false;
                    answer(Release::Unknown);
                }
            }
        }
    }

    async fn confirm_removal(&self) -> Release {
        let mut backoff = transient_backoff(&self.live.entropy);
        let mut unanswered = false;
        loop {
            match self.queue.withdraw(self.attempt, self.certainty).await {
                Ok(Withdrawn::Removed) => return Release::Done,
                // The removal that went unanswered was applied.
                Ok(Withdrawn::WasGone) if unanswered => return Release::Done,
                Ok(Withdrawn::WasGone) => return Release::Lost(LossReason::EntryRemoved),
                Err(error) if error.kind() == BackendErrorKind::SessionLost => {
                    return Release::Lost(self.live.ended());
                }
                Err(error) => unanswered |= error.kind() == BackendErrorKind::Indeterminate,
            }
            sleep(backoff.next_delay()).await;
        }
    }
}

/// The delays between tries on a session that lives.
pub(crate) fn transient_backoff(entropy: &Entropy) -> Backoff {
    Backoff::with_entropy(Duration::from_millis(10), Duration::from_secs(1), entropy.clone())
}

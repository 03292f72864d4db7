//! What an acquisition or a hold is of.

use std::sync::Arc;
use std::time::Duration;

use super::{events, meters};
use crate::acquisition::{Answer, Request};
use crate::attempt::AttemptId;
use crate::engine::Engine;
use crate::liveness::LossReason;
use crate::name::KeyPath;
use crate::named::Named;
use crate::stats::{Outcome, Recorder};
use crate::token::FencingToken;

/// What is acquired and held, as it is counted and told.
pub(crate) struct Subject {
    name: Arc<str>,
    backend: &'static str,
    #[cfg(any(feature = "tracing", feature = "metrics"))]
    kind: &'static str,
    stats: Arc<Recorder>,
    /// Whether it is no more than a step of what is counted as a whole.
    is_step: bool,
}

impl Subject {
    /// What is held.
    pub(crate) fn of(engine: &Engine, request: &Request) -> Self {
        Self {
            name: request.name.clone(),
            backend: engine.backend_name,
            #[cfg(any(feature = "tracing", feature = "metrics"))]
            kind: request.path.kind_segment(),
            stats: request.stats.clone(),
            is_step: false,
        }
    }

    /// What is asked for.
    pub(crate) fn of_asked(engine: &Engine, request: &Request) -> Self {
        let is_step = !Arc::ptr_eq(&request.outcomes, &request.stats);
        Self { stats: request.outcomes.clone(), is_step, ..Self::of(engine, request) }
    }

    /// What is asked for in steps.
    pub(crate) fn of_whole(named: &Named, path: &KeyPath) -> Self {
        #[cfg(not(any(feature = "tracing", feature = "metrics")))]
        let _ = path;
        Self {
            name: named.name().clone(),
            backend: named.coordinator().engine().backend_name,
            #[cfg(any(feature = "tracing", feature = "metrics"))]
            kind: path.kind_segment(),
            stats: named.recorder().clone(),
            is_step: false,
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn backend(&self) -> &'static str {
        self.backend
    }

    #[cfg(any(feature = "tracing", feature = "metrics"))]
    pub(crate) fn kind(&self) -> &'static str {
        self.kind
    }

    /// An acquisition is about to be answered so.
    pub(crate) fn acquisition_ended(
        &self,
        attempt: Option<AttemptId>,
        waited: Duration,
        outcome: Outcome,
        answer: &Answer,
    ) {
        self.acquisition_counted(outcome);
        events::acquisition_ended(self, attempt, waited, outcome, answer);
    }

    /// Counts an acquisition. Of one in steps, the steps have told how it went.
    pub(crate) fn acquisition_counted(&self, outcome: Outcome) {
        self.stats.acquisition(outcome);
        if !self.is_step {
            meters::acquisition_ended(self, outcome);
        }
    }

    pub(crate) fn hold_began(&self) {
        meters::hold_began(self);
    }

    pub(crate) fn hold_ended(
        &self,
        attempt: AttemptId,
        token: FencingToken,
        held: Duration,
        reason: LossReason,
    ) {
        self.stats.hold(held, reason);
        meters::hold_ended(self, held, reason);
        events::hold_ended(self, attempt, token, held, reason);
    }
}

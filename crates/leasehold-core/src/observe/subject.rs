//! What an acquisition or a hold is of.

use std::sync::Arc;
use std::time::Duration;

use super::{events, meters};
use crate::acquisition::{Answer, Request};
use crate::attempt::AttemptId;
use crate::engine::Engine;
use crate::liveness::LossReason;
use crate::stats::{Outcome, Recorder};
use crate::token::FencingToken;

/// What is acquired and held, as it is counted and told.
pub(crate) struct Subject {
    name: Arc<str>,
    backend: &'static str,
    #[cfg(any(feature = "tracing", feature = "metrics"))]
    kind: &'static str,
    stats: Arc<Recorder>,
}

impl Subject {
    pub(crate) fn of(engine: &Engine, request: &Request) -> Self {
        Self {
            name: request.name.clone(),
            backend: engine.backend_name,
            #[cfg(any(feature = "tracing", feature = "metrics"))]
            kind: request.path.kind_segment(),
            stats: request.stats.clone(),
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
        self.stats.acquisition(outcome);
        meters::acquisition_ended(self, outcome);
        events::acquisition_ended(self, attempt, waited, outcome, answer);
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

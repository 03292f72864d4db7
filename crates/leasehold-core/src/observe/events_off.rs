//! No spans and no events: the crate was built without the feature `tracing`.

use std::future::Future;
use std::time::Duration;

use super::Subject;
use crate::acquisition::Answer;
use crate::attempt::AttemptId;
use crate::backend_error::BackendError;
use crate::liveness::LossReason;
use crate::session_keeper::LiveSession;
use crate::stats::Outcome;
use crate::token::FencingToken;

/// No span.
pub(crate) struct Span;

impl Span {
    pub(super) fn acquisition(_: &Subject, _: &'static str) -> Self {
        Self
    }

    pub(super) fn hold(_: &Subject, _: AttemptId, _: FencingToken) -> Self {
        Self
    }

    /// The future itself.
    pub(crate) fn around<F: Future>(self, future: F) -> F {
        future
    }
}

pub(super) fn acquisition_ended(_: &Subject, _: Option<AttemptId>, _: Duration, _: Outcome, _: &Answer) {}

pub(super) fn hold_ended(_: &Subject, _: AttemptId, _: FencingToken, _: Duration, _: LossReason) {}

pub(super) fn held_long(_: &Subject, _: AttemptId, _: FencingToken, _: Duration) {}

pub(super) fn session_opened(_: &'static str, _: &LiveSession) {}

pub(super) fn session_suspect(_: &'static str, _: &LiveSession, _: Duration) {}

pub(super) fn session_recovered(_: &'static str, _: &LiveSession, _: Duration) {}

pub(super) fn session_lost(_: &'static str, _: &LiveSession, _: LossReason) {}

pub(super) fn session_refused(_: &'static str, _: &BackendError) {}

pub(super) fn session_closed(_: &'static str, _: &LiveSession) {}

pub(super) fn renewal_late(_: &'static str, _: &LiveSession, _: Duration) {}

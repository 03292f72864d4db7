//! Spans and events. Names and fields are those of `names.md`, and stable.

use std::future::Future;
use std::time::Duration;

use tracing::field::display;
use tracing::{Instrument, debug, debug_span, info, warn};

use super::{Subject, error_name, reason_name};
use crate::acquisition::Answer;
use crate::attempt::AttemptId;
use crate::backend_error::BackendError;
use crate::liveness::LossReason;
use crate::session_keeper::LiveSession;
use crate::stats::Outcome;
use crate::token::FencingToken;

const TARGET: &str = "leasehold";

/// What something is traced in.
pub(crate) struct Span(tracing::Span);

impl Span {
    pub(super) fn acquisition(subject: &Subject, operation: &'static str) -> Self {
        let (lock, kind, backend) = (&**subject.name(), subject.kind(), subject.backend());
        Self(debug_span!(target: TARGET, "acquisition", lock, kind, backend, operation))
    }

    pub(super) fn hold(subject: &Subject, attempt: AttemptId, token: FencingToken) -> Self {
        let (lock, kind, backend) = (&**subject.name(), subject.kind(), subject.backend());
        Self(debug_span!(target: TARGET, "hold", lock, kind, backend, %attempt, %token))
    }

    /// The future within it.
    pub(crate) fn around<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        future.instrument(self.0)
    }
}

pub(super) fn acquisition_ended(
    subject: &Subject,
    attempt: Option<AttemptId>,
    waited: Duration,
    outcome: Outcome,
    answer: &Answer,
) {
    let (lock, kind, backend) = (&**subject.name(), subject.kind(), subject.backend());
    let (attempt, waited) = (attempt.map(display), waited.as_secs_f64());
    match (outcome, answer) {
        (Outcome::Acquired(_), Ok(Some(grant))) => {
            let token = grant.held().fencing_token();
            debug!(target: TARGET, lock, kind, backend, attempt, %token, waited, "granted");
        }
        (Outcome::Failed, Err(error)) => {
            let error_kind = error_name(error.kind());
            warn!(target: TARGET, lock, kind, backend, attempt, waited, %error, error_kind, "failed");
        }
        (Outcome::TimedOut, _) => debug!(target: TARGET, lock, kind, backend, attempt, waited, "timed out"),
        (Outcome::Cancelled, _) => debug!(target: TARGET, lock, kind, backend, attempt, waited, "cancelled"),
        _ => debug!(target: TARGET, lock, kind, backend, attempt, waited, "busy"),
    }
}

pub(super) fn hold_ended(
    subject: &Subject,
    attempt: AttemptId,
    token: FencingToken,
    held: Duration,
    reason: LossReason,
) {
    let (lock, kind, backend) = (&**subject.name(), subject.kind(), subject.backend());
    let held = held.as_secs_f64();
    match reason {
        LossReason::Released => {
            debug!(target: TARGET, lock, kind, backend, %attempt, %token, held, "released");
        }
        reason => {
            let reason = reason_name(reason);
            warn!(target: TARGET, lock, kind, backend, %attempt, %token, held, reason, "lost");
        }
    }
}

pub(super) fn held_long(subject: &Subject, attempt: AttemptId, token: FencingToken, held: Duration) {
    let (lock, kind, backend) = (&**subject.name(), subject.kind(), subject.backend());
    let held = held.as_secs_f64();
    warn!(target: TARGET, lock, kind, backend, %attempt, %token, held, "held long");
}

pub(super) fn session_opened(backend: &'static str, live: &LiveSession) {
    let (session, ttl) = (live.session.id(), live.session.ttl().as_secs_f64());
    info!(target: TARGET, backend, session, ttl, "session opened");
}

pub(super) fn session_suspect(backend: &'static str, live: &LiveSession, rest: Duration) {
    let (session, rest) = (live.session.id(), rest.as_secs_f64());
    warn!(target: TARGET, backend, session, rest, "session suspect");
}

pub(super) fn session_recovered(backend: &'static str, live: &LiveSession, rest: Duration) {
    let (session, rest) = (live.session.id(), rest.as_secs_f64());
    info!(target: TARGET, backend, session, rest, "session recovered");
}

pub(super) fn session_lost(backend: &'static str, live: &LiveSession, reason: LossReason) {
    let (session, reason) = (live.session.id(), reason_name(reason));
    warn!(target: TARGET, backend, session, reason, "session lost");
}

pub(super) fn session_refused(backend: &'static str, error: &BackendError) {
    warn!(target: TARGET, backend, %error, "session refused");
}

pub(super) fn session_closed(backend: &'static str, live: &LiveSession) {
    let session = live.session.id();
    info!(target: TARGET, backend, session, "session closed");
}

pub(super) fn renewal_late(backend: &'static str, live: &LiveSession, rest: Duration) {
    let (session, rest) = (live.session.id(), rest.as_secs_f64());
    warn!(target: TARGET, backend, session, rest, "renewal late");
}

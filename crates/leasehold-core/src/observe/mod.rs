//! What can be seen of a coordinator from outside: spans and events, metrics, alerts.
//!
//! Two features, both off by default: `tracing` emits spans and events by the crate `tracing`, `metrics` records by the
//! facade of the crate `metrics`. An application that installs a subscriber or a recorder sees what stands below. Without the
//! features there is no code for it; [`Alerts`], [`Stats`](crate::Stats) and [`Status`](crate::Status) are always there.
//!
//! What one handle has counted is [`Stats`](crate::Stats). Metrics count the same at the same place, over all handles of the
//! process: the labels of a metric have few values, so the name of the lock is none of them.
//!
//! No field and no label holds the value of an entry or a credential. The errors in fields are those that the application gets; they name hosts, and never a
//! password.
//!
#![doc = include_str!("names.md")]
//!
//! # Implementation
//!
//! The engine calls this module at few places, each one once for a fact: the end of an acquisition, beginning and end of a hold, the
//! states of the session that its keeper sees, the withdrawal of an entry. No lock is held meanwhile, since a subscriber
//! is the application's code.

mod alerts;
#[cfg_attr(not(feature = "tracing"), path = "events_off.rs")]
mod events;
#[cfg_attr(not(feature = "metrics"), path = "meters_off.rs")]
mod meters;
mod session;
mod subject;

use std::time::Duration;

pub use alerts::{Alert, Alerts};
#[cfg(feature = "metrics")]
pub use meters::describe_metrics;

use crate::acquisition::Request;
use crate::engine::Engine;
use crate::error::ErrorKind;
use crate::held::HeldState;
use crate::liveness::LossReason;

pub(crate) use events::Span;
pub(crate) use session::{SessionObserver, session_closed, session_refused};
pub(crate) use subject::Subject;

/// What an acquisition is traced in, from the call to the confirmed end of its entry.
pub(crate) fn acquisition_span(engine: &Engine, request: &Request) -> Span {
    Span::acquisition(&Subject::of(engine, request), request.operation)
}

/// What a hold is traced in, from the grant to the confirmed end of its entry.
pub(crate) fn hold_span(state: &HeldState) -> Span {
    Span::hold(state.subject(), state.entry().1, state.token())
}

/// Something is held for longer than the application wants to hear of.
pub(crate) fn held_long(engine: &Engine, state: &HeldState, held: Duration) {
    let (subject, token) = (state.subject(), state.token());
    events::held_long(subject, state.entry().1, token, held);
    meters::alert(subject.backend(), "held_long");
    if let Some(alerts) = &engine.alerts {
        let (name, backend) = (subject.name().clone(), subject.backend());
        alerts.raise(&engine.driver, Alert::HeldLong { name, backend, token, held });
    }
}

/// Counts an entry as one that is to be removed, until the answer is dropped.
pub(crate) fn withdrawing(engine: &Engine) -> Withdrawing {
    meters::withdrawals_pending(engine.backend_name, 1.0);
    Withdrawing { backend: engine.backend_name }
}

/// An entry whose removal is not confirmed yet.
pub(crate) struct Withdrawing {
    backend: &'static str,
}

impl Drop for Withdrawing {
    fn drop(&mut self) {
        meters::withdrawals_pending(self.backend, -1.0);
    }
}

/// The name of a reason, in fields and labels.
#[cfg_attr(not(any(feature = "tracing", feature = "metrics")), allow(dead_code))]
fn reason_name(reason: LossReason) -> &'static str {
    match reason {
        LossReason::DeadlinePassed => "deadline_passed",
        LossReason::SessionEnded => "session_ended",
        LossReason::Superseded => "superseded",
        LossReason::EntryRemoved => "entry_removed",
        LossReason::ForceReleased => "force_released",
        LossReason::MaxHoldPassed => "max_hold_passed",
        LossReason::ShutDown => "shut_down",
        LossReason::Released => "released",
        LossReason::DriverGone => "driver_gone",
    }
}

/// The name of what went wrong, in fields.
#[cfg_attr(not(feature = "tracing"), allow(dead_code))]
fn error_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidName => "invalid_name",
        ErrorKind::InvalidConfig => "invalid_config",
        ErrorKind::InvalidArgument => "invalid_argument",
        ErrorKind::Mismatch => "mismatch",
        ErrorKind::PeerLost => "peer_lost",
        ErrorKind::Indeterminate => "indeterminate",
        ErrorKind::UnknownScheme => "unknown_scheme",
        ErrorKind::SchemeTaken => "scheme_taken",
        ErrorKind::FeatureNotEnabled => "feature_not_enabled",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::Untrusted => "untrusted",
        ErrorKind::Unauthenticated => "unauthenticated",
        ErrorKind::PermissionDenied => "permission_denied",
        ErrorKind::TooLarge => "too_large",
        ErrorKind::Lost => "lost",
        ErrorKind::Closed => "closed",
        ErrorKind::Unsupported => "unsupported",
        ErrorKind::Corrupt => "corrupt",
        ErrorKind::DriverGone => "driver_gone",
    }
}

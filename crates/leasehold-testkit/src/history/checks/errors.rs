//! E1: errors are documented ones, and nothing panics.

use super::Case;
use crate::history::call::{CANCELLED, Call, STALE};
use crate::history::event::What;
use crate::history::operations::Fate;
use crate::history::violation::{Kind, Violation};

/// What the service may answer to anything.
const GENERAL: &[&str] =
    &["Unavailable", "Unauthenticated", "PermissionDenied", "TooLarge", "Closed", "DriverGone"];

/// What may certainly fail, for a sound call.
fn failures(call: &Call) -> &'static [&'static str] {
    match call {
        Call::Acquire { .. } => &["Mismatch"],
        Call::Release { .. } => &["Lost"],
        Call::Downgrade { .. } => &[],
        Call::Read { .. } | Call::Write { .. } => &[STALE, "Lost"],
        Call::RegisterRead { .. } | Call::RegisterWrite { .. } => &["Lost"],
    }
}

/// With what nobody can tell what became of it.
fn uncertainties(call: &Call) -> &'static [&'static str] {
    match call {
        Call::Release { .. } => &["Unknown", CANCELLED],
        Call::Acquire { .. } => &[CANCELLED],
        // Of a hold that was lost before the service's word came, others may have been let in by then.
        Call::Downgrade { .. } => &["Lost", CANCELLED],
        _ => &["Indeterminate", CANCELLED],
    }
}

pub(in crate::history) fn check(case: &Case<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for operation in case.history.operations() {
        let (call, error, documented) = match &operation.fate {
            Fate::Failed(error) => (&operation.call, error, failures(&operation.call)),
            Fate::Unknown(Some(error)) => (&operation.call, error, uncertainties(&operation.call)),
            _ => continue,
        };
        let also = case.checker.documented.iter().any(|(name, also)| *name == call.name() && also == error);
        if also || documented.iter().chain(GENERAL).any(|documented| documented == error) {
            continue;
        }
        let why = format!("{error} is not documented for {} to end with", call.name());
        let events = [Some(operation.begin), operation.end].into_iter().flatten();
        violations.push(Violation::new(case.history, Kind::UndocumentedError, why, events));
    }
    for (index, event) in case.history.events().iter().enumerate() {
        if let What::Panicked { message } = &event.what {
            let why = format!("{} panicked: {message}", event.process);
            violations.push(Violation::new(case.history, Kind::Panicked, why, [index]));
        }
    }
    violations
}

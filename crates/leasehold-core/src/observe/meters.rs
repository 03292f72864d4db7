//! Metrics. Names and labels are those of `names.md`, and stable.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use super::{Subject, reason_name};
use crate::liveness::LossReason;
use crate::stats::Outcome;

const ACQUISITIONS: &str = "leasehold_acquisitions_total";
const WAIT: &str = "leasehold_wait_seconds";
const HOLD: &str = "leasehold_hold_seconds";
const HOLDS: &str = "leasehold_holds";
const LOSSES: &str = "leasehold_losses_total";
const LATE_RENEWALS: &str = "leasehold_late_renewals_total";
const WITHDRAWALS: &str = "leasehold_withdrawals_pending";
const SESSION_CHANGES: &str = "leasehold_session_changes_total";
const ALERTS: &str = "leasehold_alerts_total";

/// Tells the recorder that is installed what each metric is. Exporters show it beside the values; nothing else depends on it.
pub fn describe_metrics() {
    describe_counter!(ACQUISITIONS, Unit::Count, "Acquisitions that have ended, by outcome.");
    describe_histogram!(WAIT, Unit::Seconds, "From the call to the grant.");
    describe_histogram!(HOLD, Unit::Seconds, "From the grant to the release or the loss.");
    describe_gauge!(HOLDS, Unit::Count, "What is held now.");
    describe_counter!(LOSSES, Unit::Count, "Holds that ended otherwise than by their guard, by reason.");
    describe_counter!(
        LATE_RENEWALS,
        Unit::Count,
        "Renewals that came when less than a quarter of the TTL was left."
    );
    describe_gauge!(WITHDRAWALS, Unit::Count, "Entries whose removal the service has not confirmed yet.");
    describe_counter!(SESSION_CHANGES, Unit::Count, "What became of the sessions.");
    describe_counter!(ALERTS, Unit::Count, "Alerts that were raised.");
}

pub(super) fn acquisition_ended(subject: &Subject, outcome: Outcome) {
    let (backend, kind) = (subject.backend(), subject.kind());
    let name = match outcome {
        Outcome::Acquired(waited) => {
            histogram!(WAIT, "backend" => backend, "kind" => kind).record(waited.as_secs_f64());
            "acquired"
        }
        Outcome::Contended => "contended",
        Outcome::TimedOut => "timed_out",
        Outcome::Cancelled => "cancelled",
        Outcome::Failed => "failed",
    };
    counter!(ACQUISITIONS, "backend" => backend, "kind" => kind, "outcome" => name).increment(1);
}

pub(super) fn hold_began(subject: &Subject) {
    gauge!(HOLDS, "backend" => subject.backend(), "kind" => subject.kind()).increment(1.0);
}

pub(super) fn hold_ended(subject: &Subject, held: Duration, reason: LossReason) {
    let (backend, kind) = (subject.backend(), subject.kind());
    gauge!(HOLDS, "backend" => backend, "kind" => kind).decrement(1.0);
    histogram!(HOLD, "backend" => backend, "kind" => kind).record(held.as_secs_f64());
    if reason != LossReason::Released {
        let reason = reason_name(reason);
        counter!(LOSSES, "backend" => backend, "kind" => kind, "reason" => reason).increment(1);
    }
}

pub(super) fn withdrawals_pending(backend: &'static str, change: f64) {
    gauge!(WITHDRAWALS, "backend" => backend).increment(change);
}

pub(super) fn session_changed(backend: &'static str, change: &'static str) {
    counter!(SESSION_CHANGES, "backend" => backend, "change" => change).increment(1);
}

pub(super) fn renewal_late(backend: &'static str) {
    counter!(LATE_RENEWALS, "backend" => backend).increment(1);
}

pub(super) fn alert(backend: &'static str, alert: &'static str) {
    counter!(ALERTS, "backend" => backend, "alert" => alert).increment(1);
}

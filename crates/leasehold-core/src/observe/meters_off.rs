//! No metrics: the crate was built without the feature `metrics`.

use std::time::Duration;

use super::Subject;
use crate::liveness::LossReason;
use crate::stats::Outcome;

pub(super) fn acquisition_ended(_: &Subject, _: Outcome) {}

pub(super) fn hold_began(_: &Subject) {}

pub(super) fn hold_ended(_: &Subject, _: Duration, _: LossReason) {}

pub(super) fn withdrawals_pending(_: &'static str, _: f64) {}

pub(super) fn session_changed(_: &'static str, _: &'static str) {}

pub(super) fn renewal_late(_: &'static str) {}

pub(super) fn alert(_: &'static str, _: &'static str) {}

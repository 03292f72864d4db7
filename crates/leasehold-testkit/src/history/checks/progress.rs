//! L2: no operation takes longer than a bound while nothing is disturbed.
//!
//! # Implementation
//!
//! Between the disturbances lie calm spans, which a new disturbance ends. An operation that was pending in one of them for longer than the bound
//! is stuck. The bound covers what the last fault leaves behind: the TTL of who died, and the tenures of who is ahead.

use super::Case;
use crate::history::operations::{Moment, Span};
use crate::history::violation::{Kind, Violation};

pub(in crate::history) fn check(case: &Case<'_>) -> Vec<Violation> {
    let Some(bound) = case.checker.progress else { return Vec::new() };
    let history = case.history;
    let end = Moment { at: history.last_at(), index: usize::MAX };
    let calm = calm(&history.disturbances(), end);
    let mut violations = Vec::new();
    for operation in history.operations() {
        let from = history.moment(operation.begin);
        let killed = history.killed(&operation.process);
        let ended = [operation.end, killed].into_iter().flatten().min();
        let to = ended.map_or(end, |index| history.moment(index));
        let first = calm.partition_point(|span| span.to <= from);
        let stuck = calm[first..]
            .iter()
            .take_while(|span| span.from < to)
            .find(|span| span.to.min(to).at.saturating_sub(span.from.max(from).at) > bound);
        if let Some(span) = stuck {
            let waited = span.to.min(to).at - span.from.max(from).at;
            let why = format!(
                "{} waited for its {} for {waited} ns though nothing was disturbed",
                operation.process,
                operation.call.name()
            );
            let events = [Some(operation.begin), operation.end].into_iter().flatten();
            violations.push(Violation::new(history, Kind::Stuck, why, events));
        }
    }
    violations
}

/// What lies between the disturbances, which come in the order of their beginnings.
fn calm(disturbances: &[Span], end: Moment) -> Vec<Span> {
    let mut calm = Vec::new();
    let mut from = Moment::at(0);
    for disturbance in disturbances {
        if from < disturbance.from {
            calm.push(Span { from, to: disturbance.from });
        }
        from = from.max(disturbance.to);
    }
    if from < end {
        calm.push(Span { from, to: end });
    }
    calm
}

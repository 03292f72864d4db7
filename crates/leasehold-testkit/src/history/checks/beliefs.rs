//! S2: no two believers that exclude each other, unless one is paused.
//!
//! # Implementation
//!
//! A hold is believed in from its grant until it is let go, lost, or past its local deadline. Not counted is the time in which its process
//! was paused, with a grace after it, in which a process that woke hears of its loss; nor the grace after somebody else
//! removed its entry by force, which no service can tell before it has done it. What remains are spans, swept in the order of their beginnings. O(n log n), times the number of holders at one time.

use std::collections::BTreeMap;

use leasehold_core::Mode;

use super::{Case, exclude_each_other};
use crate::history::event::Removal;
use crate::history::holds::Hold;
use crate::history::operations::{Moment, Span};
use crate::history::violation::{Kind, Violation};

pub(in crate::history) fn check(case: &Case<'_>) -> Vec<Violation> {
    let mut locks: BTreeMap<&str, Vec<(Span, &Hold)>> = BTreeMap::new();
    for hold in case.holds {
        locks
            .entry(&hold.lock)
            .or_default()
            .extend(believed(case, hold).into_iter().map(|span| (span, hold)));
    }
    let mut violations = Vec::new();
    for (name, mut spans) in locks {
        spans.sort_unstable_by_key(|(span, _)| span.from);
        let mut believers: Vec<(Span, &Hold)> = Vec::new();
        for (span, hold) in spans {
            believers.retain(|(earlier, _)| earlier.to > span.from);
            believers.push((span, hold));
            violations.extend(conflict(case, name, span.from, &believers));
        }
    }
    violations
}

/// Whether the last of the believers should not be beside the others at this moment.
fn conflict(case: &Case<'_>, name: &str, moment: Moment, believers: &[(Span, &Hold)]) -> Option<Violation> {
    let modes: Vec<Mode> = believers.iter().map(|(_, hold)| hold.mode_at(moment)).collect();
    if !exclude_each_other(&modes) {
        return None;
    }
    let who: Vec<_> =
        believers.iter().map(|(_, hold)| format!("{} ({})", hold.process, hold.token)).collect();
    let why = format!("{} believe at the same time that they hold {name:?}", who.join(" and "));
    let events = believers.iter().flat_map(|(_, hold)| [Some(hold.granted), hold.told]).flatten();
    Some(Violation::new(case.history, Kind::TwoBelievers, why, events))
}

/// When the holder may be held to its belief.
fn believed(case: &Case<'_>, hold: &Hold) -> Vec<Span> {
    let history = case.history;
    let never = Moment { at: u64::MAX, index: usize::MAX };
    let end = hold.end(history).unwrap_or(never);
    let pauses = history
        .pauses(&hold.process)
        .iter()
        .map(|pause| Span { from: pause.from, to: pause.to.later(case.checker.grace) });
    let forced = case.queues.get(hold.lock.as_str()).and_then(|queue| {
        let (removed, why) = queue.of_order(hold.token.order())?.removed?;
        let removed = history.moment(removed);
        // The client may know it before the tap does.
        (why == Removal::Forced).then(|| Span {
            from: Moment::at(removed.at.saturating_sub(case.checker.tap_lag)),
            to: removed.later(case.checker.grace),
        })
    });
    let mut excused: Vec<_> = pauses.chain(forced).collect();
    excused.sort_unstable_by_key(|span| span.from);
    let mut spans = Vec::new();
    let mut from = history.moment(hold.granted);
    for excuse in excused {
        spans.push(Span { from, to: excuse.from.min(end) });
        from = from.max(excuse.to);
    }
    spans.push(Span { from, to: end });
    spans.retain(|span| span.from < span.to);
    spans
}

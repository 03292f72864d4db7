//! What the history checker says of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use leasehold_testkit::history::{self, Call, Checker, Event, History, Kind, OpId, Outcome, Removal, What};

use crate::disturbance::Disturbance;
use crate::log::{Counts, Violation};
use crate::plan::Plan;

/// What is said of a history.
pub(crate) struct Judgement {
    /// The promises that were not kept.
    pub(crate) violations: Vec<Violation>,
    /// What was looked at, and what was excused.
    pub(crate) counts: Counts,
}

/// Judges a run of this plan by its history alone.
///
/// Two believers are looked at where it happens, too ([`Beliefs`](crate::beliefs::Beliefs)), with what each could know at the time: a history shows when
/// somebody was told of what an administrator did, and not when he could have been while calls fail. So those whose entry was removed by force
/// are excused here, and nobody else.
pub(crate) fn judge(plan: &Plan, events: &[Event]) -> Judgement {
    let settings = &plan.settings;
    let grace = Duration::from_millis(2000 + settings.request_timeout * 2);
    let checker = Checker::new().grace(grace).also_documented("try", "Lost");
    // Of a leadership that is not there to be resumed.
    let checker = checker.also_documented("acquire", "Lost");
    let report = checker.check(&History::new(events.to_vec()));
    let lies = drama(plan, |what| matches!(what, Disturbance::Unrelayed { .. }));
    let forgets = drama(plan, |what| *what == Disturbance::LoseData);
    let forced = ForcedHolds::of(events);
    let excuse = |violation: &history::Violation| match violation.kind {
        // Too many histories have become possible to look at them all.
        Kind::Undecided => Some("undecided"),
        Kind::TwoBelievers if forced.are_in(violation) => Some("excused_by_force"),
        // The service said that it had renewed what it had not.
        Kind::TwoBelievers | Kind::LossNotSignalled if lies => Some("excused_by_a_lie"),
        Kind::NotLinearizable if forgets => Some("excused_by_lost_data"),
        _ => None,
    };
    let mut counts = Counts::from([
        ("checked_events", report.events as u64),
        ("checked_operations", report.operations as u64),
        ("checked_unanswered", report.unanswered as u64),
    ]);
    let mut violations = Vec::new();
    for violation in report.violations {
        match excuse(&violation) {
            Some(excuse) => *counts.entry(excuse).or_default() += 1,
            None => {
                let promise = violation.invariant().to_string();
                violations.push(Violation { promise, what: violation.to_string() });
            }
        }
    }
    Judgement { violations, counts }
}

fn drama(plan: &Plan, is: impl Fn(&Disturbance) -> bool) -> bool {
    plan.drama.iter().any(|drama| is(&drama.what))
}

/// The holds whose entries were removed by somebody else.
struct ForcedHolds<'a>(BTreeSet<(&'a str, OpId)>);

impl<'a> ForcedHolds<'a> {
    fn of(events: &'a [Event]) -> Self {
        let (mut asked, mut holds) = (BTreeMap::new(), BTreeMap::new());
        let (mut orders, mut forced) = (BTreeMap::new(), BTreeSet::new());
        for event in events {
            let process = event.process.as_str();
            match &event.what {
                What::Invoke { op, call: Call::Acquire { lock, .. } } => {
                    asked.insert((process, *op), lock.as_str());
                }
                What::Ok { op, outcome: Outcome::Granted { token, .. } } => {
                    holds.insert((process, *op), token.order());
                }
                What::EntryCreated { lock, entry, order, .. } => {
                    orders.insert((lock.as_str(), entry.as_str()), *order);
                }
                What::EntryRemoved { lock, entry, why: Removal::Forced } => {
                    let order = orders.get(&(lock.as_str(), entry.as_str()));
                    forced.extend(order.map(|order| (lock.as_str(), *order)));
                }
                _ => {}
            }
        }
        let is_forced = |(hold, order): &((&str, OpId), u64)| {
            asked.get(hold).is_some_and(|lock| forced.contains(&(*lock, *order)))
        };
        Self(holds.into_iter().filter(is_forced).map(|(hold, _)| hold).collect())
    }

    /// Whether one of them shows a violation.
    fn are_in(&self, violation: &history::Violation) -> bool {
        violation.events.iter().any(|(_, event)| match &event.what {
            What::Ok { op, .. } => self.0.contains(&(event.process.as_str(), *op)),
            _ => false,
        })
    }
}

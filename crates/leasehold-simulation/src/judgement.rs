//! What the history checker says of a run.

use std::collections::BTreeMap;
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
/// Two believers are looked at where it happens, too ([`Beliefs`](crate::beliefs::Beliefs)), with what each could know at the time. Excused is what no
/// library could keep: where the service breaks its own promise, or forgets.
pub(crate) fn judge(plan: &Plan, events: &[Event]) -> Judgement {
    let mut events = events.to_vec();
    if plan.breaks_locks() {
        for removal in Holds::of(&events).broken_by_their_own() {
            if let What::EntryRemoved { why, .. } = &mut events[removal].what {
                *why = Removal::Forced;
            }
        }
    }
    let settings = &plan.settings;
    let grace = Duration::from_millis(2000 + settings.request_timeout * 2);
    let checker = Checker::new().grace(grace).also_documented("try", "Lost");
    // Of a leadership that is not there to be resumed.
    let checker = checker.also_documented("acquire", "Lost");
    let report = checker.check(&History::new(events));
    let lies = drama(plan, |what| matches!(what, Disturbance::Unrelayed { .. }));
    let forgets = drama(plan, |what| *what == Disturbance::LoseData);
    let excuse = |violation: &history::Violation| match violation.kind {
        // Too many histories have become possible to look at them all.
        Kind::Undecided => Some("undecided"),
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

/// What became of the holds of a run, by what the service and their holders said.
#[derive(Default)]
struct Holds<'a> {
    /// By process and operation, the queue and the order.
    of: BTreeMap<(&'a str, OpId), (&'a str, u64)>,
    /// The places of the grants and of what ended them, by queue and order.
    granted: BTreeMap<(&'a str, u64), usize>,
    told: BTreeMap<(&'a str, u64), usize>,
    /// The removals of entries.
    removed: BTreeMap<(&'a str, u64), (usize, Removal)>,
}

impl<'a> Holds<'a> {
    fn of(events: &'a [Event]) -> Self {
        let (mut holds, mut asked, mut orders) = (Self::default(), BTreeMap::new(), BTreeMap::new());
        for (index, event) in events.iter().enumerate() {
            let process = event.process.as_str();
            match &event.what {
                What::Invoke { op, call: Call::Acquire { lock, .. } } => {
                    asked.insert((process, *op), lock.as_str());
                }
                What::Ok { op, outcome: Outcome::Granted { token, .. } } => {
                    let Some(lock) = asked.get(&(process, *op)) else { continue };
                    holds.of.insert((process, *op), (lock, token.order()));
                    holds.granted.entry((lock, token.order())).or_insert(index);
                }
                What::Invoke { call: Call::Release { hold }, .. } | What::Lost { hold, .. } => {
                    let Some(hold) = holds.of.get(&(process, *hold)) else { continue };
                    holds.told.entry(*hold).or_insert(index);
                }
                What::EntryCreated { lock, entry, order, .. } => {
                    orders.insert((lock.as_str(), entry.as_str()), *order);
                }
                What::EntryRemoved { lock, entry, why } => {
                    let Some(order) = orders.get(&(lock.as_str(), entry.as_str())) else { continue };
                    holds.removed.insert((lock, *order), (index, *why));
                }
                _ => {}
            }
        }
        holds
    }

    /// The removals by which a process broke a lock of its own. To the service that is an owner who withdraws; but the library withdraws what it has
    /// granted only after it has told the holder.
    fn broken_by_their_own(&self) -> Vec<usize> {
        let is_broken = |(entry, (index, why)): &(&(&str, u64), &(usize, Removal))| {
            let told = self.told.get(*entry).is_some_and(|told| told < index);
            *why == Removal::Withdrawn && self.granted.contains_key(*entry) && !told
        };
        self.removed.iter().filter(is_broken).map(|(_, (index, _))| *index).collect()
    }
}

//! What the history checker says of a run.

use std::time::Duration;

use leasehold_testkit::history::{Checker, Event, History, Kind};

use crate::disturbance::Disturbance;
use crate::log::Violation;
use crate::plan::Plan;
use crate::step::Step;

/// What a run of this plan broke, by its history alone.
///
/// How many may believe at a time while entries are taken away by force, and nobody can be told because calls fail, is looked at
/// where it happens ([`Beliefs`](crate::beliefs::Beliefs)): a history shows when somebody was told, and not when he could have been.
pub(crate) fn violations(plan: &Plan, history: Vec<Event>) -> Vec<Violation> {
    let settings = &plan.settings;
    let grace = Duration::from_millis(2000 + settings.request_timeout * 2);
    let checker = Checker::new().grace(grace).also_documented("try", "Lost");
    // Of a leadership that is not there to be resumed.
    let checker = checker.also_documented("acquire", "Lost");
    let forces = forces(plan);
    let checker = if forces { checker.without_exclusive_belief() } else { checker };
    let report = checker.check(&History::new(history));
    let excused = |kind: Kind| match kind {
        // Too many histories have become possible to look at them all.
        Kind::Undecided => true,
        // A grant whose entry was removed while it was on its way.
        Kind::TokenNotRising => forces,
        Kind::LossNotSignalled => drama(plan, |what| matches!(what, Disturbance::Unrelayed { .. })),
        Kind::NotLinearizable => drama(plan, |what| *what == Disturbance::LoseData),
        _ => false,
    };
    let violations = report.violations.into_iter().filter(|violation| !excused(violation.kind));
    violations
        .map(|violation| Violation {
            promise: violation.invariant().to_string(),
            what: violation.to_string(),
        })
        .collect()
}

/// Whether holds are ended at the service, or taken over, by anybody but their owners.
fn forces(plan: &Plan) -> bool {
    let by_workers = plan.workers.iter().flat_map(|worker| &worker.steps);
    by_workers.into_iter().any(|step| matches!(step, Step::Admin { force: true, .. }))
        || drama(plan, |what| {
            matches!(
                what,
                Disturbance::Crash { wakes_after: Some(_), .. }
                    | Disturbance::Expire { .. }
                    | Disturbance::RemoveEntry { .. }
                    | Disturbance::RemoveQueue { .. }
                    | Disturbance::LoseData
                    | Disturbance::Unrelayed { .. }
            )
        })
}

fn drama(plan: &Plan, is: impl Fn(&Disturbance) -> bool) -> bool {
    plan.drama.iter().any(|drama| is(&drama.what))
}

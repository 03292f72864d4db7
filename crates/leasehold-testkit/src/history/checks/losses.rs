//! S4: a loss is signalled by the deadline, and nothing that is lost comes back.
//!
//! # Implementation
//!
//! Three things end a hold without its holder: its local deadline, an expiry at the service, and somebody else's removal of its
//! entry. From each on the holder has a grace to be told; a process that was paused meanwhile has it after it woke. A forced removal cannot be heard
//! of while something is disturbed, and then the deadline decides. Linear in the holds and the renewals, times the pauses of a process.

use super::Case;
use crate::history::event::Removal;
use crate::history::holds::{Hold, Sight, sights};
use crate::history::operations::{Moment, Span};
use crate::history::violation::{Kind, Violation};

pub(in crate::history) fn check(case: &Case<'_>) -> Vec<Violation> {
    let disturbances = case.history.disturbances();
    let sights = sights(case.history);
    let mut violations: Vec<_> =
        case.holds.iter().filter_map(|hold| not_signalled(case, hold, &disturbances)).collect();
    for hold in case.holds {
        let sight = hold.session.as_deref().and_then(|session| sights.get(&(hold.process.as_str(), session)));
        violations.extend(sight.and_then(|sight| born_stale(case, hold, sight)));
    }
    for ((process, session), sight) in &sights {
        violations.extend(revived(case, process, session, sight));
    }
    violations
}

fn not_signalled(case: &Case<'_>, hold: &Hold, disturbances: &[Span]) -> Option<Violation> {
    let history = case.history;
    let removed = case.queues.get(hold.lock.as_str()).and_then(|queue| {
        let (index, why) = queue.of_order(hold.token.order())?.removed?;
        match why {
            Removal::Expired => Some((index, "its session had expired")),
            Removal::Forced => {
                let from = history.moment(index);
                let span = Span { from, to: from.later(case.checker.grace.max(1)) };
                let disturbed = disturbances.iter().any(|disturbance| disturbance.overlaps(span));
                (!disturbed).then_some((index, "its entry had been removed"))
            }
            Removal::Withdrawn | Removal::Unknown => None,
        }
    });
    let removed = removed.map(|(index, why)| (history.moment(index).at, Some(index), why));
    let deadline = hold.deadline.map(|deadline| (deadline, None, "its deadline had passed"));
    for (since, event, why) in [deadline, removed].into_iter().flatten() {
        let due = due(case, hold, since);
        let told = hold.told.map_or(history.last_at(), |told| history.moment(told).at);
        if told > due && since >= history.moment(hold.granted).at {
            let why = format!(
                "{} was not told in time that it does not hold {:?} any more: {why} {} ns before",
                hold.process,
                hold.lock,
                told - since
            );
            let events = [Some(hold.granted), event, hold.told].into_iter().flatten();
            return Some(Violation::new(history, Kind::LossNotSignalled, why, events));
        }
    }
    None
}

/// Until when the process must have been told of something that happened at `since`.
fn due(case: &Case<'_>, hold: &Hold, since: u64) -> u64 {
    let grace = case.checker.grace;
    let mut due = since.saturating_add(grace);
    for pause in case.history.pauses(&hold.process) {
        if pause.to.at >= since && pause.from.at <= due {
            due = due.max(pause.to.at.saturating_add(grace));
        }
    }
    due
}

fn born_stale(case: &Case<'_>, hold: &Hold, sight: &Sight) -> Option<Violation> {
    let (history, grace) = (case.history, case.checker.grace);
    let granted = history.moment(hold.granted);
    let known =
        sight.live.iter().take_while(|(index, _)| *index < hold.granted).map(|(_, until)| *until).max();
    let passed = known.map(|until| (Moment::at(until), None, "the deadline of its session had passed"));
    let lost = sight.lost.map(|index| (history.moment(index), Some(index), "its session was lost"));
    let (_, event, why) = [passed, lost].into_iter().flatten().find(|(over, ..)| {
        over.later(grace) < granted && !history.paused_between(&hold.process, *over, granted)
    })?;
    let why = format!("{} was granted {:?} though {why}", hold.process, hold.lock);
    Some(Violation::new(history, Kind::BornStale, why, event.into_iter().chain([hold.granted])))
}

fn revived(case: &Case<'_>, process: &str, session: &str, sight: &Sight) -> Option<Violation> {
    let (history, grace) = (case.history, case.checker.grace);
    let mut until = sight.live.first()?.1;
    for (index, next) in &sight.live[1..] {
        let now = history.moment(*index);
        let over = Moment::at(until);
        let late = over.later(grace) < now && !history.paused_between(process, over, now);
        let lost = sight.lost.filter(|lost| lost < index);
        if late || lost.is_some() {
            let why = format!("the session {session} of {process} was over and is said to live");
            return Some(Violation::new(history, Kind::Revived, why, lost.into_iter().chain([*index])));
        }
        until = until.max(*next);
    }
    None
}

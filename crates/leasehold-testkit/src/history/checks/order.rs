//! L3: first come, first served, in the service's own order, and tries overtake nobody; and S2: no grant without an entry.
//!
//! # Implementation
//!
//! Nobody comes in ahead of an entry after it was created, so who is entitled stays so: a grant is out of order if, when it returned, somebody was
//! still ahead whom the granted one excludes. A try must have been entitled from the beginning, when its entry was created; unless the service creates
//! first and looks afterwards (`tries_are_atomic`), when the look lies anywhere up to the grant, and the first question is all there is to ask.
//!
//! Both are questions about a queue at a moment, answered in one sweep: the entries stand by position, and those that are gone by then are taken
//! out. O(n log n), times the entries ahead of a grant, which are its fellow holders as long as all is well.
//!
//! The tap may be late (`tap_lag`): what it sees gone so much after a grant may have been gone before it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use leasehold_core::Mode;

use super::{Case, exclude_each_other};
use crate::history::holds::Hold;
use crate::history::operations::Moment;
use crate::history::tap::{Life, Queue};
use crate::history::violation::{Kind, Violation};

/// Was anybody ahead of this entry at that moment whom it excludes?
struct Question<'a> {
    hold: &'a Hold,
    life: &'a Life,
    moment: Moment,
    kind: Kind,
}

pub(in crate::history) fn check(case: &Case<'_>) -> Vec<Violation> {
    if !case.checker.order {
        return Vec::new();
    }
    let mut holds: HashMap<&str, Vec<&Hold>> = HashMap::new();
    for hold in case.holds {
        holds.entry(&hold.lock).or_default().push(hold);
    }
    let mut violations = Vec::new();
    for (name, queue) in case.queues {
        let mut questions = Vec::new();
        for hold in holds.remove(name).unwrap_or_default() {
            let Some(life) = queue.of_order(hold.token.order()) else { continue };
            let granted = case.history.moment(hold.granted).later(case.checker.tap_lag);
            questions.push(Question { hold, life, moment: granted, kind: Kind::Overtaken });
            // An entry that was there before is one that local turns share.
            if hold.only_if_free && case.checker.tries_are_atomic && life.created > hold.asked {
                let created = case.history.moment(life.created);
                questions.push(Question { hold, life, moment: created, kind: Kind::TryOvertook });
            }
        }
        questions.sort_unstable_by_key(|question| question.moment);
        violations.extend(answers(case, name, queue, &questions));
    }
    violations
}

fn answers(case: &Case<'_>, name: &str, queue: &Queue, questions: &[Question<'_>]) -> Vec<Violation> {
    let mut leaving = BinaryHeap::new();
    let mut standing: BTreeMap<(u64, usize), &Life> = BTreeMap::new();
    for life in &queue.lives {
        standing.insert((life.position, life.created), life);
        if let Some((removed, _)) = life.removed {
            leaving.push(Reverse((case.history.moment(removed), life.position, life.created)));
        }
    }
    let mut violations = Vec::new();
    for question in questions {
        while let Some(Reverse((removed, position, created))) = leaving.peek().copied()
            && removed <= question.moment
        {
            leaving.pop();
            standing.remove(&(position, created));
        }
        let ahead: Vec<&Life> = standing
            .range(..(question.life.position, 0))
            .map(|(_, life)| *life)
            .filter(|life| life.order != question.life.order && was_there(life, question))
            .collect();
        let modes = ahead.iter().map(|life| life.mode_at(question.moment));
        let modes: Vec<Mode> = modes.chain([question.hold.modes[0].1]).collect();
        // Two exclusive ones ahead exclude each other, and not for the sake of this one; but then it is behind them.
        if !exclude_each_other(&modes) {
            continue;
        }
        let why = match question.kind {
            Kind::TryOvertook => "whose entry a try had not waited for when it was made",
            _ => "who was still ahead in the queue",
        };
        let why = format!("{name:?} was granted to {} over somebody {why}", question.hold.process);
        let events = ahead.iter().flat_map(|life| [Some(life.created), life.removed.map(|(index, _)| index)]);
        let own = [question.hold.asked, question.life.created, question.hold.granted];
        violations.push(Violation::new(case.history, question.kind, why, events.flatten().chain(own)));
    }
    violations
}

/// Whether an entry with a smaller position was there at all: a queue whose directory was deleted counts from the beginning again.
fn was_there(life: &Life, question: &Question<'_>) -> bool {
    life.created < question.life.created || life.created < question.hold.granted
}

/// S2: the entry of a grant exists.
pub(in crate::history) fn entries(case: &Case<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for hold in case.holds {
        let Some(queue) = case.queues.get(hold.lock.as_str()) else { continue };
        let granted = case.history.moment(hold.granted);
        let (why, event) = match queue.of_order(hold.token.order()) {
            None if case.history.last_at() > granted.at.saturating_add(case.checker.tap_lag) => {
                ("there never was", None)
            }
            Some(Life { removed: Some((removed, _)), .. }) => {
                let gone = case.history.moment(*removed);
                if gone.later(case.checker.grace) >= granted
                    || case.history.paused_between(&hold.process, gone, granted)
                {
                    continue;
                }
                ("was gone by then", Some(*removed))
            }
            _ => continue,
        };
        let why = format!("{:?} was granted to {} by an entry that {why}", hold.lock, hold.process);
        let events = event.into_iter().chain([hold.granted]);
        violations.push(Violation::new(case.history, Kind::GrantedWithoutEntry, why, events));
    }
    violations
}

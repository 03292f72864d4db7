//! S3: the tokens of a name strictly increase, in grant order.
//!
//! # Implementation
//!
//! Which grant came first is known where one had returned before the other was asked for; and where the two exclude each other also from
//! the order in which they returned, unless the later one's process was paused on its way, or the tap shows that somebody else had removed its
//! entry by force before it returned: then the others did not wait for it. The tap adds the order in which entries were
//! created. No two may have the same token in any case. O(n log n) in the grants.

use std::collections::{BTreeMap, HashMap};

use leasehold_core::{FencingToken, Mode};

use super::Case;
use super::marks::Marks;
use crate::history::event::Removal;
use crate::history::holds::Hold;
use crate::history::operations::Moment;
use crate::history::violation::{Kind, Violation};

pub(in crate::history) fn check(case: &Case<'_>) -> Vec<Violation> {
    let mut locks: BTreeMap<&str, Vec<&Hold>> = BTreeMap::new();
    for hold in case.holds {
        locks.entry(&hold.lock).or_default().push(hold);
    }
    let mut violations = Vec::new();
    for (name, holds) in &locks {
        violations.extend(reused(case, name, holds));
        violations.extend(not_rising(case, name, holds));
    }
    for (name, queue) in case.queues {
        let mut last: Option<(u64, usize)> = None;
        for life in &queue.lives {
            if let Some((order, created)) = last
                && life.order <= order
            {
                let kind = if life.order == order { Kind::TokenReused } else { Kind::TokenNotRising };
                let why = format!("an entry of {name:?} has the order {} after one with {order}", life.order);
                violations.push(Violation::new(case.history, kind, why, [created, life.created]));
            }
            if last.is_none_or(|(order, _)| order < life.order) {
                last = Some((life.order, life.created));
            }
        }
    }
    violations
}

fn reused(case: &Case<'_>, name: &str, holds: &[&Hold]) -> Vec<Violation> {
    let mut tokens = HashMap::new();
    let mut violations = Vec::new();
    for hold in holds {
        if let Some(other) = tokens.insert(hold.token, hold.granted) {
            let why = format!("two grants of {name:?} have the token {}", hold.token);
            violations.push(Violation::new(case.history, Kind::TokenReused, why, [other, hold.granted]));
        }
    }
    violations
}

/// `holds` are in the order in which the grants returned.
fn not_rising(case: &Case<'_>, name: &str, holds: &[&Hold]) -> Vec<Violation> {
    let mut asked: Vec<_> = holds.to_vec();
    asked.sort_unstable_by_key(|hold| hold.asked);
    let mut returned = holds.iter().peekable();
    let mut highest: Option<(_, usize)> = None;
    // By the grant: the grant that should not have had a higher token.
    let mut found = BTreeMap::new();
    for hold in asked {
        while let Some(earlier) = returned.next_if(|earlier| earlier.granted < hold.asked) {
            highest = highest.max(Some((earlier.token, earlier.granted)));
        }
        if let Some((token, granted)) = highest
            && token > hold.token
        {
            found.insert(hold.granted, (granted, token, hold.token));
        }
    }
    let mut marks = Marks::default();
    for hold in holds {
        let shared = hold.modes[0].1 != Mode::Exclusive;
        let (asked, granted) = (case.history.moment(hold.asked), case.history.moment(hold.granted));
        if let Some(earlier) = marks.shut_out(hold.token, shared)
            && !case.history.paused_between(&hold.process, asked, granted)
            && !removed_on_its_way(case, hold, granted)
        {
            let token = highest_at(holds, earlier);
            found.entry(hold.granted).or_insert((earlier, token, hold.token));
        }
        marks.raise(hold.token, shared, hold.granted);
    }
    found
        .into_iter()
        .map(|(granted, (earlier, higher, token))| {
            let why = format!("{name:?} was granted with {token} after {higher}");
            Violation::new(case.history, Kind::TokenNotRising, why, [earlier, granted])
        })
        .collect()
}

/// Whether somebody else had removed the entry of a grant before that returned.
fn removed_on_its_way(case: &Case<'_>, hold: &Hold, granted: Moment) -> bool {
    let life = case.queues.get(hold.lock.as_str()).and_then(|queue| queue.of_order(hold.token.order()));
    life.and_then(|life| life.removed)
        .is_some_and(|(removed, why)| why == Removal::Forced && case.history.moment(removed) < granted)
}

fn highest_at(holds: &[&Hold], granted: usize) -> FencingToken {
    let place = holds.partition_point(|hold| hold.granted < granted);
    holds[place].token
}

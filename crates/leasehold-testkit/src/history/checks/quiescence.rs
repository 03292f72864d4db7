//! L1: nothing is left once everybody has let go.

use super::Case;
use crate::history::event::What;
use crate::history::violation::{Kind, Violation};

pub(in crate::history) fn check(case: &Case<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (index, event) in case.history.events().iter().enumerate() {
        let What::Quiescent { left } = &event.what else { continue };
        if !left.is_empty() {
            let why = format!("left over: {}", left.join(", "));
            violations.push(Violation::new(case.history, Kind::LeftBehind, why, [index]));
        }
        let now = case.history.moment(index).later(case.checker.tap_lag);
        for (name, queue) in case.queues {
            for life in queue.lives.iter().filter(|life| life.created < index) {
                if life.removed.is_none_or(|(removed, _)| case.history.moment(removed) > now) {
                    let why = format!("an entry of {name:?} is left over");
                    let events = [Some(life.created), life.removed.map(|(removed, _)| removed), Some(index)];
                    let events = events.into_iter().flatten();
                    violations.push(Violation::new(case.history, Kind::LeftBehind, why, events));
                }
            }
        }
    }
    violations
}

//! Whether a run went on all the time: what was lost, and how long nobody was granted anything.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use leasehold_testkit::history::{Call, Event, Outcome, What};

use crate::worker::CLOSED;

/// What was seen of it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Steadiness {
    /// Sessions that were lost before their owners closed them.
    sessions: usize,
    /// Holders who were told of a loss.
    holds: usize,
    /// The longest time between two grants, while somebody asked.
    stillness: Duration,
}

impl Steadiness {
    /// Looks through a history, whose events are in order.
    pub(crate) fn of(events: &[Event]) -> Self {
        let mut seen = Self::default();
        let mut over: HashSet<&str> = HashSet::new();
        let mut granted = None;
        for event in events {
            match &event.what {
                What::Invoke { call: Call::Acquire { .. }, .. } => {
                    granted.get_or_insert(event.at);
                    seen.still(granted, event);
                }
                What::Ok { outcome: Outcome::Granted { .. }, .. } => {
                    seen.still(granted, event);
                    granted = Some(event.at);
                }
                What::SessionLost { session, reason } => {
                    seen.sessions += usize::from(over.insert(session) && reason != CLOSED);
                }
                What::Lost { .. } => seen.holds += 1,
                _ => {}
            }
        }
        seen
    }

    /// Nobody was granted anything from `since` to this event.
    fn still(&mut self, since: Option<u64>, event: &Event) {
        let still = event.at.saturating_sub(since.unwrap_or(event.at));
        self.stillness = self.stillness.max(Duration::from_nanos(still));
    }

    /// What is wrong with it in a run in which nothing may be lost, and somebody granted at least that often.
    pub(crate) fn problems(&self, bound: Duration) -> Vec<String> {
        let mut problems = Vec::new();
        if self.sessions + self.holds > 0 {
            problems.push(format!(
                "{} sessions and {} holds were lost, and the TTL is long",
                self.sessions, self.holds
            ));
        }
        if self.stillness > bound {
            problems.push(format!(
                "nobody was granted anything for {:?}, and the bound is {bound:?}",
                self.stillness
            ));
        }
        problems
    }
}

impl fmt::Display for Steadiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sessions, holds, stillness } = self;
        write!(f, "{sessions} sessions and {holds} holds lost, at most {stillness:.1?} without a grant")
    }
}

#[cfg(test)]
mod tests {
    use leasehold_core::{FencingToken, Mode};

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn event(second: u64, what: What) -> Event {
        Event { at: second * SECOND, process: "w".into(), what }
    }

    fn asked(second: u64, op: u64) -> Event {
        let call = Call::Acquire { lock: "a".into(), mode: Mode::Exclusive, only_if_free: false };
        event(second, What::Invoke { op, call })
    }

    fn granted(second: u64, op: u64) -> Event {
        let outcome = Outcome::Granted { token: FencingToken::new(0, op, 0), session: Some("s".into()) };
        event(second, What::Ok { op, outcome })
    }

    fn over(second: u64, reason: &str) -> Event {
        event(second, What::SessionLost { session: "s".into(), reason: reason.into() })
    }

    const BOUND: Duration = Duration::from_secs(5);

    #[test]
    fn one_that_goes_on_has_no_problems() {
        let events = [asked(10, 1), granted(11, 1), asked(15, 2), granted(16, 2), over(40, CLOSED)];
        let seen = Steadiness::of(&events);
        assert_eq!(seen.stillness, BOUND, "what comes after the last asking is no stillness");
        assert_eq!(seen.problems(BOUND), Vec::<String>::new());
    }

    #[test]
    fn stillness_and_losses_are_told() {
        for still in [
            &[asked(10, 1), granted(16, 1)][..],
            &[asked(10, 1), granted(11, 1), asked(16, 2), granted(17, 2)],
            &[asked(10, 1), asked(16, 2)],
        ] {
            let problems = Steadiness::of(still).problems(BOUND);
            assert!(problems.len() == 1 && problems[0].contains("for 6s"), "{problems:?}");
        }
        let loss = event(12, What::Lost { hold: 1, reason: "DeadlinePassed".into() });
        let events = [asked(10, 1), granted(11, 1), over(12, "DeadlinePassed"), loss, over(12, CLOSED)];
        let problems = Steadiness::of(&events).problems(BOUND);
        assert!(
            problems.len() == 1 && problems[0].starts_with("1 sessions and 1 holds were lost"),
            "{problems:?}"
        );
    }
}

//! What is checked, and how strictly.

use std::time::Duration;

use super::checks::{
    Case, beliefs, errors, fence, linearizability, losses, order, progress, quiescence, sections, tokens,
    versions,
};
use super::holds;
use super::operations::History;
use super::report::Report;
use super::tap;
use super::violation::{Kind, Violation};

/// Checks histories. By default it checks all that the library promises, allows no lateness, and sets no bound on
/// progress.
///
/// It takes O(n log n) for n events, times the number of those who hold, wait or write at one time.
///
/// ```
/// use leasehold_core::Clock;
/// use leasehold_testkit::history::{Call, Checker, History, Kind, Outcome, Recorder};
///
/// let recorder = Recorder::in_memory("a", Clock::system());
/// let write = |token: u64, based_on| {
///     let token = leasehold_core::FencingToken::new(0, token, 0);
///     recorder.invoke(Call::Write { resource: "disk".into(), token, based_on, value: based_on + 1 })
/// };
/// let first = write(1, 0);
/// recorder.ok(first, Outcome::Written { version: 1 });
/// let second = write(2, 0);
/// recorder.ok(second, Outcome::Written { version: 2 });
///
/// let report = Checker::new().check(&History::new(recorder.events()));
/// let kinds: Vec<_> = report.violations.iter().map(|violation| violation.kind).collect();
/// assert_eq!(kinds, [Kind::LostUpdate], "{report}");
/// ```
#[derive(Debug, Clone)]
pub struct Checker {
    pub(super) believers: bool,
    pub(super) order: bool,
    pub(super) tries_are_atomic: bool,
    pub(super) grace: u64,
    pub(super) tap_lag: u64,
    pub(super) progress: Option<u64>,
    pub(super) documented: Vec<(String, String)>,
    expected_rejections: usize,
}

impl Default for Checker {
    fn default() -> Self {
        Self::new()
    }
}

impl Checker {
    /// As strict as can be.
    pub fn new() -> Self {
        Self {
            believers: true,
            order: true,
            tries_are_atomic: true,
            grace: 0,
            tap_lag: 0,
            progress: None,
            documented: Vec::new(),
            expected_rejections: 0,
        }
    }

    /// Allows two believers: for services that never promised that there are none.
    #[must_use]
    pub fn without_exclusive_belief(mut self) -> Self {
        self.believers = false;
        self
    }

    /// Allows grants out of order: for services and recipes that do not promise it.
    #[must_use]
    pub fn without_order(mut self) -> Self {
        self.order = false;
        self
    }

    /// For services that cannot create an entry on condition that the queue is free, and so create that of a try first and look afterwards who is
    /// ahead (ZooKeeper): whoever leaves between the two was not waited for. That a try overtakes nobody is asked at its grant all the same.
    #[must_use]
    pub fn tries_look_after_creating(mut self) -> Self {
        self.tries_are_atomic = false;
        self
    }

    /// How long it may take a process to be told of a loss, after it happened or after the process woke.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = nanos(grace);
        self
    }

    /// How much later than it happened the tap may have seen something.
    #[must_use]
    pub fn tap_lag(mut self, lag: Duration) -> Self {
        self.tap_lag = nanos(lag);
        self
    }

    /// How long an operation may take while nothing is disturbed: a TTL and what the service adds to it, the tenures of all who are ahead, and
    /// some more for a busy machine.
    #[must_use]
    pub fn progress_within(mut self, bound: Duration) -> Self {
        self.progress = Some(nanos(bound));
        self
    }

    /// Accepts an error of an operation, by [`Call::name`](super::Call::name), that it does not end with when used soundly.
    #[must_use]
    pub fn also_documented(mut self, operation: &str, error: &str) -> Self {
        self.documented.push((operation.into(), error.into()));
        self
    }

    /// The run is about the fence: unless it rejected so many, the run has not tested it.
    #[must_use]
    pub fn expect_stale_rejections(mut self, at_least: usize) -> Self {
        self.expected_rejections = at_least;
        self
    }

    /// Checks a history.
    pub fn check(&self, history: &History) -> Report {
        let holds = holds::collect(history, self.grace);
        let queues = tap::queues(history);
        let case = Case { history, holds: &holds, queues: &queues, checker: self };
        let mut report = Report::count(history, &queues);
        report.violations = history.malformed();
        for check in [
            versions::check,
            fence::check,
            sections::check,
            tokens::check,
            losses::check,
            order::check,
            order::entries,
            quiescence::check,
            progress::check,
            errors::check,
            linearizability::check,
        ] {
            report.violations.extend(check(&case));
        }
        if self.believers {
            report.violations.extend(beliefs::check(&case));
        }
        if report.stale_rejections < self.expected_rejections {
            let why = format!(
                "{} stale accesses were rejected, and at least {} were expected",
                report.stale_rejections, self.expected_rejections
            );
            report.violations.push(Violation::new(history, Kind::NotSeen, why, []));
        }
        report.violations.sort_by_key(|violation| violation.events.first().map(|(index, _)| *index));
        report
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

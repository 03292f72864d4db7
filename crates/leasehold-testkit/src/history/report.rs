//! What a history was about, and what is wrong with it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::call::{Outcome, STALE};
use super::event::{Removal, What};
use super::operations::{Fate, History};
use super::tap::Queue;
use super::violation::Violation;

/// Beyond so many violations the text of a report only counts them.
const MOST_SHOWN: usize = 20;

/// What was in a history, and what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Events.
    pub events: usize,
    /// Operations that began.
    pub operations: usize,
    /// Those of which nobody can tell what became of them.
    pub unanswered: usize,
    /// Grants.
    pub grants: usize,
    /// Entries that the service removed because their session had run out.
    pub expiries: usize,
    /// Holders who were told of a loss.
    pub losses: usize,
    /// Accesses that a fenced resource rejected.
    pub stale_rejections: usize,
    /// Faults by kind, with pauses and kills.
    pub faults: BTreeMap<String, usize>,
    /// What is wrong, in the order of the events.
    pub violations: Vec<Violation>,
}

impl Report {
    pub(super) fn count(history: &History, queues: &HashMap<&str, Queue>) -> Self {
        let mut report = Self { events: history.events().len(), ..Self::default() };
        for operation in history.operations() {
            report.operations += 1;
            match &operation.fate {
                Fate::Done(Outcome::Granted { .. }) => report.grants += 1,
                Fate::Done(_) => {}
                Fate::Failed(error) => report.stale_rejections += usize::from(error == STALE),
                Fate::Unknown(_) => report.unanswered += 1,
            }
        }
        for event in history.events() {
            let kind = match &event.what {
                What::Lost { .. } => {
                    report.losses += 1;
                    continue;
                }
                What::Fault { kind, .. } => kind,
                What::Paused { .. } => "pause",
                What::Killed { .. } => "kill",
                _ => continue,
            };
            *report.faults.entry(kind.to_owned()).or_default() += 1;
        }
        let lives = queues.values().flat_map(|queue| &queue.lives);
        report.expiries = lives.filter(|life| matches!(life.removed, Some((_, Removal::Expired)))).count();
        report
    }

    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.violations.is_empty()
    }

    /// # Panics
    /// If anything is wrong, with all that is.
    #[track_caller]
    pub fn assert_sound(&self) {
        assert!(self.is_sound(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} events, {} operations ({} unanswered), {} grants, {} losses, {} expiries, {} stale accesses rejected",
            self.events,
            self.operations,
            self.unanswered,
            self.grants,
            self.losses,
            self.expiries,
            self.stale_rejections
        )?;
        let faults: Vec<_> = self.faults.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        writeln!(f, "faults: {}", if faults.is_empty() { "none".into() } else { faults.join(", ") })?;
        for violation in self.violations.iter().take(MOST_SHOWN) {
            writeln!(f, "{violation}")?;
        }
        match self.violations.len() {
            0 => write!(f, "no violation"),
            1 => write!(f, "1 violation"),
            more if more <= MOST_SHOWN => write!(f, "{more} violations"),
            more => write!(f, "{more} violations, of which {MOST_SHOWN} are shown"),
        }
    }
}

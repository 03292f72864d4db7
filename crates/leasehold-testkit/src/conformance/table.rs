//! What ran where, as a table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use super::plan::IN_LAYOUT;
use super::record::{Outcome, Run};

/// The behaviours, a row each: number, what, the cases of the suites.
const BEHAVIOURS: &str = include_str!("behaviours.md");

/// Why a behaviour is not proven over a backend: number or range, backend or `*`, the reason.
const REASONS: &str = include_str!("reasons.tsv");

/// What stands in a cell: how often what proves a behaviour passed, by adapter.
type Cell = BTreeMap<String, usize>;

/// How often each behaviour was proven over each backend.
#[derive(Debug, Clone)]
pub struct Table {
    backends: BTreeSet<String>,
    cells: BTreeMap<(u32, String), Cell>,
    /// Passed, failed and not run, by backend.
    totals: BTreeMap<String, [usize; 3]>,
    reasons: Vec<(u32, String, String)>,
}

/// What a table must not show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// Nothing ran, and nobody says why.
    #[error("behaviour {behaviour} ran nowhere over {backend}, and no reason is given")]
    Empty {
        /// The number.
        behaviour: u32,
        /// The service.
        backend: String,
    },
    /// A reason for what ran.
    #[error("behaviour {behaviour} ran over {backend}, and a reason says why it does not")]
    Contradicted {
        /// The number.
        behaviour: u32,
        /// The service.
        backend: String,
    },
    /// A failure is in the record.
    #[error("{case} failed over {backend}")]
    Failed {
        /// The case.
        case: String,
        /// The service.
        backend: String,
    },
}

impl Table {
    /// Counts a record, over these backends and whichever ran. Of several runs of one case the last decides whether it failed.
    pub fn of(runs: &[Run], backends: impl IntoIterator<Item = String>) -> (Self, Vec<TableError>) {
        let mut table = Self {
            backends: backends.into_iter().chain(runs.iter().map(|run| run.backend.clone())).collect(),
            cells: BTreeMap::new(),
            totals: BTreeMap::new(),
            reasons: reasons(REASONS),
        };
        let mut last: BTreeMap<(&str, &str), &Run> = BTreeMap::new();
        for run in runs {
            let of = match run.outcome {
                Outcome::Passed => 0,
                Outcome::Failed => 1,
                Outcome::NotRun(_) => 2,
            };
            table.totals.entry(run.backend.clone()).or_default()[of] += 1;
            last.insert((&run.backend, &run.case), run);
            if run.outcome == Outcome::Passed {
                for behaviour in &run.behaviours {
                    let cell = table.cells.entry((*behaviour, run.backend.clone())).or_default();
                    *cell.entry(run.adapter.clone()).or_default() += 1;
                }
            }
        }
        let failed = last.into_values().filter(|run| run.outcome == Outcome::Failed);
        let failed =
            failed.map(|run| TableError::Failed { case: run.case.clone(), backend: run.backend.clone() });
        let mut errors: Vec<_> = failed.collect();
        for (behaviour, _) in behaviours() {
            for backend in &table.backends {
                let ran = table.cells.contains_key(&(behaviour, backend.clone()));
                let backend = backend.clone();
                match (ran, table.reason(behaviour, &backend)) {
                    // A layout is that of some recipes.
                    (false, _) if backend.contains(IN_LAYOUT) => {}
                    (false, None) => errors.push(TableError::Empty { behaviour, backend }),
                    (true, Some((_, of, _))) if of != "*" => {
                        errors.push(TableError::Contradicted { behaviour, backend });
                    }
                    _ => {}
                }
            }
        }
        (table, errors)
    }

    /// The reason that is nearest: of this backend, or of all.
    fn reason(&self, behaviour: u32, backend: &str) -> Option<&(u32, String, String)> {
        let of = |whom: &str| self.reasons.iter().find(|(number, of, _)| *number == behaviour && of == whom);
        of(backend).or_else(|| of("*"))
    }
}

/// The numbers and what they are about.
pub(super) fn behaviours() -> impl Iterator<Item = (u32, &'static str)> {
    BEHAVIOURS.lines().skip(2).map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let [_, number, what, ..] = cells[..] else { panic!("no row: {row}") };
        (number.parse().unwrap_or_else(|_| panic!("no number: {row}")), what)
    })
}

fn reasons(text: &str) -> Vec<(u32, String, String)> {
    let mut reasons = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let [numbers, backend, reason] = <[&str; 3]>::try_from(line.split('\t').collect::<Vec<_>>())
            .unwrap_or_else(|_| panic!("no reason: {line:?}"));
        let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
        let number = |text: &str| text.parse::<u32>().unwrap_or_else(|_| panic!("no number: {line:?}"));
        let range = number(first)..=number(last);
        reasons.extend(range.map(|number| (number, backend.to_owned(), reason.to_owned())));
    }
    reasons
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |cells: &mut dyn Iterator<Item = String>| -> fmt::Result {
            let mut text = String::new();
            for cell in cells {
                write!(text, " {cell} |")?;
            }
            writeln!(f, "|{text}")
        };
        let backends = || self.backends.iter().cloned();
        line(&mut ["#".to_owned(), "behaviour".to_owned()].into_iter().chain(backends()))?;
        line(&mut (0..self.backends.len() + 2).map(|_| "---".to_owned()))?;
        for (number, what) in behaviours() {
            let cells =
                self.backends.iter().map(|backend| match self.cells.get(&(number, backend.clone())) {
                    Some(cell) => shown(cell),
                    None if backend.contains(IN_LAYOUT) => "–".to_owned(),
                    None => match self.reason(number, backend) {
                        Some((_, _, reason)) => format!("– {reason}"),
                        None => "**nothing**".to_owned(),
                    },
                });
            line(&mut [number.to_string(), what.to_owned()].into_iter().chain(cells))?;
        }
        let totals = self.backends.iter().map(|backend| {
            let [passed, failed, not_run] = self.totals.get(backend).copied().unwrap_or_default();
            format!("{passed} passed, {failed} failed, {not_run} not run")
        });
        line(&mut [String::new(), "all case runs".to_owned()].into_iter().chain(totals))
    }
}

/// The sum, and what the adapters of the mutex have of it.
fn shown(cell: &Cell) -> String {
    let sum: usize = cell.values().sum();
    let adapters: Vec<_> = cell.iter().filter(|(adapter, _)| !adapter.is_empty()).collect();
    match adapters.as_slice() {
        [] => sum.to_string(),
        adapters => {
            let by: Vec<_> = adapters.iter().map(|(adapter, count)| format!("{adapter} {count}")).collect();
            format!("{sum} ({})", by.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::{Extent, plan};
    use super::*;

    /// The cases of the suites that cite a behaviour, as the table of behaviours names them: an adapter's are the mutex's.
    fn citing(behaviour: u32) -> String {
        let capabilities = leasehold_core::Capabilities::full(std::time::Duration::ZERO, 1);
        let planned = plan("memory", capabilities, Extent::All);
        let citing =
            planned.iter().map(|planned| &planned.run).filter(|run| run.behaviours.contains(&behaviour));
        let named = citing.filter(|run| run.adapter.is_empty() || run.adapter == "mutex");
        let short = named.map(|run| format!("`{}`", run.case.strip_prefix("recipes::").unwrap_or(&run.case)));
        short.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn the_table_of_behaviours_says_what_the_cases_cite_and_leaves_out_none() {
        let numbers: Vec<u32> = behaviours().map(|(number, _)| number).collect();
        assert_eq!(numbers, (1..=76).collect::<Vec<_>>());
        for (row, (number, what)) in BEHAVIOURS.lines().skip(2).zip(behaviours()) {
            assert!(!what.is_empty(), "{row}");
            assert_eq!(row, format!("| {number} | {what} | {} |", citing(number)).replace("|  |", "| |"));
        }
    }

    #[test]
    fn every_clause_has_a_case() {
        let cited: Vec<&str> =
            crate::contract::CASES.iter().flat_map(|case| case.clauses.split(", ")).collect();
        // The first clause of LockBackend is about who calls: it binds the engine.
        let all: Vec<String> = [("LockBackend", 2..=4), ("Session", 1..=7), ("Queue", 1..=8)]
            .into_iter()
            .flat_map(|(of, numbers)| numbers.map(move |number| format!("{of} {number}")))
            .collect();
        for clause in &all {
            assert!(cited.contains(&clause.as_str()), "no case cites {clause}");
        }
        assert!(cited.iter().all(|clause| all.iter().any(|known| known == clause)), "an unknown clause");
    }

    fn run(case: &str, behaviours: &[u32], backend: &str, adapter: &str, outcome: Outcome) -> Run {
        let (case, clauses, behaviours) = (case.to_owned(), String::new(), behaviours.to_vec());
        Run { case, clauses, behaviours, backend: backend.to_owned(), adapter: adapter.to_owned(), outcome }
    }

    #[test]
    fn cells_count_what_passed_and_an_empty_one_needs_a_reason() {
        let runs = [
            run("a", &[1, 2], "new", "mutex", Outcome::Passed),
            run("b", &[1], "new", "election", Outcome::Passed),
            run("c", &[3], "new", "", Outcome::NotRun("no".into())),
            run("d", &[4], "new", "", Outcome::Failed),
            run("e", &[5], "new", "", Outcome::Failed),
            run("e", &[5], "new", "", Outcome::Passed),
        ];
        let (table, errors) = Table::of(&runs, ["other".to_owned()]);
        let text = table.to_string();
        let row = |number: u32| text.lines().find(|row| row.starts_with(&format!("| {number} |"))).unwrap();
        assert!(row(1).ends_with("| 2 (election 1, mutex 1) | **nothing** |"), "{}", row(1));
        assert!(row(5).contains("| 1 |"), "{}", row(5));
        let empty = |behaviour, backend: &str| TableError::Empty { behaviour, backend: backend.into() };
        assert!(errors.contains(&empty(1, "other")) && !errors.contains(&empty(1, "new")));
        assert!(errors.contains(&empty(3, "new")), "what was not run proves nothing");
        let failed = |case: &str| TableError::Failed { case: case.into(), backend: "new".into() };
        assert!(errors.contains(&failed("d")) && !errors.contains(&failed("e")), "the last run decides");
        // What belongs to other runs over every backend has its reason, and may be there all the same.
        assert!(!errors.contains(&empty(76, "new")), "{errors:?}");
        assert!(row(76).contains("– "), "{}", row(76));
    }

    #[test]
    fn a_reason_of_a_backend_for_what_ran_there_is_told() {
        let (number, backend, _) =
            reasons(REASONS).into_iter().find(|(_, backend, _)| backend != "*").expect("a reason");
        let (_, errors) = Table::of(&[run("a", &[number], &backend, "", Outcome::Passed)], []);
        assert!(errors.contains(&TableError::Contradicted { behaviour: number, backend }));
    }
}

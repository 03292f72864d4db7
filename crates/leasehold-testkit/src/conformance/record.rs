//! What ran where, and how it went: one line a case run, kept in files.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::lines;

/// The environment variable with the directory of the record.
pub const RECORD: &str = "LEASEHOLD_RECORD";

/// What came of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It ran and passed.
    Passed,
    /// It ran and failed.
    Failed,
    /// It was not run, and why.
    NotRun(String),
}

/// One run of a case, or that it was not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The name of the case, or of the test.
    pub case: String,
    /// The clauses of the contract that it cites.
    pub clauses: String,
    /// The behaviours that it cites.
    pub behaviours: Vec<u32>,
    /// The service.
    pub backend: String,
    /// What stood for the mutex; empty where that is no question.
    pub adapter: String,
    /// What came of it.
    pub outcome: Outcome,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let behaviours: Vec<_> = self.behaviours.iter().map(u32::to_string).collect();
        let outcome = match &self.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::NotRun(reason) => &format!("not run: {reason}"),
        };
        let fields =
            [&self.backend, &self.adapter, &self.case, &behaviours.join(","), &self.clauses, outcome];
        f.write_str(&lines::join(&fields))
    }
}

impl Run {
    /// Reads a line back; `None` if it is none of ours.
    pub fn parse(line: &str) -> Option<Self> {
        let [backend, adapter, case, behaviours, clauses, outcome] =
            <[&str; 6]>::try_from(line.split('\t').collect::<Vec<_>>()).ok()?;
        let numbers = behaviours.split(',').filter(|number| !number.is_empty());
        Some(Self {
            case: case.to_owned(),
            clauses: clauses.to_owned(),
            behaviours: numbers.map(|number| number.parse().ok()).collect::<Option<_>>()?,
            backend: backend.to_owned(),
            adapter: adapter.to_owned(),
            outcome: match outcome {
                "passed" => Outcome::Passed,
                "failed" => Outcome::Failed,
                other => Outcome::NotRun(other.strip_prefix("not run: ")?.to_owned()),
            },
        })
    }

    /// Appends the line to this process's file.
    ///
    /// # Panics
    /// If it cannot be written: a record with holes would be none.
    pub fn write(&self) {
        lines::append(&directory(), &self.to_string());
    }
}

/// Where the record is: [`RECORD`], or `conformance` in cargo's target directory.
pub fn directory() -> PathBuf {
    if let Some(dir) = std::env::var_os(RECORD) {
        return dir.into();
    }
    let exe = std::env::current_exe().unwrap_or_default();
    // Cargo tags it for backup programs.
    let target = exe.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file());
    target.unwrap_or(Path::new("target")).join("conformance")
}

/// All lines of a record, those of one file in their order.
///
/// # Errors
/// If a file cannot be read, or holds a line that is none of ours.
pub fn read(dir: &Path) -> io::Result<Vec<Run>> {
    lines::read(dir, Run::parse)
}

/// The behaviours that a test outside the suites proves over a backend: `let _cited = cites("etcd", &[66, 69]);` at its head. The record
/// has the test once it has ended, with how it did.
#[must_use = "the test is recorded when this is dropped"]
pub fn cites(backend: &str, behaviours: &[u32]) -> Cited {
    let case = std::thread::current().name().unwrap_or("a test").to_owned();
    let (backend, behaviours) = (backend.to_owned(), behaviours.to_vec());
    let (clauses, adapter) = (String::new(), String::new());
    Cited(Run { case, clauses, behaviours, backend, adapter, outcome: Outcome::Passed })
}

/// See [`cites`].
#[derive(Debug)]
pub struct Cited(Run);

impl Drop for Cited {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.outcome = Outcome::Failed;
        }
        self.0.write();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_back_and_nothing_else_is_accepted() {
        let run = |outcome| Run {
            case: "waiting::a".into(),
            clauses: "Queue 1, Queue 4".into(),
            behaviours: vec![3, 40],
            backend: "etcd".into(),
            adapter: String::new(),
            outcome,
        };
        for outcome in [Outcome::Passed, Outcome::Failed, Outcome::NotRun("why not".into())] {
            assert_eq!(Run::parse(&run(outcome.clone()).to_string()), Some(run(outcome)));
        }
        let torn = Run { case: "a\tb\nc".into(), ..run(Outcome::Passed) }.to_string();
        assert_eq!(Run::parse(&torn).unwrap().case, "a b c", "one line, whatever it holds");
        for foreign in ["", "a\tb", "a\t\tc\tx\te\tpassed", "a\t\tc\t1\te\tperhaps"] {
            assert_eq!(Run::parse(foreign), None, "{foreign:?}");
        }
    }
}

//! Which other programs' clients the locks were shared with, and how often: a table of the tests that ran.
//!
//! A test begins with a [`meets`], and says what was acquired as it goes; how it ended is in the record once that is dropped.
//! `leasehold-interop-table` prints the table.
//!
//! ```
//! use leasehold_testkit::interop::{Meeting, Table};
//!
//! let meeting = |acquisitions| Meeting {
//!     client: "etcdctl".into(),
//!     version: "3.4.23".into(),
//!     recipe: "mutex".into(),
//!     acquisitions,
//!     passed: true,
//! };
//! let (table, failed) = Table::of([meeting(2), meeting(3)]);
//! assert!(table.to_string().ends_with("| etcdctl | 3.4.23 | mutex | 2 | 5 |\n"));
//! assert_eq!(failed, 0);
//! ```
//!
//! # Implementation
//!
//! The lines are kept like those of the conformance runs (see [`conformance`](crate::conformance)), in a folder beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::Path;

use crate::conformance::lines;

/// One test in which a lock was shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meeting {
    /// What the other client is called, with its language where that is not plain.
    pub client: String,
    /// Its version, as it says or as it was installed.
    pub version: String,
    /// What was shared.
    pub recipe: String,
    /// How often either side acquired it.
    pub acquisitions: u64,
    /// Whether the test passed.
    pub passed: bool,
}

impl fmt::Display for Meeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = if self.passed { "ok" } else { "failed" };
        let acquisitions = self.acquisitions.to_string();
        f.write_str(&lines::join(&[&self.client, &self.version, &self.recipe, &acquisitions, outcome]))
    }
}

impl Meeting {
    /// Reads a line back; `None` if it is none of ours.
    pub fn parse(line: &str) -> Option<Self> {
        let [client, version, recipe, acquisitions, outcome] =
            <[&str; 5]>::try_from(line.split('\t').collect::<Vec<_>>()).ok()?;
        let passed = match outcome {
            "ok" => true,
            "failed" => false,
            _ => return None,
        };
        let acquisitions = acquisitions.parse().ok()?;
        let [client, version, recipe] = [client, version, recipe].map(str::to_owned);
        Some(Self { client, version, recipe, acquisitions, passed })
    }
}

/// The folder in the directory of the record that the meetings are in.
pub const FOLDER: &str = "interop";

/// All meetings of a record.
///
/// # Errors
/// If a file cannot be read, or holds a line that is none of ours.
pub fn read(dir: &Path) -> io::Result<Vec<Meeting>> {
    lines::read(&dir.join(FOLDER), Meeting::parse)
}

/// At the head of a test: the client that it meets, the client's version, and what is shared.
#[must_use = "the test is recorded when this is dropped"]
pub fn meets(client: &str, version: &str, recipe: &str) -> Meets {
    let [client, version, recipe] = [client, version, recipe].map(str::to_owned);
    Meets(Meeting { client, version, recipe, acquisitions: 0, passed: true })
}

/// See [`meets`].
#[derive(Debug)]
pub struct Meets(Meeting);

impl Meets {
    /// So many acquisitions more, of either side.
    pub fn acquired(&mut self, count: u64) {
        self.0.acquisitions += count;
    }
}

impl Drop for Meets {
    fn drop(&mut self) {
        self.0.passed = !std::thread::panicking();
        lines::append(&crate::conformance::directory().join(FOLDER), &self.0.to_string());
    }
}

const HEAD: &str = "| Client | Version | Recipe | Tests | Acquisitions |";

/// How often each recipe was shared with each client. A row counts the tests that passed.
#[derive(Debug, Clone, Default)]
pub struct Table(BTreeMap<[String; 3], (usize, u64)>);

impl Table {
    /// The table of these meetings, and how many of them failed.
    pub fn of(meetings: impl IntoIterator<Item = Meeting>) -> (Self, usize) {
        let (mut table, mut failed) = (Self::default(), 0);
        for meeting in meetings {
            if !meeting.passed {
                failed += 1;
                continue;
            }
            let row = table.0.entry([meeting.client, meeting.version, meeting.recipe]).or_default();
            row.0 += 1;
            row.1 += meeting.acquisitions;
        }
        (table, failed)
    }

    /// How a document's table of this kind differs from this one: what it claims and no test has shown, and what it lacks. Versions and
    /// numbers may differ, as they do from machine to machine.
    pub fn differences(&self, markdown: &str) -> Vec<String> {
        let claims: BTreeSet<[&str; 2]> = markdown
            .lines()
            .map(str::trim)
            .skip_while(|line| *line != HEAD)
            .skip(2)
            .map_while(|line| {
                let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
                Some([cells.next()?, cells.nth(1)?])
            })
            .collect();
        let shown: BTreeSet<[&str; 2]> =
            self.0.keys().map(|[client, _version, recipe]| [client.as_str(), recipe]).collect();
        let tell = |[client, recipe]: &[&str; 2], what: &str| format!("{client}, {recipe}: {what}");
        let unproven = claims.difference(&shown).map(|row| tell(row, "no test has shown it"));
        let lacking = shown.difference(&claims).map(|row| tell(row, "the document lacks it"));
        unproven.chain(lacking).collect()
    }

    /// Whether no test passed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}")?;
        writeln!(f, "|---|---|---|---|---|")?;
        for ([client, version, recipe], (tests, acquisitions)) in &self.0 {
            writeln!(f, "| {client} | {version} | {recipe} | {tests} | {acquisitions} |")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meeting(passed: bool) -> Meeting {
        let [client, version, recipe] = ["kazoo", "2.10", "read/write lock"].map(str::to_owned);
        Meeting { client, version, recipe, acquisitions: 7, passed }
    }

    #[test]
    fn lines_read_back_and_nothing_else_is_accepted() {
        for passed in [true, false] {
            assert_eq!(Meeting::parse(&meeting(passed).to_string()), Some(meeting(passed)));
        }
        let torn = Meeting { recipe: "a\tb\nc".into(), ..meeting(true) };
        assert_eq!(Meeting::parse(&torn.to_string()).unwrap().recipe, "a b c", "one line, whatever it holds");
        for foreign in ["", "a\tb\tc\t1", "a\tb\tc\tx\tok", "a\tb\tc\t1\tperhaps"] {
            assert_eq!(Meeting::parse(foreign), None, "{foreign:?}");
        }
    }

    #[test]
    fn a_document_claims_what_was_shown_and_no_more() {
        let (table, _) = Table::of([meeting(true)]);
        let document = |rows: &str| {
            format!("# Title\n\n| a | b |\n|---|---|\n\n{HEAD}\n|---|---|---|---|---|\n{rows}\nmore | text\n")
        };
        let same = "| kazoo | 9 | read/write lock | 1 | 1 |\n";
        assert!(table.differences(&document(same)).is_empty());
        assert!(table.differences(&format!("text\n{table}")).is_empty(), "its own text");
        assert_eq!(table.differences(&document("")), ["kazoo, read/write lock: the document lacks it"]);
        assert_eq!(table.differences("no table at all"), ["kazoo, read/write lock: the document lacks it"]);
        let more = format!("{same}| Curator | 5 | mutex | 1 | 1 |\n");
        assert_eq!(table.differences(&document(&more)), ["Curator, mutex: no test has shown it"]);
    }

    #[test]
    fn what_failed_is_counted_and_not_shown() {
        let (table, failed) = Table::of([meeting(false)]);
        assert!(table.is_empty() && failed == 1);
        let (table, failed) = Table::of([meeting(true), meeting(false), meeting(true)]);
        assert_eq!(failed, 1);
        assert!(table.to_string().ends_with("| kazoo | 2.10 | read/write lock | 2 | 14 |\n"), "{table}");
    }
}

//! Prints what ran where as a Markdown table, from the record of the conformance runs:
//!
//! ```text
//! leasehold-conformance-table [DIRECTORY [BACKEND...]]
//! ```
//!
//! The backends are those that must be there, even if nothing ran over them. It fails, after the table, if a case failed, if a behaviour ran nowhere over a backend without
//! a reason, or if a reason contradicts what ran.

use std::path::PathBuf;
use std::process::ExitCode;

use leasehold_testkit::conformance::{Table, directory, read};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().map_or_else(directory, PathBuf::from);
    let runs = match read(&dir) {
        Ok(runs) if !runs.is_empty() => runs,
        Ok(_) => {
            eprintln!("{} holds no record", dir.display());
            return ExitCode::FAILURE;
        }
        Err(error) => {
            eprintln!("{}: {error}", dir.display());
            return ExitCode::FAILURE;
        }
    };
    let (table, errors) = Table::of(&runs, arguments);
    print!("{table}");
    for error in &errors {
        eprintln!("{error}");
    }
    if errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

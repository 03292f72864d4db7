//! Prints which other programs' clients the locks were shared with, as a Markdown table, from the record of the tests that ran:
//!
//! ```text
//! leasehold-interop-table [DIRECTORY]
//! ```
//!
//! It fails, after the table, if one of them failed or none has run.

use std::path::PathBuf;
use std::process::ExitCode;

use leasehold_testkit::conformance::directory;
use leasehold_testkit::interop::{Table, read};

fn main() -> ExitCode {
    let dir = std::env::args().nth(1).map_or_else(directory, PathBuf::from);
    let meetings = match read(&dir) {
        Ok(meetings) => meetings,
        Err(error) => {
            eprintln!("{}: {error}", dir.display());
            return ExitCode::FAILURE;
        }
    };
    let (table, failed) = Table::of(meetings);
    print!("{table}");
    if failed > 0 {
        eprintln!("{failed} of the tests failed");
    }
    if table.is_empty() {
        eprintln!("{} holds no test that passed", dir.display());
    }
    if failed == 0 && !table.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

//! Prints which other programs' clients the locks were shared with, as a Markdown table, from the record of the tests that ran:
//!
//! ```text
//! leasehold-interop-table [DIRECTORY [DOCUMENT]]
//! ```
//!
//! It fails, after the table, if one of them failed or none has run, or if the document's table has other clients or recipes.

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
    let mut wrong = failed > 0 || table.is_empty();
    if let Some(document) = std::env::args().nth(2) {
        match std::fs::read_to_string(&document) {
            Ok(text) => {
                for difference in table.differences(&text) {
                    eprintln!("{document}: {difference}");
                    wrong = true;
                }
            }
            Err(error) => {
                eprintln!("{document}: {error}");
                wrong = true;
            }
        }
    }
    if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

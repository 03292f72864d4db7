//! What goes to the standard output and the standard error.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use clap::Args;
use serde_json::Value;

use crate::exit::{Failure, OS};

/// How data is printed.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Format {
    /// Print JSON, one document a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Prints a line of data.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    write(&format!("{text}\n"))
}

/// Prints a document, on a line.
pub(crate) fn json(value: &Value) -> Result<(), Failure> {
    write(&format!("{value}\n"))
}

/// Prints as it is.
pub(crate) fn write(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::unread()),
        Err(error) => Err(Failure::new(OS, format!("cannot write to the standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Says something about what goes on, for people.
pub(crate) fn note(text: &str) {
    // Nobody is there to be told that it does not work.
    let _ = writeln!(io::stderr().lock(), "leasehold: {text}");
}

/// A time span for people, to the second.
pub(crate) fn span(time: Duration) -> String {
    humantime::format_duration(Duration::from_secs(time.as_secs())).to_string()
}

/// A moment, as in `2026-01-31T12:00:00Z`.
pub(crate) fn moment(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

/// Columns, each as wide as its widest cell.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_and_end_without_spaces() {
        let rows = [vec!["a".into(), "bb".into(), String::new()], vec!["ccc".into(), "d".into(), "e".into()]];
        assert_eq!(table(&rows), "a    bb\nccc  d   e\n");
    }
}

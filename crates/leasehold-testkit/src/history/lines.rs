//! Histories as JSON lines.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::event::Event;

/// Why a history cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("{}: cannot be read", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is no event.
    #[error("{name}, line {line}: no event")]
    Line {
        /// Of which history.
        name: String,
        /// Its number, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
}

impl Event {
    /// The event as a line of JSON, its end included.
    pub fn to_line(&self) -> String {
        let mut line = serde_json::to_string(self).expect("maps with text keys and numbers");
        line.push('\n');
        line
    }
}

/// Reads events from lines of text; empty ones and those that begin with `#` are left out, and so is a last line without an end that is
/// torn, as a killed process leaves it. `name` is for the error.
///
/// # Errors
/// [`ReadError::Line`]
pub fn parse_lines(name: &str, text: &str) -> Result<Vec<Event>, ReadError> {
    let mut events = Vec::new();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let event = line.trim();
        if event.is_empty() || event.starts_with('#') {
            continue;
        }
        match serde_json::from_str(event) {
            Ok(event) => events.push(event),
            Err(error) if error.is_eof() && !line.ends_with('\n') => {}
            Err(source) => return Err(ReadError::Line { name: name.into(), line: index + 1, source }),
        }
    }
    Ok(events)
}

/// Reads the files of a run as one history, in the order of the times.
///
/// # Errors
/// [`ReadError`]
pub fn read_files<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Vec<Event>, ReadError> {
    let mut events = Vec::new();
    for path in paths {
        let path = path.as_ref();
        let text =
            fs::read_to_string(path).map_err(|source| ReadError::File { path: path.to_owned(), source })?;
        events.extend(parse_lines(&path.display().to_string(), &text)?);
    }
    // Stable: within a file the order of the lines is that of what happened.
    events.sort_by_key(|event| event.at);
    Ok(events)
}

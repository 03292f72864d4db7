//! Records: lines of fields in files of a directory.
//!
//! # Implementation
//!
//! Every process appends to a file of its own, one `write` a line, so that neither processes nor threads tear each other's lines.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// One line of these fields.
pub(crate) fn join(fields: &[&str]) -> String {
    let whole: Vec<_> = fields.iter().map(|field| field.replace(['\t', '\n'], " ")).collect();
    whole.join("\t")
}

/// Appends the line to this process's file.
///
/// # Panics
/// If it cannot be written: a record with holes would be none.
pub(crate) fn append(dir: &Path, line: &str) {
    let file = dir.join(file_name());
    let written = fs::create_dir_all(dir)
        .and_then(|()| OpenOptions::new().append(true).create(true).open(&file))
        .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
    if let Err(error) = written {
        panic!("cannot record into {}: {error}", file.display());
    }
}

/// That of this process: the names of files are in the order in which their processes began.
fn file_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("{:020}-{}.tsv", since.as_millis(), std::process::id())
    })
}

/// All lines of a record, those of one file in their order.
///
/// # Errors
/// If a file cannot be read, or holds a line that `parse` does not know.
pub(crate) fn read<T>(dir: &Path, parse: impl Fn(&str) -> Option<T>) -> io::Result<Vec<T>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(dir)?.map(|file| Ok(file?.path())).collect::<io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "tsv"));
    files.sort();
    let mut parsed = Vec::new();
    for file in files {
        for line in fs::read_to_string(&file)?.lines() {
            let known = parse(line);
            parsed.push(known.ok_or_else(|| io::Error::other(format!("{}: {line:?}", file.display())))?);
        }
    }
    Ok(parsed)
}

//! `leasehold-check-history [OPTIONS] FILE…`: checks the histories of a run.
//!
//! The files, JSON lines of the processes of one host, are taken together as one history. The report goes to the standard output. Exit
//! status: 0 if nothing is wrong, 1 if a promise was broken, 2 if that could not be found out.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use leasehold_testkit::history::{Checker, History, read_files, timeline};

const USAGE: &str = "usage: leasehold-check-history [OPTIONS] FILE...

  --grace-ms N                  how long a process may take to be told of a loss
  --tap-lag-ms N                how late the tap may be
  --progress-ms N               how long an operation may take while nothing is disturbed
  --expect-stale-rejections N   fail unless a fenced resource rejected so many accesses
  --without-exclusive-belief    the service does not promise that there are no two believers
  --without-order               the service does not promise first come, first served
  --timeline FILE               also draw the history, as SVG";

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(message) => {
            eprintln!("leasehold-check-history: {message}");
            ExitCode::from(2)
        }
    }
}

/// Whether nothing is wrong.
fn run(mut arguments: impl Iterator<Item = OsString>) -> Result<bool, String> {
    let mut checker = Checker::new();
    let mut files: Vec<PathBuf> = Vec::new();
    let mut picture: Option<PathBuf> = None;
    while let Some(argument) = arguments.next() {
        let option = argument.to_str().filter(|text| text.starts_with("--")).map(str::to_owned);
        let Some(option) = option else {
            files.push(argument.into());
            continue;
        };
        let mut value = || arguments.next().ok_or_else(|| format!("{option} needs a value\n{USAGE}"));
        let mut number = || {
            let value = value()?;
            let number = value.to_str().and_then(|text| text.parse::<u64>().ok());
            number.ok_or_else(|| format!("{option} needs a number, not {}", value.display()))
        };
        checker = match option.as_str() {
            "--grace-ms" => checker.grace(Duration::from_millis(number()?)),
            "--tap-lag-ms" => checker.tap_lag(Duration::from_millis(number()?)),
            "--progress-ms" => checker.progress_within(Duration::from_millis(number()?)),
            "--expect-stale-rejections" => {
                let at_least = usize::try_from(number()?).map_err(|error| error.to_string())?;
                checker.expect_stale_rejections(at_least)
            }
            "--without-exclusive-belief" => checker.without_exclusive_belief(),
            "--without-order" => checker.without_order(),
            "--timeline" => {
                picture = Some(value()?.into());
                checker
            }
            _ => return Err(format!("{option} is no option\n{USAGE}")),
        };
    }
    if files.is_empty() {
        return Err(format!("no file\n{USAGE}"));
    }
    let events = read_files(&files).map_err(|error| match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    })?;
    let history = History::new(events);
    let report = checker.check(&history);
    println!("{report}");
    if let Some(path) = picture {
        fs::write(&path, timeline(&history)).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(report.is_sound())
}

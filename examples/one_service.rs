//! The command line of the examples that run over one service.

use std::time::{SystemTime, UNIX_EPOCH};

use lexopt::prelude::*;

/// The service of `--url`; this process alone if there is none.
///
/// # Errors
/// If the command line has anything else.
pub fn url() -> Result<String, lexopt::Error> {
    let mut url = "memory://example".to_owned();
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("url") => url = arguments.value()?.string()?,
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(url)
}

/// A name that no run before has used.
pub fn fresh_name(what: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{what} {}-{}", now.as_millis(), std::process::id())
}

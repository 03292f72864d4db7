//! What the examples share.

use std::time::{SystemTime, UNIX_EPOCH};

use lexopt::prelude::*;

/// The URL of a service (`etcd`, `zookeeper`, `redis`) that the environment names as `LEASEHOLD_<SERVICE>_URL`, as
/// `ci/with-servers.sh` does.
pub fn url_from_environment(service: &str) -> Option<String> {
    std::env::var(format!("LEASEHOLD_{}_URL", service.to_uppercase())).ok()
}

/// The service that the command line names with `--url`, or else this process's memory.
///
/// # Errors
/// If the command line says anything else.
pub fn url_argument() -> Result<String, lexopt::Error> {
    let mut url = "memory://".to_owned();
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("url") => url = arguments.value()?.string()?,
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(url)
}

/// A name that no run before has used, for what stays at a service.
pub fn fresh_name(what: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{what} {}-{}", now.as_millis(), std::process::id())
}

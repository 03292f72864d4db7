//! The command line.

use std::time::Duration;

use leasehold_examples::url_from_environment;
use lexopt::prelude::*;

use crate::worker::Job;

const HELP: &str = "\
paused_holder [--url URL]... [--ttl SECONDS]

Stops the holder of a lock for longer than its TTL and shows what its late write does
to a store with a fence and to one without.

  --url URL       the service (memory://, and what LEASEHOLD_ETCD_URL,
                  LEASEHOLD_ZOOKEEPER_URL and LEASEHOLD_REDIS_URL name, which
                  ci/with-servers.sh sets)
  --ttl SECONDS   the TTL of both holders (3)";

/// What this process is for.
pub(crate) enum Task {
    /// To stop a holder and judge what comes of it.
    Judge(Options),
    /// To be one of the holders.
    Work(Job),
}

/// What to show.
pub(crate) struct Options {
    pub(crate) urls: Vec<String>,
    pub(crate) ttl: Duration,
}

impl Options {
    /// Reads the command line; `None` if it asked for help, which is printed.
    pub(crate) fn read() -> Result<Option<Task>, lexopt::Error> {
        let (mut urls, mut ttl, mut worker) = (Vec::new(), 3, None);
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("url") => urls.push(arguments.value()?.string()?),
                Long("ttl") => ttl = arguments.value()?.parse()?,
                // How it starts itself once more, as a holder.
                Long("worker") => {
                    let (lock, rounds) = (arguments.value()?.string()?, arguments.value()?.parse()?);
                    worker = Some((lock, rounds, arguments.value()?.parse()?));
                }
                Long("help") | Short('h') => {
                    println!("{HELP}");
                    return Ok(None);
                }
                _ => return Err(argument.unexpected()),
            }
        }
        if ttl == 0 {
            return Err("--ttl takes a number from 1 on".into());
        }
        let ttl = Duration::from_secs(ttl);
        if let Some((lock, rounds, pauses)) = worker {
            let url = urls.pop().ok_or("--worker takes a --url")?;
            return Ok(Some(Task::Work(Job { url, ttl, lock, rounds, pauses })));
        }
        if urls.is_empty() {
            urls.push("memory://paused_holder".into());
            urls.extend(["etcd", "zookeeper", "redis"].into_iter().filter_map(url_from_environment));
        }
        Ok(Some(Task::Judge(Options { urls, ttl })))
    }
}

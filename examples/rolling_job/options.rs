//! The command line.

use leasehold_examples::url_from_environment;
use lexopt::prelude::*;

use crate::worker::Job;

/// What this process is for.
pub(crate) enum Task {
    /// To start the workers over each of these services, and judge what they do.
    Judge(Vec<String>),
    /// To be one of them.
    Work(Job),
}

impl Task {
    /// Reads the command line.
    pub(crate) fn read() -> Result<Self, lexopt::Error> {
        let (mut urls, mut election) = (Vec::new(), None);
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("url") => urls.push(arguments.value()?.string()?),
                // How it starts itself once more: see `Job::arguments`.
                Long("worker") => election = Some(arguments.value()?.string()?),
                _ => return Err(argument.unexpected()),
            }
        }
        if let Some(election) = election {
            let url = urls.pop().ok_or("--worker takes a --url")?;
            return Ok(Self::Work(Job { url, election }));
        }
        if urls.is_empty() {
            urls.extend(["etcd", "zookeeper", "redis"].into_iter().filter_map(url_from_environment));
        }
        if urls.is_empty() {
            urls.push("memory://rolling_job".into());
        }
        Ok(Self::Judge(urls))
    }
}

//! The command line.

use std::path::PathBuf;

use leasehold_examples::url_from_environment;
use lexopt::prelude::*;

const HELP: &str = "\
compare [--etcd URL] [--zookeeper URL] [--redis URL] [--workers N] [--rounds N] [--plot FILE]

Measures memory and every service that is named, by an option or by the variables
LEASEHOLD_ETCD_URL, LEASEHOLD_ZOOKEEPER_URL and LEASEHOLD_REDIS_URL (ci/with-servers.sh sets them).

  --workers N   how many nodes contend (8)
  --rounds N    how many rounds one worker does alone, and all together (400)
  --plot FILE   write a chart as SVG";

/// What to measure.
pub(crate) struct Options {
    pub(crate) services: Vec<(&'static str, String)>,
    pub(crate) workers: usize,
    pub(crate) rounds: usize,
    pub(crate) plot: Option<PathBuf>,
}

impl Options {
    /// Reads the command line; `None` if it asked for help, which is printed.
    pub(crate) fn read() -> Result<Option<Self>, lexopt::Error> {
        let [mut etcd, mut zookeeper, mut redis] = ["etcd", "zookeeper", "redis"].map(url_from_environment);
        let (mut workers, mut rounds, mut plot) = (8, 400, None);
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("etcd") => etcd = Some(arguments.value()?.string()?),
                Long("zookeeper") => zookeeper = Some(arguments.value()?.string()?),
                Long("redis") => redis = Some(arguments.value()?.string()?),
                Long("workers") => workers = arguments.value()?.parse()?,
                Long("rounds") => rounds = arguments.value()?.parse()?,
                Long("plot") => plot = Some(arguments.value()?.into()),
                Long("help") | Short('h') => {
                    println!("{HELP}");
                    return Ok(None);
                }
                _ => return Err(argument.unexpected()),
            }
        }
        if workers == 0 || rounds == 0 {
            return Err("--workers and --rounds take a number from 1 on".into());
        }
        let memory = Some("memory://compare".to_owned());
        let services = [("memory", memory), ("etcd", etcd), ("zookeeper", zookeeper), ("redis", redis)];
        let services = services.into_iter().filter_map(|(name, url)| url.map(|url| (name, url))).collect();
        Ok(Some(Self { services, workers, rounds, plot }))
    }
}

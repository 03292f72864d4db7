//! The command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use leasehold_testkit::servers::Storage;
use lexopt::prelude::*;

const HELP: &str = "\
leasehold-bench run redis|etcd|zookeeper [--disk] [--repetitions N] [--rounds N] [--contenders N,N,…] [--contentions N]
                    [--seconds S] [--only WHO]… [--as HOW] [--results DIR | --no-page]
leasehold-bench run all [the same, but --disk]

Starts one server, measures everything on it in one run, prints a page, and writes it to results/<service>.md, with its charts and with what
was measured. A run of a part replaces that part of the results. `run all` is a run on each service, in memory and on a disk.

  --disk             the server's data on a disk instead of in memory
  --repetitions N    how often everybody is measured without contention, in turns (15); 0 for not at all
  --rounds N         how many locks and unlocks each of these is (400)
  --contenders N,…   how many contend (2,8,32,128); none for not at all
  --contentions N    how often each number of them does, in turns (3)
  --seconds S        for how long (2)
  --only WHO         one of those who are measured, and the floor; may be given again
  --as HOW           what to add to the names, for a run of another build
  --results DIR      where to write
  --no-page          write nothing";

/// What is measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Redis,
    Etcd,
    ZooKeeper,
}

impl Service {
    const ALL: [Self; 3] = [Self::Redis, Self::Etcd, Self::ZooKeeper];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Service::Redis => "redis",
            Service::Etcd => "etcd",
            Service::ZooKeeper => "zookeeper",
        }
    }
}

/// What to measure, and how.
pub(crate) struct Options {
    /// Each is a run on a server of its own.
    pub(crate) runs: Vec<(Service, Storage)>,
    pub(crate) repetitions: usize,
    pub(crate) rounds: usize,
    pub(crate) contenders: Vec<usize>,
    pub(crate) contentions: usize,
    pub(crate) time: Duration,
    pub(crate) only: Vec<String>,
    pub(crate) how: Option<String>,
    /// Where the results are, if any are written.
    pub(crate) results: Option<PathBuf>,
}

impl Options {
    /// Reads the command line; `None` if it asked for help, which is printed.
    pub(crate) fn read() -> Result<Option<Self>, lexopt::Error> {
        let mut arguments = lexopt::Parser::from_env();
        let mut words = Vec::new();
        let (mut repetitions, mut rounds, mut contenders) = (15, 400, vec![2, 8, 32, 128]);
        let (mut contentions, mut seconds, mut storage) = (3, 2.0, Storage::Tmpfs);
        let (mut only, mut how, mut writes) = (Vec::new(), None, true);
        let mut results = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
        while let Some(argument) = arguments.next()? {
            match argument {
                Value(word) => words.push(word.string()?),
                Long("repetitions") => repetitions = arguments.value()?.parse()?,
                Long("rounds") => rounds = arguments.value()?.parse()?,
                Long("contenders") => contenders = numbers(&arguments.value()?.string()?)?,
                Long("contentions") => contentions = arguments.value()?.parse()?,
                Long("seconds") => seconds = arguments.value()?.parse()?,
                Long("only") => only.push(arguments.value()?.string()?),
                Long("as") => how = Some(arguments.value()?.string()?),
                Long("disk") => storage = Storage::Disk,
                Long("results") => results = PathBuf::from(arguments.value()?),
                Long("no-page") => writes = false,
                Long("help") | Short('h') => {
                    println!("{HELP}");
                    return Ok(None);
                }
                _ => return Err(argument.unexpected()),
            }
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let runs = match words.as_slice() {
            ["run", "all"] => Service::ALL
                .into_iter()
                .flat_map(|service| [(service, Storage::Tmpfs), (service, Storage::Disk)])
                .collect(),
            ["run", name] => {
                let service = Service::ALL.into_iter().find(|service| service.name() == *name);
                vec![(service.ok_or_else(|| format!("nothing is measured on {name:?}"))?, storage)]
            }
            _ => return Err("nothing to do: run redis, etcd, zookeeper or all".into()),
        };
        if rounds == 0 || contenders.contains(&0) || contentions == 0 {
            return Err("--rounds, --contenders and --contentions take numbers from 1 on".into());
        }
        let time = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
        let results = writes.then_some(results);
        Ok(Some(Self { runs, repetitions, rounds, contenders, contentions, time, only, how, results }))
    }
}

fn numbers(list: &str) -> Result<Vec<usize>, String> {
    if list == "none" {
        return Ok(Vec::new());
    }
    let numbers: Result<_, _> = list.split(',').map(str::parse).collect();
    numbers.map_err(|_| format!("--contenders takes numbers with commas between, or none, and not {list:?}"))
}

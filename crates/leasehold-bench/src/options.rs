//! The command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use leasehold_testkit::servers::Storage;
use lexopt::prelude::*;

const HELP: &str = "\
leasehold-bench run redis [--repetitions N] [--rounds N] [--contenders N,N,…] [--seconds S] [--only WHO] [--disk]
                          [--page FILE | --no-page]

Starts one server, measures everything on it in one run, prints a page and writes it to results/<service>.md.

  --repetitions N    how often everybody is measured without contention, in turns (15)
  --rounds N         how many locks and unlocks each of these is (400)
  --contenders N,…   how many contend (2,8,32,128)
  --seconds S        for how long (5)
  --only WHO         one of those who are measured; then no page is written unless --page says where
  --disk             the server's data on a disk instead of in memory
  --page FILE        where to write the page
  --no-page          write none";

/// What is measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Redis,
}

impl Service {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Service::Redis => "redis",
        }
    }
}

/// What to measure, and how.
pub(crate) struct Options {
    pub(crate) service: Service,
    pub(crate) repetitions: usize,
    pub(crate) rounds: usize,
    pub(crate) contenders: Vec<usize>,
    pub(crate) time: Duration,
    pub(crate) only: Option<String>,
    pub(crate) storage: Storage,
    pub(crate) page: Option<PathBuf>,
}

impl Options {
    /// Reads the command line; `None` if it asked for help, which is printed.
    pub(crate) fn read() -> Result<Option<Self>, lexopt::Error> {
        let mut arguments = lexopt::Parser::from_env();
        let mut words = Vec::new();
        let (mut repetitions, mut rounds, mut contenders) = (15, 400, vec![2, 8, 32, 128]);
        let (mut seconds, mut storage) = (5.0, Storage::Tmpfs);
        let (mut only, mut page, mut writes) = (None, None, true);
        while let Some(argument) = arguments.next()? {
            match argument {
                Value(word) => words.push(word.string()?),
                Long("repetitions") => repetitions = arguments.value()?.parse()?,
                Long("rounds") => rounds = arguments.value()?.parse()?,
                Long("contenders") => {
                    let list = arguments.value()?.string()?;
                    contenders = list.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| {
                        format!("--contenders takes numbers with commas between, and not {list:?}")
                    })?;
                }
                Long("seconds") => seconds = arguments.value()?.parse()?,
                Long("only") => only = Some(arguments.value()?.string()?),
                Long("disk") => storage = Storage::Disk,
                Long("page") => page = Some(PathBuf::from(arguments.value()?)),
                Long("no-page") => writes = false,
                Long("help") | Short('h') => {
                    println!("{HELP}");
                    return Ok(None);
                }
                _ => return Err(argument.unexpected()),
            }
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let service = match words.as_slice() {
            ["run", "redis"] => Service::Redis,
            _ => return Err("nothing to do: run redis".into()),
        };
        if repetitions == 0 || rounds == 0 || contenders.contains(&0) {
            return Err("--repetitions, --rounds and --contenders take numbers from 1 on".into());
        }
        let time = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
        let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
        let whole = only.is_none().then(|| results.join(format!("{}.md", service.name())));
        let page = page.or(whole).filter(|_| writes);
        Ok(Some(Self { service, repetitions, rounds, contenders, time, only, storage, page }))
    }
}

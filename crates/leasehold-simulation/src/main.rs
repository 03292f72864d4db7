//! `leasehold-simulation [--seeds N] [--from N] [--seed N] [--threads N] [--verbose]`: runs seeds, and shows the smallest form of the first one that
//! breaks a promise.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use leasehold_simulation::{Counts, Plan, Violation, minimise, run};
use lexopt::{Arg, Parser, ValueExt};

/// Of how many seeds one is run twice, to see that it goes the same way.
const TWICE: u64 = 32;

/// How many runs may be spent on making a plan smaller.
const MINIMISING_RUNS: usize = 3000;

struct Options {
    from: u64,
    seeds: u64,
    threads: usize,
    verbose: bool,
}

#[derive(Default)]
struct Total {
    counts: Counts,
    faults: Counts,
    failed: Vec<(u64, Vec<Violation>)>,
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("leasehold-simulation: {error}");
            return ExitCode::from(2);
        }
    };
    let start = Instant::now();
    let total = run_all(&options);
    for (seed, violations) in &total.failed {
        violations.iter().for_each(|violation| eprintln!("seed {seed}: {violation}"));
    }
    if let Some((seed, violations)) = total.failed.first()
        && violations[0].promise != REPEATABLE
    {
        explain(*seed);
    }
    let count = |what| total.counts.get(what).copied().unwrap_or(0);
    println!("what happened: {}", listed(&total.counts));
    println!("faults: {}", listed(&total.faults));
    println!(
        "history checker: {} events, {} operations, {} of them unanswered; excused: {} by a service that lies, {} by lost data, \
         {} undecided",
        count("checked_events"),
        count("checked_operations"),
        count("checked_unanswered"),
        count("excused_by_a_lie"),
        count("excused_by_lost_data"),
        count("undecided"),
    );
    println!(
        "{} seeds in {:.1} s: {} steps, {} calls, {} grants, {} entries expired, {} stale accesses rejected, {} futures dropped, \
         {} promises broken",
        options.seeds,
        start.elapsed().as_secs_f64(),
        count("steps"),
        count("calls"),
        count("grants"),
        count("entry_expired"),
        count("stale_rejections"),
        count("dropped"),
        total.failed.iter().map(|(_, violations)| violations.len()).sum::<usize>(),
    );
    if total.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn listed(counts: &Counts) -> String {
    let counts: Vec<_> = counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
    counts.join(", ")
}

fn options() -> Result<Options, lexopt::Error> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut options = Options { from: 0, seeds: 1000, threads, verbose: false };
    let mut arguments = Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("seeds") => options.seeds = arguments.value()?.parse()?,
            Arg::Long("from") => options.from = arguments.value()?.parse()?,
            Arg::Long("seed") => (options.from, options.seeds) = (arguments.value()?.parse()?, 1),
            Arg::Long("threads") => options.threads = arguments.value()?.parse()?,
            Arg::Long("verbose") => options.verbose = true,
            other => return Err(other.unexpected()),
        }
    }
    Ok(options)
}

/// What is said of a seed that goes another way each time.
const REPEATABLE: &str = "repeatable";

fn run_all(options: &Options) -> Total {
    let (next, total, stop) =
        (AtomicU64::new(options.from), Mutex::new(Total::default()), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..options.threads.max(1) {
            scope.spawn(|| {
                let mut mine = Total::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= options.from + options.seeds || stop.load(Ordering::Relaxed) {
                        break;
                    }
                    mine.run(seed, options.verbose);
                    // Enough is known.
                    if mine.failed.len() >= 5 {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
                total.lock().unwrap_or_else(PoisonError::into_inner).add(mine);
            });
        }
    });
    let mut total = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    total.failed.sort_by_key(|(seed, _)| *seed);
    total
}

impl Total {
    fn run(&mut self, seed: u64, verbose: bool) {
        let plan = Plan::of(seed);
        let mut outcome = run(&plan, verbose);
        if verbose {
            println!("{plan}{}", outcome.lines.join("\n"));
        }
        if seed.is_multiple_of(TWICE) && run(&plan, false).hash != outcome.hash {
            let what = "a second run went another way".to_owned();
            outcome.violations.push(Violation { promise: REPEATABLE.to_owned(), what });
        }
        add(&mut self.counts, outcome.counts);
        add(&mut self.faults, outcome.faults);
        if !outcome.violations.is_empty() {
            self.failed.push((seed, outcome.violations));
        }
    }

    fn add(&mut self, other: Self) {
        add(&mut self.counts, other.counts);
        add(&mut self.faults, other.faults);
        self.failed.extend(other.failed);
    }
}

fn add(to: &mut Counts, more: Counts) {
    for (what, count) in more {
        *to.entry(what).or_default() += count;
    }
}

/// Shows the smallest form of a failing seed.
fn explain(seed: u64) {
    let minimised = minimise(&Plan::of(seed), MINIMISING_RUNS);
    eprintln!("\nseed {seed}, made smaller by {} runs:\n{}", minimised.runs, minimised.plan);
    minimised.outcome.violations.iter().for_each(|violation| eprintln!("{violation}"));
    eprintln!("\nits log:\n{}\n\nits history:", minimised.outcome.lines.join("\n"));
    minimised.outcome.history.iter().for_each(|event| eprint!("{}", event.to_line()));
    eprintln!("\nThe whole of it again: ci/simulation.sh --seed {seed} --verbose\n");
}

//! `leasehold-fuzz [--iterations N] [--seed S] [TARGET…]`: fuzzes these targets, or all.

use std::panic;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use leasehold_fuzz::{TARGETS, Target, fuzz};
use lexopt::prelude::*;

struct Asked {
    iterations: u32,
    seed: u64,
    targets: Vec<&'static Target>,
}

fn asked() -> Result<Asked, lexopt::Error> {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut asked = Asked { iterations: 100_000, seed: u64::from(time.subsec_nanos()), targets: Vec::new() };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("iterations") => asked.iterations = arguments.value()?.parse()?,
            Long("seed") => asked.seed = arguments.value()?.parse()?,
            Value(name) => {
                let target = TARGETS.iter().find(|target| name == target.name);
                asked.targets.push(target.ok_or_else(|| format!("there is no target {}", name.display()))?);
            }
            other => return Err(other.unexpected()),
        }
    }
    if asked.targets.is_empty() {
        asked.targets = TARGETS.iter().collect();
    }
    Ok(asked)
}

fn main() -> ExitCode {
    let asked = match asked() {
        Ok(asked) => asked,
        Err(error) => {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            eprintln!(
                "{error}\nleasehold-fuzz [--iterations N] [--seed S] [TARGET…]; targets: {}",
                names.join(" ")
            );
            return ExitCode::from(2);
        }
    };
    // Minimising panics often; what counts is the last one.
    panic::set_hook(Box::new(|_| {}));
    let mut failed = false;
    for target in asked.targets {
        match fuzz(target, asked.iterations, asked.seed) {
            Ok(()) => println!("{}: {} inputs, seed {}", target.name, asked.iterations, asked.seed),
            Err(failure) => {
                failed = true;
                println!("FAILED {failure}");
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

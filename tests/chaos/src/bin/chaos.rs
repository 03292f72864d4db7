//! The harness: see `ci/chaos.sh`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use leasehold_chaos::dice::Dice;
use leasehold_chaos::nemesis::registry;
use leasehold_chaos::run::{Options, run};
use leasehold_chaos::scenario::{Common, Scenario};
use leasehold_chaos::service::ServiceKind;
use leasehold_chaos::worker::Recipe;
use lexopt::{Arg, Parser, ValueExt};

const USAGE: &str = "usage: leasehold-chaos [--service etcd|zookeeper|redis] [--fault NAME[+NAME]|all] [--seed N] [--minutes M]
                       [--scenario faults|load|endurance] [--each] [--recipe mutex|rw-lock|semaphore|election]
                       [--no-fence] [--leak] [--dir DIRECTORY] [--list]";

/// How many random pairs `--each` runs on each service.
const PAIRS: usize = 5;

/// What the command line says.
struct Line {
    service: Option<ServiceKind>,
    scenario: Scenario,
    fault: Option<String>,
    seed: Option<u64>,
    minutes: Option<f64>,
    recipes: Vec<Recipe>,
    fenced: bool,
    leaks: bool,
    dir: PathBuf,
    each: bool,
    list: bool,
}

fn line() -> Result<Line, lexopt::Error> {
    let mut line = Line {
        service: None,
        scenario: Scenario::Faults,
        fault: None,
        seed: None,
        minutes: None,
        recipes: Recipe::ALL.to_vec(),
        fenced: true,
        leaks: false,
        dir: PathBuf::from("target/chaos"),
        each: false,
        list: false,
    };
    let mut arguments = Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("service") => line.service = Some(arguments.value()?.parse()?),
            Arg::Long("scenario") => line.scenario = arguments.value()?.parse()?,
            Arg::Long("fault") => line.fault = Some(arguments.value()?.string()?),
            Arg::Long("seed") => line.seed = Some(arguments.value()?.parse()?),
            Arg::Long("minutes") => line.minutes = Some(arguments.value()?.parse()?),
            Arg::Long("recipe") => line.recipes = vec![arguments.value()?.parse()?],
            Arg::Long("no-fence") => line.fenced = false,
            Arg::Long("leak") => line.leaks = true,
            Arg::Long("dir") => line.dir = arguments.value()?.into(),
            Arg::Long("each") => line.each = true,
            Arg::Long("list") => line.list = true,
            other => return Err(other.unexpected()),
        }
    }
    Ok(line)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let line = match line() {
        Ok(line) => line,
        Err(error) => {
            eprintln!("leasehold-chaos: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if line.list {
        list();
        return ExitCode::SUCCESS;
    }
    let runs = match runs(line) {
        Ok(runs) => runs,
        Err(error) => {
            eprintln!("leasehold-chaos: {error}");
            return ExitCode::from(2);
        }
    };
    all(&runs).await
}

/// Runs them one after the other; prints each, and all once more at the end.
async fn all(runs: &[Options]) -> ExitCode {
    let (mut lines, mut sound) = (Vec::new(), true);
    for options in runs {
        match run(options).await {
            Ok(verdict) => {
                println!("{verdict}");
                sound &= verdict.is_sound();
                lines.push(verdict.line());
            }
            Err(error) => {
                sound = false;
                lines.push(format!(
                    "{} {} seed {}: {error}",
                    options.service.name(),
                    options.name,
                    options.seed
                ));
                eprintln!("leasehold-chaos: {error}");
            }
        }
    }
    println!("\nchaos, {} runs:\n{}", runs.len(), lines.join("\n"));
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn list() {
    for make in registry::all() {
        let fault = make();
        let services: Vec<_> = fault.services().iter().map(|service| service.name()).collect();
        println!("{:20} {:12} {}", fault.name(), format!("{:?}", fault.class()), services.join(" "));
    }
}

/// The runs that a command line asks for.
fn runs(line: Line) -> Result<Vec<Options>, String> {
    let programs = std::env::current_exe().map_err(|error| error.to_string())?;
    let services = line.service.map_or(ServiceKind::ALL.to_vec(), |service| vec![service]);
    // In a selection the time is that of all services together.
    let (minutes, shared) = match (line.minutes, line.each) {
        (minutes, true) => (minutes.unwrap_or(2.0), 1.0),
        (minutes, false) => (minutes.unwrap_or(10.0), services.len() as f64),
    };
    let common = Common {
        time: Duration::from_secs_f64(minutes * 60.0 / shared),
        recipes: line.recipes,
        fenced: line.fenced,
        leaks: line.leaks,
        dir: line.dir,
        programs: programs.parent().ok_or("this program is nowhere")?.to_owned(),
    };
    let seed = line.seed.unwrap_or_else(|| fastrand::u64(..100_000));
    let mut runs = Vec::new();
    for service in services {
        let faults = match (&line.fault, line.each) {
            (Some(fault), _) => vec![fault.clone()],
            (None, false) => vec!["all".to_owned()],
            (None, true) => each(service, seed),
        };
        for fault in faults {
            runs.push(common.options(service, line.scenario, &fault, seed)?);
        }
    }
    Ok(runs)
}

/// Every fault of a service, and some pairs of different ones.
fn each(service: ServiceKind, seed: u64) -> Vec<String> {
    let names: Vec<&str> = registry::of(service).map(|make| make().name()).collect();
    let mut dice = Dice::of(seed, service.name());
    let mut runs: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    while runs.len() < names.len() + PAIRS {
        let (one, other) = (dice.one_of(&names), dice.one_of(&names));
        if one != other {
            runs.push(format!("{one}+{other}"));
        }
    }
    runs
}

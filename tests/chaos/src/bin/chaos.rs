//! The harness: see `ci/chaos.sh`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use leasehold_chaos::nemesis::registry;
use leasehold_chaos::run::{Options, Shape, run};
use leasehold_chaos::service::ServiceKind;
use leasehold_chaos::worker::Recipe;
use lexopt::{Arg, Parser, ValueExt};

const USAGE: &str = "usage: leasehold-chaos [--service etcd|zookeeper|redis] [--fault NAME[+NAME]|all] [--seed N] [--minutes M]
                       [--recipe mutex|rw-lock|semaphore|election] [--no-fence] [--dir DIRECTORY] [--list]";

/// What the command line says.
struct Line {
    service: Option<ServiceKind>,
    fault: Option<String>,
    seed: Option<u64>,
    minutes: f64,
    recipes: Vec<Recipe>,
    fenced: bool,
    dir: PathBuf,
    list: bool,
}

fn line() -> Result<Line, lexopt::Error> {
    let mut line = Line {
        service: None,
        fault: None,
        seed: None,
        minutes: 10.0,
        recipes: Recipe::ALL.to_vec(),
        fenced: true,
        dir: PathBuf::from("target/chaos"),
        list: false,
    };
    let mut arguments = Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("service") => line.service = Some(arguments.value()?.parse()?),
            Arg::Long("fault") => line.fault = Some(arguments.value()?.string()?),
            Arg::Long("seed") => line.seed = Some(arguments.value()?.parse()?),
            Arg::Long("minutes") => line.minutes = arguments.value()?.parse()?,
            Arg::Long("recipe") => line.recipes = vec![arguments.value()?.parse()?],
            Arg::Long("no-fence") => line.fenced = false,
            Arg::Long("dir") => line.dir = arguments.value()?.into(),
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
    match work(line).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("leasehold-chaos: {error}");
            ExitCode::from(2)
        }
    }
}

async fn work(line: Line) -> Result<bool, String> {
    if line.list {
        for make in registry::all() {
            let fault = make();
            let services: Vec<_> = fault.services().iter().map(|service| service.name()).collect();
            println!("{:24}{:?} {}", fault.name(), fault.class(), services.join(" "));
        }
        return Ok(true);
    }
    let service = line.service.ok_or("no --service")?;
    let name = line.fault.unwrap_or_else(|| "all".to_owned());
    let seed = line.seed.unwrap_or_else(|| fastrand::u64(..100_000));
    let programs = std::env::current_exe().map_err(|error| error.to_string())?;
    let programs = programs.parent().ok_or("this program is nowhere")?.to_owned();
    let options = Options {
        service,
        strands: strands(service, &name)?,
        dir: line.dir.join(format!("{}-{}-{seed}", service.name(), name)),
        name,
        seed,
        time: Duration::from_secs_f64(line.minutes * 60.0),
        recipes: line.recipes,
        shape: Shape::default(),
        fenced: line.fenced,
        least_expiries: 20,
        programs,
    };
    let verdict = run(&options).await?;
    println!("{verdict}");
    Ok(verdict.is_sound())
}

/// The strands of faults that a name stands for: `all` for two with everything, names with `+` between them for one each.
fn strands(service: ServiceKind, name: &str) -> Result<Vec<Vec<registry::Make>>, String> {
    if name == "all" {
        return Ok(vec![registry::of(service).collect(); 2]);
    }
    let strand = |name| {
        let make = registry::by_name(name)?;
        match make().services().contains(&service) {
            true => Ok(vec![make]),
            false => Err(format!("{name} cannot be done to {}", service.name())),
        }
    };
    name.split('+').map(strand).collect()
}

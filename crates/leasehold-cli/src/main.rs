//! The command `leasehold`: runs commands under distributed locks, and shows who holds and who waits.

mod args;
mod child;
mod claim;
mod commands;
mod contender;
mod exit;
mod guarded;
mod output;
mod place;
mod service;
#[cfg(feature = "redis")]
mod shared_key;
mod signals;
mod status_line;
mod target;
mod usage;
mod waiting;

use std::process::ExitCode;

use args::{Cli, Command};
use exit::{End, Failure, Outcome};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let outcome = match arguments.next() {
        Some(word) if word == args::LEASH => child::hold_leash(),
        Some(word) if word == args::LAUNCH => child::launch(arguments),
        _ => match usage::read() {
            Ok(cli) => start(cli),
            Err(ending) => ending,
        },
    };
    match outcome {
        Ok(End::Status(status)) => status.into(),
        Ok(End::Signal(signal)) => {
            signals::end_by(signal);
            exit::status_of(signal.as_raw()).into()
        }
        Err(failure) => {
            if !failure.message.is_empty() {
                output::note(&failure.message);
            }
            failure.status.into()
        }
    }
}

fn start(cli: Cli) -> Outcome {
    match cli.command {
        Command::Completions(arguments) => return commands::completions::run(&arguments),
        Command::Man => return commands::man::run(),
        _ => {}
    }
    // The sessions are renewed on a thread of the library's; all that is done here is to wait.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::os("cannot start", error))?.block_on(serve(cli))
}

async fn serve(Cli { target, command }: Cli) -> Outcome {
    match command {
        Command::Run(arguments) => commands::run::run(&target, arguments).await,
        Command::Elect(arguments) => commands::elect::run(&target, arguments).await,
        Command::Observe(arguments) => commands::observe::run(&target, &arguments).await,
        Command::Ls(arguments) => commands::ls::run(&target, &arguments).await,
        Command::Who(arguments) => commands::who::run(&target, &arguments).await,
        Command::ForceRelease(arguments) => commands::force_release::run(&target, &arguments).await,
        Command::Watch(arguments) => commands::watch::run(&target, &arguments).await,
        Command::Doctor(arguments) => commands::doctor::run(&target, &arguments).await,
        Command::Bench(arguments) => commands::bench::run(&target, &arguments).await,
        Command::Completions(_) | Command::Man => Ok(End::DONE),
    }
}

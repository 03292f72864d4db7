//! `leasehold run`.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use clap::Args;

use crate::claim::{Claim, Patience};
use crate::exit::{End, Outcome};
use crate::guarded::{self, Limits, duration};
use crate::place::Place;
use crate::service::Service;
use crate::signals::Signals;
use crate::target::Target;
use crate::waiting::{Waited, wait};

/// Run a command under a lock
///
/// Waits for the lock NAME, runs the command, and releases the lock when the
/// command has ended. Its exit status is this command's. Signals are passed on
/// to it and to all that it has started.
///
/// The command finds the fencing token in LEASEHOLD_TOKEN and the name in
/// LEASEHOLD_NAME. Hand the token to whatever the lock protects, and let that
/// reject lower ones: a machine that sleeps keeps a command from noticing that
/// its lock was given away.
///
/// When the lock is lost, the command is ended and the exit status is 74. When
/// this process is killed, the command is killed with it.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Wait no longer than that; without it, as long as it takes
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "no_wait")]
    wait: Option<Duration>,
    /// Do not wait at all
    #[arg(long)]
    no_wait: bool,
    /// How long the service keeps the lock of a process that it does not hear
    /// of; without it the URL's, else 15s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    ttl: Option<Duration>,
    /// As a reader of the read/write lock NAME: readers hold it together.
    /// A read/write lock and the lock of the same name are two locks
    #[arg(long, conflicts_with_all = ["exclusive", "permits"])]
    shared: bool,
    /// As a writer of the read/write lock NAME
    #[arg(long, conflicts_with = "permits")]
    exclusive: bool,
    /// Take K of the N permits of the semaphore NAME
    #[arg(long, value_name = "K/N", value_parser = permits)]
    permits: Option<(u32, u32)>,
    /// What others read beside the lock; without it, the command's name.
    /// Another program's PATH has no room for it
    #[arg(long, value_name = "TEXT", conflicts_with = "profile")]
    purpose: Option<String>,
    #[command(flatten)]
    limits: Limits,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

fn permits(text: &str) -> Result<(u32, u32), String> {
    let wrong = || "it reads K/N with 1 ≤ K ≤ N, as in 1/3".to_owned();
    let (count, limit) = text.split_once('/').ok_or_else(wrong)?;
    let (count, limit) = (count.parse().map_err(|_| wrong())?, limit.parse().map_err(|_| wrong())?);
    if (1..=limit).contains(&count) { Ok((count, limit)) } else { Err(wrong()) }
}

/// What others read of a command: the name of its program. Its arguments may hold secrets.
pub(crate) fn purpose_of(command: &[OsString]) -> String {
    let program = command.first().map(|program| Path::new(program).file_name().unwrap_or(program));
    program.map(|program| program.to_string_lossy().into_owned()).unwrap_or_default()
}

pub(crate) async fn run(target: &Target, arguments: Arguments) -> Outcome {
    let claim = match arguments.permits {
        Some((count, limit)) => Claim::Permits { count, limit },
        None if arguments.shared => Claim::Shared,
        None if arguments.exclusive => Claim::Exclusive,
        None => Claim::Mutex,
    };
    let patience = match arguments.wait {
        Some(time) => Patience::For(time),
        None if arguments.no_wait => Patience::None,
        None => Patience::Forever,
    };
    let place = &arguments.place;
    place.takes(&claim)?;
    let mut signals = Signals::listen()?;
    let purpose = arguments.purpose.unwrap_or_else(|| purpose_of(&arguments.command));
    let service = tokio::select! {
        connected = Service::connect(target, place, arguments.ttl, Some(&purpose)) => connected?,
        signal = signals.ending(|| ()) => return Ok(End::Signal(signal)),
    };
    let outcome = match wait(&service, place, &claim, patience, &mut signals).await {
        Ok(Waited::Obtained(holding)) => {
            guarded::run(place.text(), holding, &arguments.command, &arguments.limits, &mut signals).await
        }
        Ok(Waited::Signalled(signal)) => Ok(End::Signal(signal)),
        Err(failure) => Err(failure),
    };
    service.leave().await;
    outcome
}

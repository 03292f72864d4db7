//! `leasehold elect`.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::claim::{Claim, Holding, Patience};
use crate::exit::{End, Failure, LOST, Outcome};
use crate::guarded::{self, Limits, duration};
use crate::output::{self, Format};
use crate::place::Place;
use crate::service::Service;
use crate::signals::Signals;
use crate::target::Target;
use crate::waiting::{Waited, wait};

use super::run::purpose_of;

/// Stand for election, and lead
///
/// Stands for the election NAME until it leads, and proclaims a value that
/// observers see. With a command, it runs the command for as long as it leads
/// and then resigns; the command's exit status is this one's. Without one it
/// leads until it is sent a signal, and prints a line when it leads, when it
/// has lost the leadership and when it has resigned.
///
/// A leadership that is lost ends the command and this one, with status 74:
/// whoever starts it again stands again.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// What observers see while it leads, such as an address
    #[arg(long, value_name = "TEXT")]
    value: String,
    /// How long the service keeps the leadership of a process that it does not
    /// hear of; without it the URL's, else 15s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    ttl: Option<Duration>,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    limits: Limits,
    /// The command to run as the leader, and its arguments
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub(crate) async fn run(target: &Target, arguments: Arguments) -> Outcome {
    let (place, value) = (&arguments.place, arguments.value);
    let claim = Claim::Leadership { value };
    place.takes(&claim)?;
    let mut signals = Signals::listen()?;
    let purpose = purpose_of(&arguments.command);
    let service = tokio::select! {
        connected = Service::connect(target, place, arguments.ttl, Some(&purpose)) => connected?,
        signal = signals.ending(|| ()) => return Ok(End::Signal(signal)),
    };
    let waited = wait(&service, place, &claim, Patience::Forever, &mut signals).await;
    let outcome = match waited {
        Ok(Waited::Obtained(leadership)) if arguments.command.is_empty() => {
            lead(place.text(), leadership, arguments.format, &mut signals).await
        }
        Ok(Waited::Obtained(leadership)) => {
            guarded::run(place.text(), leadership, &arguments.command, &arguments.limits, &mut signals).await
        }
        Ok(Waited::Signalled(signal)) => Ok(End::Signal(signal)),
        Err(failure) => Err(failure),
    };
    service.leave().await;
    outcome
}

/// Leads until it is told to end, or has lost the leadership.
async fn lead(name: &str, leadership: Holding, format: Format, signals: &mut Signals) -> Outcome {
    let token = leadership.fencing_token().map(|token| token.to_string()).unwrap_or_default();
    let leading = if format.json {
        output::json(&json!({ "event": "leading", "name": name, "token": token }))
    } else {
        output::line(&format!("leading {name:?} with token {token}"))
    };
    if let Err(failure) = leading {
        // Nobody hears of it, so it is led by nobody.
        leadership.release().await?;
        return Err(failure);
    }
    tokio::select! {
        reason = leadership.lost() => {
            if format.json {
                output::json(&json!({ "event": "lost", "name": name, "token": token, "reason": reason.to_string() }))?;
            } else {
                output::line(&format!("lost {name:?}: {reason}"))?;
            }
            Err(Failure::new(LOST, format!("the leadership of {name:?} was lost: {reason}")))
        }
        _ = signals.ending(|| ()) => {
            leadership.release().await?;
            if format.json {
                output::json(&json!({ "event": "resigned", "name": name, "token": token }))?;
            } else {
                output::line(&format!("resigned {name:?}"))?;
            }
            Ok(End::DONE)
        }
    }
}

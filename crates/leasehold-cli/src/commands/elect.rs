//! `leasehold elect`.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::claim::{Claim, Holding, Patience};
use crate::exit::{Failure, LOST, Outcome};
use crate::guarded::{self, Limits, duration};
use crate::output::{self, Format};
use crate::place::Place;
use crate::signals::{Signals, status_of};
use crate::target::{Target, leave};
use crate::waiting::{Waited, wait};

use super::run::purpose_of;

/// Stand for election, and lead
///
/// Stands for the election NAME until it leads, and proclaims a value that
/// observers see. With a command, it runs the command for as long as it leads
/// and then resigns; the command's exit status is this one's. Without one it
/// prints its token, and leads until it is sent a signal.
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
    let mut signals = Signals::listen()?;
    let purpose = purpose_of(&arguments.command);
    let coordinator = tokio::select! {
        connected = target.connect(arguments.ttl, Some(&purpose)) => connected?,
        signal = signals.ending() => return Ok(status_of(signal.as_raw())),
    };
    let claim = Claim::Leadership { value: arguments.value.clone() };
    let waited = wait(&coordinator, &arguments.place, &claim, Patience::Forever, &mut signals).await;
    let outcome = match waited {
        Ok(Waited::Obtained(leadership)) if arguments.command.is_empty() => {
            lead(leadership, arguments.format, &mut signals).await
        }
        Ok(Waited::Obtained(leadership)) => {
            guarded::run(leadership, &arguments.command, &arguments.limits, &mut signals).await
        }
        Ok(Waited::Signalled(signal)) => Ok(status_of(signal.as_raw())),
        Err(failure) => Err(failure),
    };
    leave(&coordinator).await;
    outcome
}

/// Leads until it is told to end, or has lost the leadership.
async fn lead(leadership: Holding, format: Format, signals: &mut Signals) -> Outcome {
    let held = leadership.held();
    let (name, token) = (held.name(), held.fencing_token());
    if format.json {
        output::json(&json!({ "name": name, "token": token.to_string() }))?;
    } else {
        output::line(&format!("leading {name:?} with token {token}"))?;
    }
    tokio::select! {
        reason = held.lost() => Err(Failure::new(LOST, format!("the leadership of {name:?} was lost: {reason}"))),
        _ = signals.ending() => {
            leadership.release().await?;
            Ok(0)
        }
    }
}

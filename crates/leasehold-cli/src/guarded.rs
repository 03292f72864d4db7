//! A command under what is held.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, ValueEnum};
use leasehold::Held;
use tokio::time::sleep;

use crate::child::Child;
use crate::claim::Holding;
use crate::exit::{Failure, LOST, Outcome};
use crate::output::{note, span};
use crate::signals::Signals;

/// What to do with the command when the lock is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnLost {
    /// SIGTERM, and SIGKILL after the grace
    Term,
    /// SIGKILL at once
    Kill,
    /// Say so and let it go on
    Warn,
}

/// How long the command may go on.
#[derive(Debug, Clone, Args)]
pub(crate) struct Limits {
    /// End the command if it has not ended by then, and release after that
    #[arg(long, value_name = "TIME", value_parser = duration)]
    max_hold: Option<Duration>,
    /// What becomes of the command when the lock is lost
    #[arg(long, value_name = "HOW", value_enum, default_value_t = OnLost::Term)]
    on_lost: OnLost,
    /// Between SIGTERM and SIGKILL
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5s")]
    grace: Duration,
}

/// A duration on the command line.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "it reads 30s, 500ms or 1h 30m".to_owned())
}

/// How the command came to its end.
enum End {
    /// By itself, with that status.
    Itself(u8),
    /// It has to be ended, for this reason.
    Ours(String),
}

/// Runs the command, for as long as the lock is held; releases, and answers the status to end with.
pub(crate) async fn run(
    holding: Holding,
    command: &[OsString],
    limits: &Limits,
    signals: &mut Signals,
) -> Outcome {
    let held = holding.held();
    let outcome = supervise(&held, command, limits, signals).await;
    let lost = limits.on_lost != OnLost::Warn && !held.is_held();
    match holding.release().await {
        Ok(()) => {}
        // It was told by the outcome, or is of no interest.
        Err(error) if error.is_lost() && !lost => {}
        Err(error) if error.is_lost() => {
            return outcome.and_then(|_| Err(lost_before_end(&held)));
        }
        Err(error) => note(&error.to_string()),
    }
    outcome
}

fn lost_before_end(held: &Held) -> Failure {
    Failure::new(LOST, format!("{:?} was lost before the command had ended", held.name()))
}

async fn supervise(held: &Held, command: &[OsString], limits: &Limits, signals: &mut Signals) -> Outcome {
    let environment =
        [("LEASEHOLD_TOKEN", held.fencing_token().to_string()), ("LEASEHOLD_NAME", held.name().to_owned())];
    let mut child = Child::start(command, &environment)?;
    let name = held.name();
    let over = async {
        match limits.max_hold {
            Some(time) => sleep(time).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(over);
    let (mut warned, mut asked) = (false, false);
    let end = loop {
        tokio::select! {
            // A command that has ended while we were stopped was not ended by the loss; a loss is looked for below.
            biased;
            status = child.ended() => break End::Itself(status?),
            reason = held.lost(), if !warned => {
                let what = format!("{name:?} was lost: {reason}");
                if limits.on_lost != OnLost::Warn {
                    break End::Ours(what);
                }
                note(&format!("{what}; the command goes on without it"));
                warned = true;
            }
            () = &mut over => {
                let most = limits.max_hold.unwrap_or_default();
                break End::Ours(format!("{name:?} was held for {}, the most that was asked for", span(most)));
            }
            who = held.asked_to_release(), if !asked => {
                note(&format!("{name:?} is asked for by {}", who.escape_debug()));
                asked = true;
            }
            signal = signals.next() => child.pass_on(signal),
        }
    };
    match end {
        End::Itself(status) => {
            child.collect();
            Ok(status)
        }
        End::Ours(why) => {
            note(&format!("{why}; ending the command"));
            let grace = (limits.on_lost != OnLost::Kill).then_some(limits.grace);
            child.end(grace).await?;
            Err(Failure::new(LOST, format!("{name:?}: the command was ended")))
        }
    }
}

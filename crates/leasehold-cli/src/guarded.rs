//! A command under what is held.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, ValueEnum};
use leasehold::LossReason;
use tokio::time::sleep;

use crate::child::{Child, Event};
use crate::claim::Holding;
use crate::exit::{End, Failure, LOST, Outcome};
use crate::output::note;
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
enum Course {
    /// By itself, in that way.
    Itself(End),
    /// It has to be ended, for this reason.
    Ours(String),
}

/// Runs the command, for as long as the lock is held; releases, and answers how to end.
pub(crate) async fn run(
    name: &str,
    holding: Holding,
    command: &[OsString],
    limits: &Limits,
    signals: &mut Signals,
) -> Outcome {
    let outcome = supervise(name, &holding, command, limits, signals).await;
    let lost = limits.on_lost != OnLost::Warn && !holding.is_held();
    match holding.release().await {
        Ok(()) => outcome,
        Err(error) if error.is_lost() && lost => outcome
            .and_then(|_| Err(Failure::new(LOST, format!("{name:?} was lost before the command had ended")))),
        // It was told by the outcome, or is of no interest.
        Err(error) if error.is_lost() => outcome,
        Err(error) => {
            note(&error.to_string());
            outcome
        }
    }
}

async fn supervise(
    name: &str,
    holding: &Holding,
    command: &[OsString],
    limits: &Limits,
    signals: &mut Signals,
) -> Outcome {
    let environment = [
        ("LEASEHOLD_TOKEN", holding.fencing_token().map(|token| token.to_string())),
        ("LEASEHOLD_NAME", Some(name.to_owned())),
    ];
    let mut child = Child::start(command, &environment)?;
    let over = async {
        match limits.max_hold {
            Some(time) => sleep(time).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(over);
    let lost = |reason: LossReason| format!("{name:?} was lost: {reason}");
    let (mut warned, mut asked) = (false, false);
    let course = loop {
        tokio::select! {
            // A command that has ended while we were stopped was not ended by the loss; a loss is looked for below.
            biased;
            event = child.event() => match event? {
                Event::Ended(end) => break Course::Itself(end),
                // Whoever has continued us meanwhile has continued both.
                Event::Stopped { told: true } if !signals.is_to_stop() => child.resume(),
                Event::Stopped { .. } => {
                    child.stop_with_it();
                    signals.continued();
                    // It was not stopped for so long that it may go on in any case.
                    if limits.on_lost != OnLost::Warn && !holding.is_held() {
                        break Course::Ours(lost(holding.lost().await));
                    }
                    child.resume();
                }
            },
            reason = holding.lost(), if !warned => {
                if limits.on_lost != OnLost::Warn {
                    break Course::Ours(lost(reason));
                }
                note(&format!("{}; the command goes on without it", lost(reason)));
                warned = true;
            }
            () = &mut over => {
                let most = humantime::format_duration(limits.max_hold.unwrap_or_default());
                break Course::Ours(format!("{name:?} was held for {most}, the most that was asked for"));
            }
            who = holding.asked_to_release(), if !asked => {
                note(&format!("{name:?} is asked for by {}", who.escape_debug()));
                asked = true;
            }
            signal = signals.next() => child.pass_on(signal),
        }
    };
    match course {
        Course::Itself(end) => {
            child.collect(end);
            Ok(end)
        }
        Course::Ours(why) => {
            note(&format!("{why}; ending the command"));
            let grace = (limits.on_lost != OnLost::Kill).then_some(limits.grace);
            child.end(grace).await?;
            // Again: a command that had the screen may have taken the first away.
            Err(Failure::new(LOST, format!("{why}; the command was ended")))
        }
    }
}

//! `leasehold force-release`.

use std::io::{self, BufRead, IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use leasehold::{Coordinator, HolderInfo, Released};
use serde_json::json;

use crate::contender::{self, Kind};
use crate::exit::{End, Failure, Outcome};
use crate::guarded::duration;
use crate::output::{self, Format};
use crate::place::Place;
use crate::target::{Target, leave};

/// Take a lock from its holder
///
/// The holder is told and has a moment to give up by itself; then its entry is
/// removed. A holder that is cut off or asleep learns of it late: what the lock
/// protects must reject it by its fencing token. A key of redis-py's is removed
/// at once; its holder learns of that when it renews or releases.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Of which recipe, where several have a holder
    #[arg(long, value_enum, value_name = "RECIPE")]
    recipe: Option<Kind>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// How long the holder has to give up by itself
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1s")]
    grace: Duration,
    #[command(flatten)]
    format: Format,
}

pub(crate) async fn run(target: &Target, arguments: &Arguments) -> Outcome {
    arguments.place.asks(arguments.recipe)?;
    let can_ask = io::stdin().is_terminal() && io::stderr().is_terminal();
    if !arguments.yes && !can_ask {
        return Err(Failure::usage("there is no terminal to ask on; give --yes to release without asking"));
    }
    #[cfg(feature = "redis")]
    if arguments.place.is_key() {
        return at_key(target, arguments).await;
    }
    let coordinator = target.connect(None, None).await?;
    let outcome = release(&coordinator, arguments).await;
    leave(&coordinator).await;
    outcome
}

async fn release(coordinator: &Coordinator, arguments: &Arguments) -> Outcome {
    let (admin, name) = (arguments.place.admin(coordinator).grace(arguments.grace), arguments.place.text());
    let mut held = Vec::new();
    for kind in arguments.place.kinds(arguments.recipe) {
        let mut holders = admin.contenders(kind.recipe(), name).await?;
        holders.retain(|contender| contender.holds());
        if !holders.is_empty() {
            held.push((kind, holders));
        }
    }
    let outcome = match held.as_slice() {
        [] => Released::WasFree,
        [(kind, holders)] => {
            if !arguments.yes && !confirmed(&contender::table(holders))? {
                output::note("nothing was released");
                return Ok(End::DONE);
            }
            let us = HolderInfo::this_process();
            let who = format!("leasehold force-release on {} pid {}", us.host, us.pid);
            admin.force_release(kind.recipe(), name, who).await?
        }
        several => {
            let kinds: Vec<_> = several.iter().map(|(kind, _)| kind.word()).collect();
            return Err(Failure::usage(format!(
                "{name:?} is held as {}; say which by --recipe",
                kinds.join(" and as ")
            )));
        }
    };
    tell(name, outcome, arguments.format)
}

#[cfg(feature = "redis")]
async fn at_key(target: &Target, arguments: &Arguments) -> Outcome {
    use crate::shared_key::{connect, summary};

    let lock = connect(target, &arguments.place, None).await?;
    let Some(holder) = lock.holder().await? else {
        return tell(lock.key(), Released::WasFree, arguments.format);
    };
    let shown = format!("{:?} is held by {}\n", lock.key(), summary(&holder));
    if !arguments.yes && !confirmed(&shown)? {
        output::note("nothing was released");
        return Ok(End::DONE);
    }
    // Nobody can be asked by a key, so that there is no grace.
    let removed = lock.force_release(&holder).await?;
    tell(lock.key(), if removed { Released::ByForce } else { Released::ByHolder }, arguments.format)
}

fn tell(name: &str, outcome: Released, format: Format) -> Outcome {
    let (word, text) = match outcome {
        Released::WasFree => ("was-free", "nobody held it"),
        Released::ByHolder => ("by-holder", "its holder gave it up"),
        Released::ByForce => ("by-force", "its holder's entry was removed"),
    };
    if format.json {
        output::json(&json!({ "name": name, "released": word }))?;
    } else {
        output::line(&format!("{name:?}: {text}"))?;
    }
    Ok(End::DONE)
}

fn confirmed(holders: &str) -> Result<bool, Failure> {
    let refused = |error| Failure::os("cannot ask on the terminal", error);
    let mut terminal = io::stderr().lock();
    write!(terminal, "{holders}Release it? [y/N] ").and_then(|()| terminal.flush()).map_err(refused)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(refused)?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

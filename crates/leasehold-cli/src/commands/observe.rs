//! `leasehold observe`.

use clap::Args;
use leasehold::Leader;
use serde_json::{Value, json};

use crate::exit::{End, Outcome};
use crate::output::{self, Format, moment};
use crate::place::Place;
use crate::target::Target;

/// Show who leads an election, now and from now on
///
/// Prints the leader's value, and prints again whenever the leader or the value
/// has changed; a line with a dash while nobody leads.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Print who leads now, and end
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    format: Format,
}

pub(crate) async fn run(target: &Target, arguments: &Arguments) -> Outcome {
    if arguments.place.is_key() {
        return Err(arguments.place.lacks("a leader", "observe an election by its name"));
    }
    let coordinator = target.connect(None, None).await?;
    let election = arguments.place.election(&coordinator)?;
    if arguments.once {
        print(arguments.place.text(), election.leader().await?.as_ref(), arguments.format)?;
        crate::target::leave(&coordinator).await;
        return Ok(End::DONE);
    }
    let mut leaders = election.observe()?;
    while let Some(leader) = leaders.next().await {
        print(arguments.place.text(), leader.as_ref(), arguments.format)?;
    }
    Ok(End::DONE)
}

fn print(name: &str, leader: Option<&Leader>, format: Format) -> Result<(), crate::exit::Failure> {
    if format.json {
        return output::json(&json!({ "name": name, "leader": leader.map(document) }));
    }
    match leader {
        // Others wrote it: it must not break the line.
        Some(leader) => output::line(&String::from_utf8_lossy(leader.value()).escape_debug().to_string()),
        None => output::line("-"),
    }
}

fn document(leader: &Leader) -> Value {
    json!({
        "value": String::from_utf8_lossy(leader.value()),
        "token": leader.fencing_token().to_string(),
        "host": leader.holder().host,
        "pid": leader.holder().pid,
        "purpose": leader.holder().purpose,
        "since": moment(leader.since()),
    })
}

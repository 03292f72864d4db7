//! `leasehold watch`.

use std::io::{self, IsTerminal};
use std::time::{Duration, SystemTime};

use clap::Args;
use leasehold::ContenderInfo;
use tokio::time::sleep;

use crate::contender::{self, Kind};
use crate::exit::{End, Failure, Outcome};
use crate::output::{self, Format, moment};
use crate::place::Place;
use crate::target::Target;

/// Clears the screen and goes to its corner.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// How often the ages on the screen are counted on.
const TICK: Duration = Duration::from_secs(1);

/// Show a queue, and every change of it
///
/// On a terminal it is a live view. Elsewhere it prints the queue anew after
/// each change. It ends when it is interrupted.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Of which recipe
    #[arg(long, value_enum, value_name = "RECIPE", default_value = "mutex")]
    recipe: Kind,
    #[command(flatten)]
    format: Format,
}

pub(crate) async fn run(target: &Target, arguments: &Arguments) -> Outcome {
    if arguments.place.is_key() {
        return Err(arguments.place.lacks("a queue that tells of its changes", "look at it with who"));
    }
    let coordinator = target.connect(None, None).await?;
    let admin = arguments.place.admin(&coordinator);
    let mut queue = admin.observe(arguments.recipe.recipe(), arguments.place.text())?;
    let live = io::stdout().is_terminal() && !arguments.format.json;
    let mut seen = Vec::new();
    loop {
        tokio::select! {
            state = queue.next() => match state {
                Some(state) => seen = state,
                None => return Ok(End::DONE),
            },
            () = sleep(TICK), if live => age(&mut seen),
        }
        print(arguments, &seen, live)?;
    }
}

/// Counts the ages on to now.
fn age(contenders: &mut [ContenderInfo]) {
    for details in contenders.iter_mut().filter_map(|contender| contender.details.as_mut()) {
        details.age = SystemTime::now().duration_since(details.since).unwrap_or_default();
    }
}

fn print(arguments: &Arguments, contenders: &[ContenderInfo], live: bool) -> Result<(), Failure> {
    let (kind, name) = (arguments.recipe, arguments.place.text());
    if arguments.format.json {
        return output::json(&contender::queue(kind, name, contenders));
    }
    let start = if live { CLEAR } else { "" };
    let body = if contenders.is_empty() { "nobody\n".to_owned() } else { contender::table(contenders) };
    output::write(&format!("{start}{} {name:?} at {}\n{body}", kind.word(), moment(SystemTime::now())))
}

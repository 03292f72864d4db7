//! `leasehold who`.

use clap::Args;

use crate::contender::{self, Kind};
use crate::exit::{End, Outcome};
use crate::output::{self, Format};
use crate::place::Place;
use crate::target::{Target, leave};

/// Show who holds a name and who waits for it
///
/// Prints the queue: host, process id, how long it has been there, mode, token
/// and purpose of each, by its own account. The lock, the read/write lock, the
/// semaphore and so on of one name are different things; those that have a
/// queue are shown. A key of redis-py's tells its holder's token and when it
/// expires, and no more.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Only that of one recipe
    #[arg(long, value_enum, value_name = "RECIPE")]
    recipe: Option<Kind>,
    #[command(flatten)]
    format: Format,
}

pub(crate) async fn run(target: &Target, arguments: &Arguments) -> Outcome {
    arguments.place.asks(arguments.recipe)?;
    #[cfg(feature = "redis")]
    if arguments.place.is_key() {
        return at_key(target, arguments).await;
    }
    let coordinator = target.connect(None, None).await?;
    let (admin, name) = (arguments.place.admin(&coordinator), arguments.place.text());
    let mut nobody = true;
    for kind in arguments.place.kinds(arguments.recipe) {
        let contenders = admin.contenders(kind.recipe(), name).await?;
        if contenders.is_empty() {
            continue;
        }
        nobody = false;
        if arguments.format.json {
            output::json(&contender::queue(kind, name, &contenders))?;
        } else {
            output::line(&format!("{} {name:?}", kind.word()))?;
            output::write(&contender::table(&contenders))?;
        }
    }
    if nobody && !arguments.format.json {
        output::line(&format!("nobody holds or waits for {name:?}"))?;
    }
    leave(&coordinator).await;
    Ok(End::DONE)
}

#[cfg(feature = "redis")]
async fn at_key(target: &Target, arguments: &Arguments) -> Outcome {
    use crate::shared_key::{connect, document, summary};

    let lock = connect(target, &arguments.place, None).await?;
    let holder = lock.holder().await?;
    if arguments.format.json {
        output::json(&document(&lock, holder.as_ref()))?;
        return Ok(End::DONE);
    }
    match holder {
        Some(holder) => {
            output::line(&format!(
                "mutex {:?}, shared with redis-py\nheld by {}",
                lock.key(),
                summary(&holder)
            ))?;
        }
        None => output::line(&format!("nobody holds {:?}", lock.key()))?,
    }
    output::line("a key does not tell who holds it, since when, or whether anybody waits")?;
    Ok(End::DONE)
}

//! `leasehold ls`.

use clap::Args;
use serde_json::json;

use crate::contender::Kind;
use crate::exit::Outcome;
use crate::output::{self, Format};
use crate::target::{Target, leave};

/// List the names that somebody holds or waits for
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only names that begin with this text
    #[arg(default_value = "", hide_default_value = true)]
    prefix: String,
    /// Only those of one recipe
    #[arg(long, value_enum, value_name = "RECIPE")]
    recipe: Option<Kind>,
    #[command(flatten)]
    format: Format,
}

pub(crate) async fn run(target: &Target, arguments: &Arguments) -> Outcome {
    let coordinator = target.connect(None, None).await?;
    let admin = coordinator.admin();
    let mut rows = vec![["RECIPE", "NAME"].map(str::to_owned).to_vec()];
    for kind in Kind::or_all(arguments.recipe) {
        for name in admin.names(kind.recipe(), &arguments.prefix).await? {
            if arguments.format.json {
                output::json(&json!({ "recipe": kind.word(), "name": name }))?;
            } else {
                rows.push(vec![kind.word(), name.escape_debug().to_string()]);
            }
        }
    }
    if rows.len() > 1 {
        output::write(&output::table(&rows))?;
    }
    leave(&coordinator).await;
    Ok(0)
}

//! `leasehold ls`.

use clap::Args;
use serde_json::json;

use crate::contender::Kind;
use crate::exit::{End, Failure, Outcome};
use crate::output::{self, Format};
use crate::target::{Target, leave};

/// List the names that somebody holds or waits for
///
/// Only those of the URL's namespace: other programs' locks, which the others
/// find by --path and --profile, bear no mark by which they could be listed.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only names that begin with this text
    #[arg(default_value = "", hide_default_value = true)]
    prefix: String,
    /// Only those of one recipe
    #[arg(long, value_enum, value_name = "RECIPE")]
    recipe: Option<Kind>,
    /// Nobody knows which paths and keys are other programs' locks
    #[arg(long, hide = true, value_name = "PROFILE")]
    profile: Option<String>,
    #[command(flatten)]
    format: Format,
}

pub(crate) async fn run(target: &Target, arguments: &Arguments) -> Outcome {
    if let Some(profile) = &arguments.profile {
        return Err(Failure::usage(format!(
            "the locks of {profile:?} bear no mark by which they could be listed; ask for one: leasehold who --path \
             PATH --profile {profile}"
        )));
    }
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
    Ok(End::DONE)
}

//! `leasehold completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::{End, Outcome};
use crate::output;

/// Print the completions for a shell
///
/// For bash: leasehold completions bash > /etc/bash_completion.d/leasehold
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "leasehold", &mut script);
    output::write(&String::from_utf8_lossy(&script))?;
    Ok(End::DONE)
}

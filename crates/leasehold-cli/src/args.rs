//! The command line.

use clap::{Parser, Subcommand};

use crate::commands::{bench, completions, doctor, elect, force_release, ls, observe, run, watch, who};
use crate::exit::STATUSES;
use crate::target::Target;

/// How this program calls itself to hold the leash of a command. People do not write this, nor the next.
pub(crate) const LEASH: &str = "__leash";

/// How this program calls itself to become a command.
pub(crate) const LAUNCH: &str = "__launch";

/// Run commands under distributed locks, and see who holds and who waits
#[derive(Debug, Parser)]
#[command(
    name = "leasehold",
    version,
    after_help = STATUSES,
    max_term_width = 80,
    subcommand_required = true,
    arg_required_else_help = false,
    infer_long_args = false
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(run::Arguments),
    Elect(elect::Arguments),
    Observe(observe::Arguments),
    Ls(ls::Arguments),
    Who(who::Arguments),
    ForceRelease(force_release::Arguments),
    Watch(watch::Arguments),
    Doctor(doctor::Arguments),
    Bench(bench::Arguments),
    Completions(completions::Arguments),
    /// Print the manual page, for man -l or a file below man1
    Man,
}

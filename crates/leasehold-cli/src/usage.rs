//! Reads the command line; what is wrong with it is told in one line.

use clap::Parser;
use clap::error::ErrorKind;

use crate::args::Cli;
use crate::exit::{End, Failure, Outcome};
use crate::output;

/// The command line, or how the program ends at once.
pub(crate) fn read() -> Result<Cli, Outcome> {
    Cli::try_parse().map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            output::write(&error.render().to_string()).map(|()| End::DONE)
        }
        _ => Err(Failure::usage(one_line(&error.render().to_string()))),
    })
}

/// What is wrong and what would be right, without the usage that stands below.
fn one_line(message: &str) -> String {
    let end = message.find("\n\nUsage:").or_else(|| message.find("\n\nFor more information"));
    let told = &message[..end.unwrap_or(message.len())];
    let told = told.strip_prefix("error: ").unwrap_or(told);
    let lines = told.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut text = String::new();
    for line in lines {
        if !text.is_empty() {
            text.push_str(if text.ends_with(':') { " " } else { "; " });
        }
        text.push_str(line.strip_prefix("tip: ").unwrap_or(line));
    }
    // Whoever typed nothing is told where to read.
    format!("{text} (see leasehold --help)")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn told(arguments: &[&str]) -> String {
        let line = [&["leasehold"], arguments].concat();
        match Cli::try_parse_from(line) {
            Ok(cli) => panic!("accepted: {cli:?}"),
            Err(error) => one_line(&error.render().to_string()),
        }
    }

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn one_line_says_what_is_wrong_and_what_would_be_right() {
        let misspelt = told(&["watc", "nightly"]);
        assert!(misspelt.contains("'watc'") && misspelt.contains("'watch'"), "{misspelt}");
        let option = told(&["run", "nightly", "--wiat", "3s", "--", "true"]);
        assert!(option.contains("--wiat") && option.contains("--wait"), "{option}");
        let value = told(&["run", "nightly", "--wait", "3x", "--", "true"]);
        assert!(value.contains("3x") && value.contains("30s"), "{value}");
        let permits = told(&["run", "nightly", "--permits", "3/2", "--", "true"]);
        assert!(permits.contains("3/2"), "{permits}");
        let missing = told(&["run"]);
        assert!(missing.contains("<NAME>"), "{missing}");
        for line in [misspelt, option, value, permits, missing, told(&[])] {
            assert!(!line.contains('\n') && !line.contains("Usage"), "{line}");
        }
    }
}

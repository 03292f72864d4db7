//! `leasehold man`: one page with all subcommands, from the same source as the help.

use std::io;

use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::args::Cli;
use crate::exit::{End, Failure, Outcome, STATUSES};
use crate::output;

const ENVIRONMENT: &str = "\
LEASEHOLD_URL    the service, where --url does not name it
LEASEHOLD_NAME   for the command that is run: the name of the lock
LEASEHOLD_TOKEN  for the command that is run: its fencing token";

const EXAMPLES: &str = "\
export LEASEHOLD_URL=etcd://127.0.0.1:2379/prod
leasehold run nightly --wait 30s -- ./backup.sh
leasehold run table --shared -- ./report.sh
leasehold run exports --permits 1/3 --max-hold 1h -- ./export.sh
leasehold elect boss --value \"$HOSTNAME\" -- ./serve.sh
leasehold who nightly
leasehold run --path /app/lock --profile etcd-v3 -- ./beside-etcdctl.sh
leasehold doctor";

pub(crate) fn run() -> Outcome {
    let page = page().map_err(|error| Failure::os("cannot write the manual page", error))?;
    output::write(&String::from_utf8_lossy(&page))?;
    Ok(End::DONE)
}

fn page() -> io::Result<Vec<u8>> {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    let man = Man::new(command.clone());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        if subcommand.get_name() == "help" {
            continue;
        }
        let title = format!("LEASEHOLD {}", subcommand.get_name().to_uppercase());
        let mut heading = Roff::new();
        heading.control("SH", [title.as_str()]);
        heading.to_writer(&mut page)?;
        let man = Man::new(subcommand.clone().bin_name(format!("leasehold {}", subcommand.get_name())));
        let mut sections = Vec::new();
        man.render_synopsis_section(&mut sections)?;
        man.render_description_section(&mut sections)?;
        man.render_options_section(&mut sections)?;
        // Sections of the page become parts of the subcommand's.
        let sections = String::from_utf8_lossy(&sections).replace(".SH ", ".SS ");
        page.extend_from_slice(sections.as_bytes());
    }
    for (title, text) in [("EXIT STATUS", statuses()), ("ENVIRONMENT", ENVIRONMENT), ("EXAMPLES", EXAMPLES)] {
        section(&mut page, title, text)?;
    }
    man.render_version_section(&mut page)?;
    Ok(page)
}

/// What the help says of them, without its own heading.
fn statuses() -> &'static str {
    STATUSES.split_once('\n').map_or(STATUSES, |(_, lines)| lines)
}

/// Lines that are set as they stand.
fn section(page: &mut Vec<u8>, title: &str, lines: &str) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", [title]).control("nf", []);
    for line in lines.lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    roff.to_writer(page)
}

//! `leasehold man`: one page with all subcommands, from the same source as the help.

use std::io;

use clap::CommandFactory;
use clap_mangen::{Man, roff::Roff};

use crate::args::Cli;
use crate::exit::{End, Failure, Outcome};
use crate::output;

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
    man.render_extra_section(&mut page)?;
    man.render_version_section(&mut page)?;
    Ok(page)
}

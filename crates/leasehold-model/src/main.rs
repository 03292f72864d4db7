//! `leasehold-model [--least STATES]` checks every run to its end and every control until it breaks, says what it has
//! seen, and fails if a property is broken, a case is not reached, a flaw is not found, or fewer states were reached than asked for.

use std::process::ExitCode;

use leasehold_model::{CONTROLS, Checked, RUNS};
use lexopt::prelude::*;

fn main() -> Result<ExitCode, lexopt::Error> {
    let least = least_states()?;
    let (mut states, mut failures) = (0, 0);
    for run in &RUNS {
        let checked = run.protocol.check();
        states += checked.states;
        failures += checked.broken.len() + checked.unreached.len();
        println!("{}: {}", run.name, figures(&checked));
        for (property, steps) in &checked.broken {
            println!("BROKEN: {property}, after\n{steps}");
        }
        for case in &checked.unreached {
            println!("NEVER REACHED: {case}");
        }
    }
    let mut found = 0;
    for control in &CONTROLS {
        let checked = control.check();
        match checked.broken.iter().find(|(property, _)| *property == control.breaks) {
            Some(_) => found += 1,
            None => println!("NOT FOUND: {:?} does not break {:?}", control.protocol.flaw, control.breaks),
        }
    }
    println!("model: {states} states, {found} of {} flaws found, {failures} failures", CONTROLS.len());
    if states < least {
        println!("fewer than the {least} states that were asked for");
    }
    let sound = failures == 0 && found == CONTROLS.len() && states >= least;
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn figures(checked: &Checked) -> String {
    format!("{} states, up to {} steps deep, in {:.1?}", checked.states, checked.depth, checked.took)
}

fn least_states() -> Result<usize, lexopt::Error> {
    let mut least = 0;
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("least") => least = arguments.value()?.parse()?,
            other => return Err(other.unexpected()),
        }
    }
    Ok(least)
}

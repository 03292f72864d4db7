//! The bounds that are checked, and the checks of the checks.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

use crate::{ALWAYS, Budget, Flaw, Protocol, SOMETIMES};

/// One model to check to its end.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// What it is about.
    pub name: &'static str,
    /// The model.
    pub protocol: Protocol,
}

/// A model with a flaw, and the property that it must break.
#[derive(Debug, Clone, Copy)]
pub struct Control {
    /// The property.
    pub breaks: &'static str,
    /// The model.
    pub protocol: Protocol,
}

/// What a run has shown.
#[derive(Debug)]
pub struct Checked {
    /// The states that were reached, each counted once.
    pub states: usize,
    /// The longest way to one of them, in steps.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
    /// The properties that were broken, each with the steps that lead there.
    pub broken: Vec<(&'static str, String)>,
    /// What was to happen in some state and does in none.
    pub unreached: Vec<&'static str>,
}

impl Control {
    /// Tries until the property is broken.
    pub fn check(&self) -> Checked {
        self.protocol.check_until(HasDiscoveries::AnyOf(BTreeSet::from([self.breaks])))
    }
}

impl Protocol {
    /// Tries everything, up to the first property that is broken.
    pub fn check(self) -> Checked {
        self.check_until(HasDiscoveries::AnyFailures)
    }

    fn check_until(self, until: HasDiscoveries) -> Checked {
        let start = Instant::now();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let checker = self.checker().threads(threads).finish_when(until).spawn_bfs().join();
        let found = checker.discoveries();
        let is_always = |name: &str| ALWAYS.iter().any(|(always, _)| *always == name);
        let broken = found.iter().filter(|(name, _)| is_always(name));
        let mut broken: Vec<_> = broken.map(|(name, path)| (*name, path.to_string())).collect();
        broken.sort();
        let reached = SOMETIMES.iter().map(|(name, _)| *name).filter(|name| self.reaches.contains(name));
        Checked {
            states: checker.unique_state_count(),
            depth: checker.max_depth(),
            took: start.elapsed(),
            broken,
            unreached: reached.filter(|name| !found.contains_key(name)).collect(),
        }
    }
}

const NO_FAULTS: Budget =
    Budget { lost: 0, late: 0, expiries: 0, crashes: 0, cancels: 0, removals: 0, wake_ups: 0 };

/// Clients that want the lock once, with two attempts each.
const fn once(clients: usize, faults: Budget) -> Protocol {
    Protocol { clients, tenures: 1, attempts: 2, faults, flaw: None, reaches: &[] }
}

const fn with_flaw(flaw: Flaw, protocol: Protocol) -> Protocol {
    Protocol { flaw: Some(flaw), ..protocol }
}

const ALL_SERVED: &str = SOMETIMES[0].0;
const REFUSED: &str = SOMETIMES[1].0;
const KEPT_OUT: &str = SOMETIMES[2].0;
const CAME_BACK: &str = SOMETIMES[3].0;
const WENT_ON: &str = SOMETIMES[4].0;
const TWO_INSIDE: &str = SOMETIMES[5].0;
const TWO_BELIEVE: &str = SOMETIMES[6].0;

/// What is checked to the end.
pub const RUNS: [Run; 6] = [
    Run {
        name: "2 clients; every fault of the network, of sessions and of administrators once",
        protocol: Protocol {
            reaches: &[ALL_SERVED, REFUSED, KEPT_OUT, CAME_BACK, WENT_ON, TWO_INSIDE, TWO_BELIEVE],
            ..once(2, Budget { crashes: 0, ..EACH_ONCE })
        },
    },
    Run {
        name: "2 clients, twice each; a request lost, one late, an expiry, a crash",
        protocol: Protocol {
            clients: 2,
            tenures: 2,
            attempts: 3,
            faults: Budget { lost: 1, late: 1, expiries: 1, crashes: 1, ..NO_FAULTS },
            flaw: None,
            reaches: &[ALL_SERVED, REFUSED, WENT_ON, TWO_INSIDE],
        },
    },
    Run {
        name: "3 clients, one attempt each; a request lost, an expiry, a crash, a cancellation",
        protocol: Protocol {
            attempts: 1,
            reaches: &[ALL_SERVED, REFUSED, TWO_INSIDE],
            ..once(3, Budget { lost: 1, expiries: 1, crashes: 1, cancels: 1, ..NO_FAULTS })
        },
    },
    Run {
        name: "3 clients; a request lost, one late, an entry removed by hand",
        protocol: Protocol {
            reaches: &[ALL_SERVED, REFUSED, KEPT_OUT, CAME_BACK, TWO_BELIEVE],
            ..once(3, Budget { lost: 1, late: 1, removals: 1, ..NO_FAULTS })
        },
    },
    Run {
        name: "3 clients, twice each; a request lost, a cancellation",
        protocol: Protocol {
            tenures: 2,
            reaches: &[ALL_SERVED],
            ..once(3, Budget { lost: 1, cancels: 1, ..NO_FAULTS })
        },
    },
    Run {
        name: "4 clients, one attempt each; an expiry, a crash",
        protocol: Protocol {
            attempts: 1,
            reaches: &[ALL_SERVED, REFUSED, TWO_INSIDE],
            ..once(4, Budget { expiries: 1, crashes: 1, ..NO_FAULTS })
        },
    },
];

const EACH_ONCE: Budget =
    Budget { lost: 1, late: 1, expiries: 1, crashes: 1, cancels: 1, removals: 1, wake_ups: 1 };

const STALE_ACCEPTED: &str = ALWAYS[0].0;
const UPDATE_LOST: &str = ALWAYS[1].0;
const TOKEN_FELL: &str = ALWAYS[2].0;
const OVERTAKEN: &str = ALWAYS[3].0;
const BORN_STALE: &str = ALWAYS[4].0;
const ONE_BELIEVES: &str = ALWAYS[5].0;
const IN_VAIN: &str = ALWAYS[6].0;
const LEFT_BEHIND: &str = ALWAYS[7].0;

const EXPIRY: Budget = Budget { expiries: 1, ..NO_FAULTS };
const REMOVAL: Budget = Budget { removals: 1, ..NO_FAULTS };
const CANCEL: Budget = Budget { cancels: 1, ..NO_FAULTS };
const LOST: Budget = Budget { lost: 1, ..NO_FAULTS };
const LATE_AND_CANCEL: Budget = Budget { late: 1, cancels: 1, ..NO_FAULTS };

/// What must be found to be wrong, each run.
pub const CONTROLS: [Control; 14] = [
    Control { breaks: STALE_ACCEPTED, protocol: with_flaw(Flaw::NoFence, once(2, EXPIRY)) },
    Control { breaks: UPDATE_LOST, protocol: with_flaw(Flaw::FenceOnWritesOnly, once(2, EXPIRY)) },
    Control { breaks: TOKEN_FELL, protocol: with_flaw(Flaw::SequenceAsToken, once(2, NO_FAULTS)) },
    Control { breaks: TOKEN_FELL, protocol: with_flaw(Flaw::NoOwnEntryCheck, once(3, REMOVAL)) },
    Control {
        breaks: TOKEN_FELL,
        protocol: with_flaw(Flaw::TwoEnqueuesInOneTransaction, once(2, NO_FAULTS)),
    },
    Control {
        breaks: ONE_BELIEVES,
        protocol: with_flaw(Flaw::TwoEnqueuesInOneTransaction, once(2, NO_FAULTS)),
    },
    Control { breaks: LEFT_BEHIND, protocol: with_flaw(Flaw::NoTombstone, once(2, LATE_AND_CANCEL)) },
    Control { breaks: IN_VAIN, protocol: with_flaw(Flaw::CheckBeforeRegistering, once(2, NO_FAULTS)) },
    Control { breaks: OVERTAKEN, protocol: with_flaw(Flaw::NoSecondLook, once(3, CANCEL)) },
    Control { breaks: OVERTAKEN, protocol: with_flaw(Flaw::WaitForTheFirst, once(3, NO_FAULTS)) },
    Control { breaks: LEFT_BEHIND, protocol: with_flaw(Flaw::WithdrawalNotRepeated, once(2, LOST)) },
    Control { breaks: ONE_BELIEVES, protocol: with_flaw(Flaw::DeadlineNotKept, once(2, EXPIRY)) },
    Control { breaks: BORN_STALE, protocol: with_flaw(Flaw::StaleGrant, once(2, EXPIRY)) },
    Control { breaks: ONE_BELIEVES, protocol: with_flaw(Flaw::ReleaseByPosition, once(3, CANCEL)) },
];

#[cfg(test)]
mod tests {
    use super::{CONTROLS, RUNS};
    use crate::{ALWAYS, Protocol};

    #[test]
    fn every_flaw_is_found() {
        for control in &CONTROLS {
            let checked = control.check();
            let broken: Vec<_> = checked.broken.iter().map(|(name, _)| *name).collect();
            assert!(broken.contains(&control.breaks), "{control:?}: {broken:?}, {} states", checked.states);
        }
    }

    #[test]
    fn what_breaks_with_a_flaw_holds_without_it() {
        for control in &CONTROLS {
            let checked = Protocol { flaw: None, ..control.protocol }.check();
            assert!(checked.broken.is_empty(), "{:?}: {:?}", control.protocol, checked.broken);
        }
    }

    #[test]
    fn every_property_can_be_broken_and_every_case_is_reached() {
        for (name, _) in ALWAYS {
            assert!(CONTROLS.iter().any(|control| control.breaks == name), "no flaw breaks {name:?}");
        }
        for (name, _) in crate::SOMETIMES {
            assert!(RUNS.iter().any(|run| run.protocol.reaches.contains(&name)), "no run reaches {name:?}");
        }
    }
}

//! Versioned registers behave as if their operations took effect one at a time.

use std::collections::{BTreeMap, HashSet};

use super::Case;
use crate::history::call::{Call, Outcome};
use crate::history::operations::Fate;
use crate::history::violation::{Kind, Violation};
use crate::history::wgl::{Linearizability, Model, Pending, linearizable};

/// Beyond so many configurations at a time a history is given up as undecided.
const MOST_CONFIGURATIONS: usize = 200_000;

/// A register whose versions only grow and are chosen by the service.
struct Register;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    value: Option<String>,
    version: Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Version {
    Is(u64),
    /// Nobody was told which one the last write made.
    Above(u64),
}

#[derive(PartialEq)]
enum Operation {
    Read {
        version: u64,
        value: Option<String>,
    },
    /// The value is left out if nobody ever reads it: what is lost with such a write is no more than any other.
    Write {
        value: Option<String>,
        if_version: Option<u64>,
        version: Option<u64>,
    },
    Refused {
        if_version: u64,
    },
}

impl Version {
    fn may_be(self, version: u64) -> bool {
        match self {
            Version::Is(is) => is == version,
            Version::Above(above) => version > above,
        }
    }

    fn at_least(self) -> u64 {
        match self {
            Version::Is(version) | Version::Above(version) => version,
        }
    }
}

impl Model for Register {
    type State = State;
    type Operation = Operation;

    fn initial(&self) -> State {
        State { value: None, version: Version::Is(0) }
    }

    fn step(&self, state: &State, operation: &Operation) -> Option<State> {
        match operation {
            Operation::Read { version, value } => (state.version.may_be(*version) && state.value == *value)
                .then(|| State { value: value.clone(), version: Version::Is(*version) }),
            Operation::Write { value, if_version, version } => {
                if if_version.is_some_and(|expected| !state.version.may_be(expected)) {
                    return None;
                }
                let before = state.version.at_least().max(if_version.unwrap_or(0));
                let version = match version {
                    Some(version) if *version <= before => return None,
                    Some(version) => Version::Is(*version),
                    None => Version::Above(before),
                };
                Some(State { value: value.clone(), version })
            }
            // Of a version that nobody was told of, another one was expected, or it happens to be the same number.
            Operation::Refused { if_version } => {
                (state.version != Version::Is(*if_version)).then(|| state.clone())
            }
        }
    }

    /// A version that was left never comes back.
    fn is_dead(&self, state: &State, operation: &Operation) -> bool {
        match (operation, state.version) {
            (Operation::Write { if_version: Some(expected), .. }, Version::Is(version)) => {
                *expected < version
            }
            (Operation::Write { if_version: Some(expected), .. }, Version::Above(version)) => {
                *expected <= version
            }
            _ => false,
        }
    }
}

pub(in crate::history) fn check(case: &Case<'_>) -> Vec<Violation> {
    let mut read: HashSet<(&str, &str)> = HashSet::new();
    for operation in case.history.operations() {
        if let (Call::RegisterRead { register }, Fate::Done(Outcome::Register { value: Some(value), .. })) =
            (&operation.call, &operation.fate)
        {
            read.insert((register, value));
        }
    }
    let mut registers: BTreeMap<&str, Vec<Pending<Operation>>> = BTreeMap::new();
    for operation in case.history.operations() {
        let (register, what) = match (&operation.call, &operation.fate) {
            (Call::RegisterRead { register }, Fate::Done(Outcome::Register { version, value })) => {
                (register, Operation::Read { version: *version, value: value.clone() })
            }
            (
                Call::RegisterWrite { register, value, if_version },
                Fate::Done(Outcome::Written { version }),
            ) => {
                let (value, if_version) = (value.clone(), *if_version);
                (register, Operation::Write { value: Some(value), if_version, version: Some(*version) })
            }
            (Call::RegisterWrite { register, value, if_version }, Fate::Unknown(_)) => {
                let value = read.contains(&(register.as_str(), value.as_str())).then(|| value.clone());
                (register, Operation::Write { value, if_version: *if_version, version: None })
            }
            (
                Call::RegisterWrite { register, if_version: Some(if_version), .. },
                Fate::Done(Outcome::VersionDiffers),
            ) => (register, Operation::Refused { if_version: *if_version }),
            _ => continue,
        };
        let end = if matches!(operation.fate, Fate::Unknown(_)) { None } else { operation.end };
        registers.entry(register).or_default().push(Pending { operation: what, begin: operation.begin, end });
    }
    let mut violations = Vec::new();
    for (name, operations) in registers {
        let (kind, place, why) = match linearizable(&Register, &operations, MOST_CONFIGURATIONS) {
            Linearizability::Holds => continue,
            Linearizability::Broken { operation } => {
                (Kind::NotLinearizable, operation, "up to here an order explains it, and no further")
            }
            Linearizability::Undecided { operation } => {
                (Kind::Undecided, operation, "too many orders are possible here")
            }
        };
        let Pending { begin, end, .. } = operations[place];
        let why = format!("the register {name:?}: {why}");
        violations.push(Violation::new(case.history, kind, why, end.into_iter().chain([begin])));
    }
    violations
}

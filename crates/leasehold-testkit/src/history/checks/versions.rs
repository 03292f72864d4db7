//! S1: a fenced resource loses no update.
//!
//! # Implementation
//!
//! A resource counts the writes that it accepts, so the versions that were seen put the writes into the resource's own order, and
//! what they made can be compared with what they were based on. A version that no answered write has made
//! must be that of a write whose answer was lost: one that was based on the version before, each at most once. O(n log n) in the
//! accesses, and for each version that nobody answered for one look at all lost answers.

use std::collections::{BTreeMap, HashMap};

use super::Case;
use super::accesses::{Access, Did, Resource, resources};
use crate::history::operations::History;
use crate::history::violation::{Kind, Violation};

pub(in crate::history) fn check(case: &Case<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (name, resource) in resources(case.history) {
        violations.extend(went_back(case, name, &resource));
        let (writes, unexplained) = writes_by_version(case.history, name, &resource);
        violations.extend(unexplained);
        violations.extend(lost_updates(case, name, &writes));
        violations.extend(values(case, name, &resource, &writes));
    }
    violations
}

/// The write that made each version, as far as that can be told, and what is wrong where it cannot.
pub(super) fn writes_by_version<'a>(
    history: &History,
    name: &str,
    resource: &'a Resource<'a>,
) -> (BTreeMap<u64, &'a Access<'a>>, Vec<Violation>) {
    let mut violations = Vec::new();
    let mut writes: BTreeMap<u64, &Access<'_>> = BTreeMap::new();
    for access in &resource.accesses {
        let (Did::Write { version: Some(version), .. }, Some(accepted)) = (access.did, access.accepted)
        else {
            continue;
        };
        if let Some(other) = writes.insert(version, access) {
            let why = format!("two writes of {name:?} made version {version}");
            let events = [other.begin, other.accepted.unwrap_or(other.begin), access.begin, accepted];
            violations.push(Violation::new(history, Kind::WentBack, why, events));
        }
    }
    let mut unanswered = Unanswered::of(resource);
    let mut before = 0;
    for (version, (by, value)) in seen(resource) {
        for missing in before + 1..=version {
            if writes.contains_key(&missing) {
                continue;
            }
            let value = value.filter(|_| missing == version);
            if let Some(access) = unanswered.take(missing, by, value) {
                writes.insert(missing, access);
                continue;
            }
            violations.push(unexplained(history, name, missing, by, value, &writes));
            // What else is missing here has the same cause.
            break;
        }
        before = version;
    }
    (writes, violations)
}

/// The versions that somebody saw: the first event that shows it, and the value, where that was seen too.
fn seen(resource: &Resource<'_>) -> BTreeMap<u64, (usize, Option<u64>)> {
    let mut seen: BTreeMap<u64, (usize, Option<u64>)> = BTreeMap::new();
    let mut see = |version, event: usize, value: Option<u64>| {
        let (first, known) = seen.entry(version).or_insert((event, value));
        *first = event.min(*first);
        *known = known.or(value);
    };
    for access in &resource.accesses {
        match (access.did, access.accepted) {
            (Did::Read { version, value }, Some(accepted)) => see(version, accepted, Some(value)),
            (Did::Write { based_on, version: Some(version), .. }, Some(accepted)) => {
                see(based_on, access.begin, None);
                see(version, accepted, None);
            }
            _ => {}
        }
    }
    for (event, version, value) in &resource.verdicts {
        see(*version, *event, Some(*value));
    }
    seen
}

/// The writes whose answers were lost, by what they were based on.
struct Unanswered<'a>(HashMap<u64, Vec<&'a Access<'a>>>);

impl<'a> Unanswered<'a> {
    fn of(resource: &'a Resource<'a>) -> Self {
        let mut writes: HashMap<u64, Vec<&Access<'_>>> = HashMap::new();
        for access in &resource.accesses {
            if let Did::Write { based_on, version: None, .. } = access.did {
                writes.entry(based_on).or_default().push(access);
            }
        }
        Self(writes)
    }

    /// The one that made `version`, which was seen at `by`: one that was based on the version before, or else, to be
    /// reported, on an older one. It is not there a second time.
    fn take(&mut self, version: u64, by: usize, value: Option<u64>) -> Option<&'a Access<'a>> {
        let possible = |access: &&'a Access<'a>| match access.did {
            Did::Write { value: written, .. } => {
                access.begin < by && value.is_none_or(|value| value == written)
            }
            Did::Read { .. } => false,
        };
        let older = |(based_on, writes): (&u64, &Vec<_>)| {
            (*based_on < version && writes.iter().any(possible)).then_some(*based_on)
        };
        let based_on = self.0.iter().filter_map(older).max()?;
        let writes = self.0.get_mut(&based_on)?;
        // The last of them: its holder saw the version before, after which nobody earlier could write.
        let place = writes.iter().rposition(possible)?;
        Some(writes.remove(place))
    }
}

fn unexplained(
    history: &History,
    name: &str,
    version: u64,
    by: usize,
    value: Option<u64>,
    writes: &BTreeMap<u64, &Access<'_>>,
) -> Violation {
    let again = value.and_then(|value| {
        let mut earlier = writes.range(..version).rev().map(|(_, access)| access);
        earlier.find(|access| matches!(access.did, Did::Write { value: written, .. } if written == value))
    });
    match again {
        Some(access) => {
            let why =
                format!("version {version} of {name:?} was made by a write that had been applied before");
            let events = [access.begin, access.accepted.unwrap_or(access.begin), by];
            Violation::new(history, Kind::AppliedTwice, why, events)
        }
        None => {
            let why = format!("nobody made version {version} of {name:?}");
            Violation::new(history, Kind::Unexplained, why, [by])
        }
    }
}

/// Each write is based on the version that it replaced.
fn lost_updates(case: &Case<'_>, name: &str, writes: &BTreeMap<u64, &Access<'_>>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (version, access) in writes {
        let Did::Write { based_on, .. } = access.did else { continue };
        if based_on >= version - 1 {
            continue;
        }
        let why = format!("a write of {name:?} made version {version} and was based on {based_on}");
        let replaced = writes.get(&(version - 1)).map(|replaced| replaced.accepted.unwrap_or(replaced.begin));
        let events = [Some(access.begin), access.accepted, replaced];
        violations.push(Violation::new(case.history, Kind::LostUpdate, why, events.into_iter().flatten()));
    }
    violations
}

/// Nobody sees less than was seen before, nor what is written only afterwards.
fn went_back(case: &Case<'_>, name: &str, resource: &Resource<'_>) -> Vec<Violation> {
    // Per access: what was the highest version that an access had shown which was over when this one began?
    let mut over: Vec<(usize, u64)> =
        resource.accesses.iter().filter_map(|access| Some((access.accepted?, access.version()?))).collect();
    over.sort_unstable();
    let mut over = over.into_iter().peekable();
    let mut highest: Option<(u64, usize)> = None;
    let mut violations = Vec::new();
    let accesses = resource.accesses.iter().filter_map(|access| {
        let (version, accepted) = (access.version()?, access.accepted?);
        Some((access.begin, accepted, version))
    });
    let verdicts = resource.verdicts.iter().map(|(index, version, _)| (*index, *index, *version));
    for (begin, end, version) in accesses.chain(verdicts) {
        while let Some((index, version)) = over.next_if(|(index, _)| *index < begin) {
            if highest.is_none_or(|(highest, _)| highest < version) {
                highest = Some((version, index));
            }
        }
        if let Some((highest, index)) = highest
            && version < highest
        {
            let why =
                format!("{name:?} was at version {highest}, and an access found it at {version} afterwards");
            violations.push(Violation::new(case.history, Kind::WentBack, why, [index, begin, end]));
        }
    }
    violations
}

/// Values are those that were written, and are not seen before.
fn values(
    case: &Case<'_>,
    name: &str,
    resource: &Resource<'_>,
    writes: &BTreeMap<u64, &Access<'_>>,
) -> Vec<Violation> {
    let reads = resource.accesses.iter().filter_map(|access| match access.did {
        Did::Read { version, value } => Some((access.accepted?, version, value)),
        Did::Write { .. } => None,
    });
    let mut violations = Vec::new();
    for (index, version, value) in reads.chain(resource.verdicts.iter().copied()) {
        let Some(access) = writes.get(&version) else { continue };
        let Did::Write { value: written, .. } = access.did else { continue };
        let why = if value != written {
            format!("version {version} of {name:?} was seen with {value}, and written with {written}")
        } else if index < access.begin {
            format!("version {version} of {name:?} was seen before anybody wrote it")
        } else {
            continue;
        };
        let events = [Some(index), Some(access.begin), access.accepted];
        violations.push(Violation::new(case.history, Kind::Unexplained, why, events.into_iter().flatten()));
    }
    violations
}

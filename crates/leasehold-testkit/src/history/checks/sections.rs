//! S1: the effective sections of tenures are disjoint.
//!
//! # Implementation
//!
//! The effective section of a tenure at a resource is what lies between its accesses: from the end of the first that was
//! accepted to the beginning of the last. What a tenure is, is told by its process and its token, so this sees what a fence cannot: two
//! holders with the same token. Swept in the order of the beginnings, with those that are not over yet: O(n log n), times the number of sections
//! at one time.

use std::collections::HashMap;

use super::Case;
use super::accesses::resources;
use crate::history::violation::{Kind, Violation};

struct Section<'a> {
    process: &'a str,
    shared: bool,
    from: usize,
    to: usize,
}

pub(in crate::history) fn check(case: &Case<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (name, resource) in resources(case.history) {
        let mut sections: HashMap<_, Section<'_>> = HashMap::new();
        for access in &resource.accesses {
            let Some(accepted) = access.accepted else { continue };
            let section = sections.entry((access.process, access.token, access.shared)).or_insert(Section {
                process: access.process,
                shared: access.shared,
                from: accepted,
                to: access.begin,
            });
            section.from = section.from.min(accepted);
            section.to = section.to.max(access.begin);
        }
        let mut sections: Vec<_> =
            sections.into_iter().filter(|(_, section)| section.from < section.to).collect();
        sections.sort_unstable_by_key(|(_, section)| section.from);
        let mut going_on: Vec<(_, Section<'_>)> = Vec::new();
        for (tenure, section) in sections {
            going_on.retain(|(_, earlier)| earlier.to > section.from);
            for ((process, token, _), earlier) in &going_on {
                if earlier.shared && section.shared || (*process, *token) == (tenure.0, tenure.1) {
                    continue;
                }
                let why = format!(
                    "{} with {token} and {} with {} were at {name:?} at the same time",
                    earlier.process, section.process, tenure.1
                );
                let events = [earlier.from, section.from, earlier.to, section.to];
                violations.push(Violation::new(case.history, Kind::SectionsOverlap, why, events));
            }
            going_on.push((tenure, section));
        }
    }
    violations
}

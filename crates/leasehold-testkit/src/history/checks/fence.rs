//! S1: a fenced resource is accessed in the order of the tokens.
//!
//! # Implementation
//!
//! Two things put accesses into order: that one was over before the other began, and the versions, which are the resource's own order.
//! By each of them no access may come after one that shuts it out. O(n log n) in the accesses.

use std::collections::{BTreeMap, HashSet};

use super::Case;
use super::accesses::{Access, Did, Resource, resources};
use super::marks::Marks;
use super::versions::writes_by_version;
use crate::history::violation::{Kind, Violation};

pub(in crate::history) fn check(case: &Case<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (name, resource) in resources(case.history) {
        let mut reported = HashSet::new();
        // What is wrong with the versions is the business of another check.
        let (writes, _) = writes_by_version(case.history, name, &resource);
        for (access, earlier) in by_time(&resource).into_iter().chain(by_version(&resource, &writes)) {
            if reported.insert(access.begin) {
                let why = format!("{name:?} accepted {} after a token that shuts it out", access.token);
                let events = [Some(earlier), Some(access.begin), access.accepted];
                let events = events.into_iter().flatten();
                violations.push(Violation::new(case.history, Kind::TokenRegressed, why, events));
            }
        }
        violations.extend(needless_rejections(case, name, &resource));
    }
    violations
}

/// Accesses that began after the end of one that shuts them out.
fn by_time<'a>(resource: &'a Resource<'a>) -> Vec<(&'a Access<'a>, usize)> {
    let mut over: Vec<(usize, &Access<'_>)> =
        resource.accesses.iter().filter_map(|access| Some((access.accepted?, access))).collect();
    over.sort_unstable_by_key(|(accepted, _)| *accepted);
    let mut over = over.into_iter().peekable();
    let mut marks = Marks::default();
    let mut found = Vec::new();
    for access in resource.accesses.iter().filter(|access| access.accepted.is_some()) {
        while let Some((accepted, earlier)) = over.next_if(|(accepted, _)| *accepted < access.begin) {
            marks.raise(earlier.token, earlier.shared, accepted);
        }
        found.extend(marks.shut_out(access.token, access.shared).map(|earlier| (access, earlier)));
    }
    found
}

/// Accesses whose version comes after that of one that shuts them out. The write that made a version comes first, then those who read it.
fn by_version<'a>(
    resource: &'a Resource<'a>,
    writes: &BTreeMap<u64, &'a Access<'a>>,
) -> Vec<(&'a Access<'a>, usize)> {
    let mut versions: BTreeMap<u64, (Option<&Access<'_>>, Vec<&Access<'_>>)> = BTreeMap::new();
    for (version, access) in writes {
        versions.entry(*version).or_default().0 = Some(access);
    }
    for access in &resource.accesses {
        if let Did::Read { version, .. } = access.did {
            versions.entry(version).or_default().1.push(access);
        }
    }
    let mut marks = Marks::default();
    let mut found = Vec::new();
    for (write, reads) in versions.values() {
        // Reads of one version are in no order to each other but that of time.
        for group in [write.as_slice(), reads] {
            let before = marks;
            for access in group {
                found.extend(before.shut_out(access.token, access.shared).map(|earlier| (*access, earlier)));
                marks.raise(access.token, access.shared, access.accepted.unwrap_or(access.begin));
            }
        }
    }
    found
}

/// Rejections before anybody had come with a token that shuts them out.
fn needless_rejections(case: &Case<'_>, name: &str, resource: &Resource<'_>) -> Vec<Violation> {
    // Whoever comes may raise a mark, also if its answer was lost.
    let mut tokens = resource.tokens.iter().peekable();
    let mut rejections: Vec<_> = resource.rejections.iter().collect();
    rejections.sort_unstable_by_key(|rejection| rejection.end);
    let mut marks = Marks::default();
    let mut violations = Vec::new();
    for rejection in rejections {
        while let Some((begin, token, shared)) = tokens.next_if(|(begin, ..)| *begin < rejection.end) {
            marks.raise(*token, *shared, *begin);
        }
        if marks.shut_out(rejection.token, rejection.shared).is_none() {
            let why =
                format!("{name:?} rejected {}, and nobody had come with a higher token", rejection.token);
            let events = [rejection.begin, rejection.end];
            violations.push(Violation::new(case.history, Kind::NeedlessRejection, why, events));
        }
    }
    violations
}

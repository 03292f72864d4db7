//! The accesses to fenced resources.

use std::collections::BTreeMap;

use leasehold_core::FencingToken;

use crate::history::call::{Call, Outcome, STALE};
use crate::history::event::What;
use crate::history::operations::{Fate, History};

/// One access that was not certainly left undone.
#[derive(Debug)]
pub(super) struct Access<'a> {
    pub(super) process: &'a str,
    pub(super) token: FencingToken,
    pub(super) shared: bool,
    pub(super) begin: usize,
    /// The end of one that was accepted.
    pub(super) accepted: Option<usize>,
    pub(super) did: Did,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Did {
    Read { version: u64, value: u64 },
    Write { based_on: u64, value: u64, version: Option<u64> },
}

impl Access<'_> {
    /// The version that it saw or made.
    pub(super) fn version(&self) -> Option<u64> {
        match self.did {
            Did::Read { version, .. } => Some(version),
            Did::Write { version, .. } => version,
        }
    }
}

/// One access that the resource rejected.
#[derive(Debug)]
pub(super) struct Rejection {
    pub(super) token: FencingToken,
    pub(super) shared: bool,
    pub(super) begin: usize,
    pub(super) end: usize,
}

/// All that is known of one resource.
#[derive(Debug, Default)]
pub(super) struct Resource<'a> {
    /// In the order of their beginnings.
    pub(super) accesses: Vec<Access<'a>>,
    pub(super) rejections: Vec<Rejection>,
    /// Every token that came, whatever became of it: when, which, and whether of a shared hold.
    pub(super) tokens: Vec<(usize, FencingToken, bool)>,
    /// What the judge saw: the event, the version and the value.
    pub(super) verdicts: Vec<(usize, u64, u64)>,
}

pub(super) fn resources(history: &History) -> BTreeMap<&str, Resource<'_>> {
    let mut resources: BTreeMap<&str, Resource<'_>> = BTreeMap::new();
    for operation in history.operations() {
        let (resource, token, shared) = match &operation.call {
            Call::Read { resource, token, shared } => (resource, *token, *shared),
            Call::Write { resource, token, .. } => (resource, *token, false),
            _ => continue,
        };
        let known = resources.entry(resource).or_default();
        known.tokens.push((operation.begin, token, shared));
        let did = match (&operation.call, &operation.fate) {
            (Call::Read { .. }, Fate::Done(Outcome::Value { version, value })) => {
                Did::Read { version: *version, value: *value }
            }
            (Call::Write { based_on, value, .. }, Fate::Done(Outcome::Written { version })) => {
                Did::Write { based_on: *based_on, value: *value, version: Some(*version) }
            }
            (Call::Write { based_on, value, .. }, Fate::Unknown(_)) => {
                Did::Write { based_on: *based_on, value: *value, version: None }
            }
            (_, Fate::Failed(error)) => {
                if let (STALE, Some(end)) = (error.as_str(), operation.end) {
                    let rejection = Rejection { token, shared, begin: operation.begin, end };
                    known.rejections.push(rejection);
                }
                continue;
            }
            // A read whose answer was lost shows nothing.
            _ => continue,
        };
        let accepted = matches!(operation.fate, Fate::Done(_)).then_some(operation.end).flatten();
        let access =
            Access { process: &operation.process, token, shared, begin: operation.begin, accepted, did };
        known.accesses.push(access);
    }
    for (index, event) in history.events().iter().enumerate() {
        if let What::Verdict { resource, version, value } = &event.what {
            resources.entry(resource).or_default().verdicts.push((index, *version, *value));
        }
    }
    resources
}

//! What the resource writes down, and whether the history says the same.

use std::collections::HashMap;

use leasehold_testkit::history::{Call, Event, Outcome, STALE, What};
use serde::{Deserialize, Serialize};

use super::Request;

/// An access that the resource decided on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When, on the clock of the histories.
    pub at: u64,
    /// What was asked.
    pub request: Request,
    /// Whether it was accepted.
    pub accepted: bool,
    /// The version of the register afterwards.
    pub version: u64,
}

/// Compares what the processes were told with what the resource wrote down: what it accepted and rejected is what they heard of, but for
/// the answers that were lost on the way.
pub fn cross_check(log: &[LogLine], events: &[Event]) -> Vec<String> {
    // By what tells one access from the others: accesses that are alike are counted.
    let mut decided: HashMap<String, i64> = HashMap::new();
    for line in log {
        *decided.entry(line.signature()).or_default() += 1;
    }
    let mut calls = HashMap::new();
    let mut problems = Vec::new();
    for event in events {
        let heard = match &event.what {
            What::Invoke { op, call } => {
                calls.insert((&event.process, *op), call);
                continue;
            }
            What::Ok { op, outcome } => match (calls.get(&(&event.process, *op)), outcome) {
                (Some(Call::Read { resource, token, shared }), Outcome::Value { version, .. }) => {
                    signature(resource, &token.to_string(), Some(*shared), true, *version)
                }
                (Some(Call::Write { resource, token, .. }), Outcome::Written { version }) => {
                    signature(resource, &token.to_string(), None, true, *version)
                }
                _ => continue,
            },
            What::Fail { op, error } if error == STALE => match calls.get(&(&event.process, *op)) {
                Some(Call::Read { resource, token, shared }) => {
                    signature(resource, &token.to_string(), Some(*shared), false, 0)
                }
                Some(Call::Write { resource, token, .. }) => {
                    signature(resource, &token.to_string(), None, false, 0)
                }
                _ => continue,
            },
            _ => continue,
        };
        let left = decided.entry(heard.clone()).or_default();
        *left -= 1;
        if *left < 0 {
            problems.push(format!("{} heard of what the resource did not decide: {heard}", event.process));
        }
    }
    problems
}

fn signature(register: &str, token: &str, shared: Option<bool>, accepted: bool, version: u64) -> String {
    let what = match shared {
        Some(true) => "shared read",
        Some(false) => "read",
        None => "write",
    };
    // The version of a rejected access says nothing to the one who asked.
    let fate = if accepted { format!("accepted at {version}") } else { "rejected".to_owned() };
    format!("{what} of {register} with {token} {fate}")
}

impl LogLine {
    fn signature(&self) -> String {
        match &self.request {
            Request::Read { register, token, shared } => {
                signature(register, token, Some(*shared), self.accepted, self.version)
            }
            Request::Write { register, token, .. } => {
                signature(register, token, None, self.accepted, self.version)
            }
            Request::Inspect => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use leasehold_core::{Clock, FencingToken};
    use leasehold_testkit::history::Recorder;

    use super::*;

    #[test]
    fn what_was_heard_was_decided() {
        let recorder = Recorder::in_memory("a", Clock::system());
        let token = FencingToken::new(0, 7, 0);
        let resource = "disk".to_owned();
        let write = recorder.invoke(Call::Write { resource: resource.clone(), token, based_on: 0, value: 1 });
        recorder.ok(write, Outcome::Written { version: 1 });
        let read = recorder.invoke(Call::Read { resource: resource.clone(), token, shared: false });
        recorder.fail(read, STALE);
        let line = |request, accepted, version| LogLine { at: 0, request, accepted, version };
        let token = token.to_string();
        let write = Request::Write { register: resource.clone(), token: token.clone(), value: 1 };
        let read = Request::Read { register: resource, token, shared: false };
        let both = [line(write, true, 1), line(read, false, 1)];
        assert_eq!(cross_check(&both, &recorder.events()), Vec::<String>::new());
        assert_eq!(cross_check(&both[..1], &recorder.events()).len(), 1);
        assert_eq!(cross_check(&both[1..], &recorder.events()).len(), 1);
    }
}

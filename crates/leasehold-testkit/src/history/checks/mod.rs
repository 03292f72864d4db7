//! The checks, one promise a file.

pub(super) mod accesses;
pub(super) mod beliefs;
pub(super) mod errors;
pub(super) mod fence;
pub(super) mod linearizability;
pub(super) mod losses;
pub(super) mod marks;
pub(super) mod order;
pub(super) mod progress;
pub(super) mod quiescence;
pub(super) mod sections;
pub(super) mod tokens;
pub(super) mod versions;

use std::collections::HashMap;

use leasehold_core::Mode;

use super::checker::Checker;
use super::holds::Hold;
use super::operations::History;
use super::tap::Queue;

/// What the checks look at.
pub(super) struct Case<'a> {
    pub(super) history: &'a History,
    pub(super) holds: &'a [Hold],
    pub(super) queues: &'a HashMap<&'a str, Queue>,
    pub(super) checker: &'a Checker,
}

/// Whether these may not be held side by side.
pub(super) fn exclude_each_other(modes: &[Mode]) -> bool {
    if modes.len() < 2 {
        return false;
    }
    if modes.iter().all(|mode| *mode == Mode::Shared) {
        return false;
    }
    let (mut taken, mut permits) = (0, u64::MAX);
    for mode in modes {
        // Whoever does not ask for permits is not to be beside anybody, or it is a lock of another recipe.
        let Mode::Permits { count, limit, .. } = mode else { return true };
        taken += u64::from(*count);
        permits = permits.min(u64::from(*limit));
    }
    taken > permits
}

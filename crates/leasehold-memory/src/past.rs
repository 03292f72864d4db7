//! What queues looked like before, for looks that are [stale](crate::Fault::Stale).
//!
//! # Implementation
//!
//! The last changes of all queues, each with what undoes it: an old state is the present one with the changes since undone. It is kept only
//! while there is a hook that can ask for it.
//!
//! A session's *floor* of a queue is the revision of the newest state that it was shown or told of, its own changes
//! included. No look goes back behind it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use leasehold_core::{AttemptId, Contender, Contenders, KeyPath};

use crate::change::{Change, Changed};
use crate::state::State;

/// How many changes are remembered.
const REMEMBERED: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct Past {
    changes: VecDeque<Undo>,
    /// How many looks showed an older state than the present one.
    pub(crate) stale_looks: u64,
    floors: HashMap<(u64, Arc<KeyPath>), u64>,
}

#[derive(Debug)]
struct Undo {
    path: Arc<KeyPath>,
    /// The revisions of the queue before it and after it.
    before: u64,
    after: u64,
    attempt: AttemptId,
    /// The contender of the attempt before it.
    was: Option<Contender>,
}

impl State {
    /// Remembers that a queue was changed, whose revision was `before`.
    pub(crate) fn remember(
        &mut self,
        path: &Arc<KeyPath>,
        before: u64,
        (attempt, what): (AttemptId, Changed),
        was: Option<Contender>,
    ) {
        if let Some(changes) = &mut self.changes {
            changes.push(Change { path: KeyPath::clone(path), attempt, what });
        }
        if self.past.is_none() {
            return;
        }
        let after = self.contenders(path, Contenders::revision);
        if let Some(past) = &mut self.past {
            past.changes.push_back(Undo { path: Arc::clone(path), before, after, attempt, was });
            if past.changes.len() > REMEMBERED {
                past.changes.pop_front();
            }
        }
    }

    /// Notes that a session knows a queue as it is now.
    pub(crate) fn saw(&mut self, session: u64, path: &Arc<KeyPath>) {
        if self.past.is_some() {
            let seen = self.contenders(path, Contenders::revision);
            self.saw_as_of(session, path, seen);
        }
    }

    fn saw_as_of(&mut self, session: u64, path: &Arc<KeyPath>, revision: u64) {
        if let Some(past) = &mut self.past {
            let floor = past.floors.entry((session, Arc::clone(path))).or_default();
            *floor = revision.max(*floor);
        }
    }

    /// The oldest state of a queue that a session may be shown, as far as it is remembered.
    pub(crate) fn oldest(&mut self, session: u64, path: &Arc<KeyPath>) -> Contenders {
        let mut queue = self.contenders(path, Contenders::clone);
        let mut is_old = false;
        if let Some(past) = &self.past {
            let floor = past.floors.get(&(session, Arc::clone(path))).copied().unwrap_or(0);
            let changes = past.changes.iter().rev().filter(|change| change.path == *path);
            for change in changes.take_while(|change| change.after > floor) {
                match change.was {
                    Some(was) => queue.insert(was),
                    None => drop(queue.remove(change.attempt)),
                }
                queue.set_revision(change.before);
                is_old = true;
            }
        }
        if let Some(past) = &mut self.past {
            past.stale_looks += u64::from(is_old);
        }
        self.saw_as_of(session, path, queue.revision());
        queue
    }
}

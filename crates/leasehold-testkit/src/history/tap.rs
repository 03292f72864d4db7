//! The service's own word on its queues: the lives of the entries.

use std::collections::HashMap;

use leasehold_core::Mode;

use super::event::{Removal, What};
use super::operations::{History, Moment};

/// The life of one entry.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) order: u64,
    pub(super) position: u64,
    pub(super) created: usize,
    /// The modes that it had, each from a moment on.
    pub(super) modes: Vec<(Moment, Mode)>,
    pub(super) removed: Option<(usize, Removal)>,
}

impl Life {
    pub(super) fn mode_at(&self, moment: Moment) -> Mode {
        let from = self.modes.partition_point(|(from, _)| *from <= moment);
        self.modes[from.saturating_sub(1)].1
    }
}

/// The entries of one queue, in the order of their creation.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) lives: Vec<Life>,
    by_order: HashMap<u64, usize>,
}

impl Queue {
    pub(super) fn of_order(&self, order: u64) -> Option<&Life> {
        self.by_order.get(&order).map(|place| &self.lives[*place])
    }
}

/// The queues that were tapped.
pub(super) fn queues(history: &History) -> HashMap<&str, Queue> {
    let mut queues: HashMap<&str, Queue> = HashMap::new();
    let mut present: HashMap<(&str, &str), usize> = HashMap::new();
    for (index, event) in history.events().iter().enumerate() {
        match &event.what {
            What::EntryCreated { lock, entry, order, position, mode } => {
                let queue = queues.entry(lock).or_default();
                let place = queue.lives.len();
                present.insert((lock, entry), place);
                // Of two with one order, which another check reports, the first counts.
                queue.by_order.entry(*order).or_insert(place);
                queue.lives.push(Life {
                    order: *order,
                    position: *position,
                    created: index,
                    modes: vec![(history.moment(index), *mode)],
                    removed: None,
                });
            }
            What::EntryChanged { lock, entry, mode } => {
                if let Some(place) = present.get(&(lock.as_str(), entry.as_str())) {
                    let life = &mut queues.entry(lock).or_default().lives[*place];
                    life.modes.push((history.moment(index), *mode));
                }
            }
            What::EntryRemoved { lock, entry, why } => {
                if let Some(place) = present.remove(&(lock.as_str(), entry.as_str())) {
                    queues.entry(lock).or_default().lives[place].removed = Some((index, *why));
                }
            }
            _ => {}
        }
    }
    queues
}

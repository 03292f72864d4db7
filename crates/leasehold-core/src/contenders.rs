//! The ordered contenders of one queue.

use std::collections::{BTreeMap, HashMap};

use crate::attempt::AttemptId;
use crate::mode::Mode;

/// One entry of a queue, as far as it decides who is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contender {
    /// Whose entry it is.
    pub attempt: AttemptId,
    /// Its place in the queue's order; smaller comes first. It means nothing outside one queue.
    pub position: u64,
    /// What it asks for.
    pub mode: Mode,
}

/// The contenders of one queue in its order.
///
/// Look-ups by attempt and steps along the queue cost O(log n), so that a handoff does not depend on the
/// length of the queue. A backend keeps one up to date (a mirror), or makes one from a listing.
#[derive(Debug, Clone, Default)]
pub struct Contenders {
    by_position: BTreeMap<(u64, AttemptId), Mode>,
    positions: HashMap<AttemptId, u64>,
    revision: u64,
}

impl Contenders {
    /// Adds an entry, or changes the one of the same attempt.
    pub fn insert(&mut self, contender: Contender) {
        self.remove(contender.attempt);
        self.positions.insert(contender.attempt, contender.position);
        self.by_position.insert((contender.position, contender.attempt), contender.mode);
    }

    /// Removes the entry of `attempt`; whether there was one.
    pub fn remove(&mut self, attempt: AttemptId) -> bool {
        match self.positions.remove(&attempt) {
            Some(position) => self.by_position.remove(&(position, attempt)).is_some(),
            None => false,
        }
    }

    /// The entry of `attempt`.
    pub fn get(&self, attempt: AttemptId) -> Option<Contender> {
        let position = *self.positions.get(&attempt)?;
        self.by_position.get(&(position, attempt)).map(|mode| Contender { attempt, position, mode: *mode })
    }

    /// The entry that comes first.
    pub fn first(&self) -> Option<Contender> {
        self.iter().next()
    }

    /// All entries in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Contender> + '_ {
        self.by_position.iter().map(as_contender)
    }

    /// The entries ahead of `attempt`, the nearest first; nothing if it has no entry.
    pub fn ahead_of(&self, attempt: AttemptId) -> impl Iterator<Item = Contender> + '_ {
        let position = self.positions.get(&attempt).copied();
        position
            .into_iter()
            .flat_map(move |position| self.by_position.range(..(position, attempt)).rev())
            .map(as_contender)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_position.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_position.is_empty()
    }

    /// The queue's revision that this state belongs to: it grows with every change of membership or mode.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Sets the revision that this state belongs to.
    pub fn set_revision(&mut self, revision: u64) {
        self.revision = revision;
    }
}

fn as_contender((&(position, attempt), &mode): (&(u64, AttemptId), &Mode)) -> Contender {
    Contender { attempt, position, mode }
}

impl FromIterator<Contender> for Contenders {
    fn from_iter<T: IntoIterator<Item = Contender>>(entries: T) -> Self {
        let mut contenders = Self::default();
        entries.into_iter().for_each(|entry| contenders.insert(entry));
        contenders
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::AttemptIds;

    #[test]
    fn order_membership_and_the_way_ahead() {
        let ids = AttemptIds::new().unwrap();
        let [a, b, c] = [ids.next(), ids.next(), ids.next()];
        let entry = |attempt, position| Contender { attempt, position, mode: Mode::Exclusive };
        let mut queue: Contenders = [entry(b, 20), entry(a, 10), entry(c, 30)].into_iter().collect();
        assert_eq!(queue.iter().map(|e| e.attempt).collect::<Vec<_>>(), [a, b, c]);
        assert_eq!(queue.ahead_of(c).map(|e| e.attempt).collect::<Vec<_>>(), [b, a]);
        assert_eq!(queue.ahead_of(a).count(), 0);
        assert!(queue.remove(b) && !queue.remove(b));
        assert_eq!(queue.ahead_of(c).next(), Some(entry(a, 10)));
        assert_eq!(queue.ahead_of(b).count(), 0);
        queue.insert(Contender { mode: Mode::Shared, ..entry(a, 10) });
        assert_eq!((queue.len(), queue.get(a).unwrap().mode), (2, Mode::Shared));
    }
}

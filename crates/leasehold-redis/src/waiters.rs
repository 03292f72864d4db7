//! Who waits for what in the copy of a queue.
//!
//! # Implementation
//!
//! One [`Notify`] a topic, in a table that lives under the lock of the state that is waited for. A waiter checks and
//! registers in one step under that lock, so it misses nothing. A change takes the topic out of the table; those who
//! had registered are woken after the lock was released, look again, and register anew if they must. So a change
//! costs what its own waiters cost, however many others there are.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use leasehold_core::AttemptId;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// What a waiter wants to hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    /// The entry of an attempt.
    Entry(AttemptId),
    /// Membership or modes of the queue.
    Queue,
    /// The state is at least of this revision.
    Revision(u64),
}

#[derive(Debug, Default)]
struct Waiting {
    notify: Arc<Notify>,
    waiters: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Waiters {
    entries: HashMap<AttemptId, Waiting>,
    queue: Option<Waiting>,
    revisions: BTreeMap<u64, Waiting>,
}

/// A registration; [`Waiters::unregister`] must get it back.
#[derive(Debug)]
pub(crate) struct Registration {
    topic: Topic,
    notify: Arc<Notify>,
}

/// Those to be woken once the lock is released.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Woken(Vec<Arc<Notify>>);

impl Woken {
    pub(crate) fn wake(self) {
        self.0.iter().for_each(|notify| notify.notify_waiters());
    }
}

impl Waiters {
    /// The future resolves at the topic's next change, polled or not.
    pub(crate) fn register(&mut self, topic: Topic) -> (Registration, OwnedNotified) {
        let waiting = match topic {
            Topic::Entry(attempt) => self.entries.entry(attempt).or_default(),
            Topic::Queue => self.queue.get_or_insert_default(),
            Topic::Revision(revision) => self.revisions.entry(revision).or_default(),
        };
        waiting.waiters += 1;
        let notify = waiting.notify.clone();
        (Registration { topic, notify: notify.clone() }, notify.notified_owned())
    }

    pub(crate) fn unregister(&mut self, registration: &Registration) {
        let topic = registration.topic;
        let waiting = match topic {
            Topic::Entry(attempt) => self.entries.get_mut(&attempt),
            Topic::Queue => self.queue.as_mut(),
            Topic::Revision(revision) => self.revisions.get_mut(&revision),
        };
        // After a change the topic is absent, or there again for others.
        let Some(waiting) = waiting.filter(|waiting| Arc::ptr_eq(&waiting.notify, &registration.notify))
        else {
            return;
        };
        waiting.waiters -= 1;
        if waiting.waiters == 0 {
            match topic {
                Topic::Entry(attempt) => drop(self.entries.remove(&attempt)),
                Topic::Queue => self.queue = None,
                Topic::Revision(revision) => drop(self.revisions.remove(&revision)),
            }
        }
    }

    /// The entries that somebody waits for.
    pub(crate) fn entries(&self) -> impl Iterator<Item = AttemptId> + '_ {
        self.entries.keys().copied()
    }

    pub(crate) fn entry_changed(&mut self, attempt: AttemptId, woken: &mut Woken) {
        woken.0.extend(self.entries.remove(&attempt).map(|waiting| waiting.notify));
    }

    pub(crate) fn queue_changed(&mut self, woken: &mut Woken) {
        woken.0.extend(self.queue.take().map(|waiting| waiting.notify));
    }

    pub(crate) fn reached(&mut self, revision: u64, woken: &mut Woken) {
        while let Some(first) = self.revisions.first_entry() {
            if *first.key() > revision {
                return;
            }
            woken.0.push(first.remove().notify);
        }
    }

    pub(crate) fn all(&mut self, woken: &mut Woken) {
        woken.0.extend(self.entries.drain().map(|(_, waiting)| waiting.notify));
        self.queue_changed(woken);
        self.reached(u64::MAX, woken);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len() + usize::from(self.queue.is_some()) + self.revisions.len()
    }
}

#[cfg(test)]
mod tests {
    use leasehold_core::AttemptIds;

    use super::*;

    fn is_woken(notified: OwnedNotified) -> bool {
        let mut notified = std::pin::pin!(notified);
        notified.as_mut().enable()
    }

    #[test]
    fn a_change_wakes_those_whom_it_concerns_and_nobody_else() {
        let ids = AttemptIds::new().unwrap();
        let [a, b] = [ids.next(), ids.next()];
        let mut waiters = Waiters::default();
        let mut register = |topic| waiters.register(topic);
        let topics = [
            Topic::Entry(a),
            Topic::Entry(a),
            Topic::Entry(b),
            Topic::Queue,
            Topic::Revision(5),
            Topic::Revision(6),
        ];
        let (_registrations, futures): (Vec<_>, Vec<_>) = topics.map(&mut register).into_iter().unzip();
        let mut woken = Woken::default();
        waiters.entry_changed(a, &mut woken);
        waiters.reached(5, &mut woken);
        woken.wake();
        let woken: Vec<bool> = futures.into_iter().map(is_woken).collect();
        assert_eq!(woken, [true, true, false, false, true, false]);
        assert_eq!(waiters.len(), 3);
    }

    #[test]
    fn nothing_is_left_of_waiters_that_gave_up() {
        let a = AttemptIds::new().unwrap().next();
        let mut waiters = Waiters::default();
        for topic in [Topic::Entry(a), Topic::Queue, Topic::Revision(1)] {
            let [first, second] = [waiters.register(topic).0, waiters.register(topic).0];
            waiters.unregister(&first);
            assert_eq!(waiters.len(), 1);
            waiters.unregister(&second);
            assert_eq!(waiters.len(), 0);
        }
        // A registration that a change has ended does not count against those who came after it.
        let stale = waiters.register(Topic::Queue).0;
        waiters.queue_changed(&mut Woken::default());
        let _later = waiters.register(Topic::Queue);
        waiters.unregister(&stale);
        assert_eq!(waiters.len(), 1);
    }
}

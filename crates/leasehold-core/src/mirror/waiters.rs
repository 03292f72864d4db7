//! Who waits for what in a state behind a lock.
//!
//! # Implementation
//!
//! One [`Notify`] a topic, in a table that lives under the lock of the state that is waited for. A waiter checks and
//! registers in one step under that lock, so it misses nothing. A change takes the topic out of the table; those who
//! had registered are woken after the lock was released, look again, and register anew if they must. So a topic is in the table
//! exactly while somebody waits for it, and a change costs what its own waiters cost, however many others there are.

use std::collections::BTreeMap;
use std::ops::RangeBounds;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// The waiters for the topics of a state, to be kept under the state's lock.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use std::sync::Mutex;
/// use leasehold_core::mirror::{Waiters, Woken};
///
/// let state = Mutex::new((1, Waiters::default()));
/// // A waiter looks, and registers before it lets go of the lock.
/// let (registration, changed) = {
///     let (value, waiters) = &mut *state.lock().unwrap();
///     assert_eq!(*value, 1);
///     waiters.register("value")
/// };
/// // A change wakes after it has let go of the lock.
/// let mut woken = Woken::default();
/// {
///     let (value, waiters) = &mut *state.lock().unwrap();
///     *value = 2;
///     waiters.changed(&"value", &mut woken);
/// }
/// woken.wake();
/// changed.await;
/// // Whether it was woken or gave up, the waiter takes its registration back: best in a `Drop`.
/// state.lock().unwrap().1.unregister(&registration);
/// # })
/// ```
#[derive(Debug)]
pub struct Waiters<K>(BTreeMap<K, Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    notify: Arc<Notify>,
    waiters: usize,
}

/// A registration; [`Waiters::unregister`] must get it back.
#[derive(Debug)]
#[must_use]
pub struct Registration<K> {
    topic: K,
    notify: Arc<Notify>,
}

/// Those to be woken once the lock is released.
#[derive(Debug, Default)]
#[must_use]
pub struct Woken(Vec<Arc<Notify>>);

impl Woken {
    /// Wakes them.
    pub fn wake(self) {
        self.0.iter().for_each(|notify| notify.notify_waiters());
    }
}

impl<K> Default for Waiters<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Clone> Waiters<K> {
    /// Registers a waiter. The future resolves at the topic's next change, polled or not.
    pub fn register(&mut self, topic: K) -> (Registration<K>, OwnedNotified) {
        let waiting = self.0.entry(topic.clone()).or_default();
        waiting.waiters += 1;
        let notify = waiting.notify.clone();
        (Registration { topic, notify: notify.clone() }, notify.notified_owned())
    }

    /// Takes a registration back, also after a change.
    pub fn unregister(&mut self, registration: &Registration<K>) {
        // After a change the topic is absent, or there again for others.
        if let Some(waiting) = self.0.get_mut(&registration.topic)
            && Arc::ptr_eq(&waiting.notify, &registration.notify)
        {
            waiting.waiters -= 1;
            if waiting.waiters == 0 {
                self.0.remove(&registration.topic);
            }
        }
    }

    /// Whoever waits for `topic` is to be woken.
    pub fn changed(&mut self, topic: &K, woken: &mut Woken) {
        woken.0.extend(self.0.remove(topic).map(|waiting| waiting.notify));
    }

    /// Whoever waits for one of the topics in `range` is to be woken.
    pub fn changed_within(&mut self, range: impl RangeBounds<K> + Clone, woken: &mut Woken) {
        while let Some(topic) = self.0.range(range.clone()).next().map(|(topic, _)| topic.clone()) {
            self.changed(&topic, woken);
        }
    }

    /// What somebody waits for, in order.
    pub fn topics(&self) -> impl Iterator<Item = &K> {
        self.0.keys()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_woken(notified: OwnedNotified) -> bool {
        let mut notified = std::pin::pin!(notified);
        notified.as_mut().enable()
    }

    #[test]
    fn a_change_wakes_those_whom_it_concerns_and_nobody_else() {
        let mut waiters = Waiters::default();
        let (_registrations, futures): (Vec<_>, Vec<_>) =
            [1, 1, 2, 5, 6, 7].map(|topic| waiters.register(topic)).into_iter().unzip();
        let mut woken = Woken::default();
        waiters.changed(&1, &mut woken);
        waiters.changed(&3, &mut woken);
        waiters.changed_within(5..=6, &mut woken);
        woken.wake();
        let woken: Vec<bool> = futures.into_iter().map(is_woken).collect();
        assert_eq!(woken, [true, true, false, true, true, false]);
        assert!(waiters.topics().eq(&[2, 7]));
    }

    #[test]
    fn nothing_is_left_of_waiters_that_gave_up() {
        let mut waiters = Waiters::default();
        let [(first, _), (second, _)] = [waiters.register('a'), waiters.register('a')];
        waiters.unregister(&first);
        assert!(!waiters.is_empty());
        waiters.unregister(&second);
        assert!(waiters.is_empty());
        // A registration that a change has ended does not count against those who came after it.
        let (stale, _) = waiters.register('a');
        waiters.changed(&'a', &mut Woken::default());
        let (later, _) = waiters.register('a');
        waiters.unregister(&stale);
        assert!(!waiters.is_empty());
        waiters.unregister(&later);
        assert!(waiters.is_empty());
    }
}

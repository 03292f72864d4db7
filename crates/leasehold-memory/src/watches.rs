//! Who waits for what.
//!
//! # Implementation
//!
//! One [`Notify`] a topic, in a table under the lock of the service. A waiter checks and registers in one step under that
//! lock, so it misses nothing. A change takes the topic out of the table and wakes all who had registered, after the lock
//! was released; they look again and, if they must, register anew. So a topic is in the table exactly while
//! somebody waits for it, and a change costs what its own waiters cost, however many others there are.

use std::collections::HashMap;
use std::sync::Arc;

use leasehold_core::{AttemptId, KeyPath};
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// What can change.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Topic {
    /// One entry of a queue: its existence, mode or value.
    Entry(Arc<KeyPath>, AttemptId),
    /// Membership or modes of a queue.
    Queue(Arc<KeyPath>),
    /// A register.
    Register(Arc<KeyPath>),
}

#[derive(Debug, Default)]
pub(crate) struct Watches(HashMap<Topic, Watched>);

#[derive(Debug)]
struct Watched {
    notify: Arc<Notify>,
    waiters: usize,
}

/// A registration; [`Watches::unregister`] must get it back.
#[derive(Debug)]
pub(crate) struct Registration {
    topic: Topic,
    notify: Arc<Notify>,
}

impl Watches {
    /// The future resolves at the next change, polled or not.
    pub(crate) fn register(&mut self, topic: Topic) -> (Registration, OwnedNotified) {
        let watched = self
            .0
            .entry(topic.clone())
            .or_insert_with(|| Watched { notify: Arc::new(Notify::new()), waiters: 0 });
        watched.waiters += 1;
        let notify = Arc::clone(&watched.notify);
        (Registration { topic, notify: Arc::clone(&notify) }, notify.notified_owned())
    }

    pub(crate) fn unregister(&mut self, registration: &Registration) {
        // After a change the topic is absent, or there again for others.
        if let Some(watched) = self.0.get_mut(&registration.topic)
            && Arc::ptr_eq(&watched.notify, &registration.notify)
        {
            watched.waiters -= 1;
            if watched.waiters == 0 {
                self.0.remove(&registration.topic);
            }
        }
    }

    /// Who is to be woken because `topic` changed.
    pub(crate) fn changed(&mut self, topic: &Topic) -> Option<Arc<Notify>> {
        self.0.remove(topic).map(|watched| watched.notify)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

//! What the handles of one service share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use leasehold_core::{Clock, Timestamp};
use tokio::sync::{Notify, watch};

use crate::change::Tap;
use crate::fault::Faults;
use crate::link::Link;
use crate::state::State;

pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) clock: Clock,
    pub(crate) faults: Faults,
    pub(crate) tap: Tap,
    /// Whether the service answers. Requests that meet it paused are delivered when it goes on.
    pub(crate) running: watch::Sender<bool>,
    /// A session came whose expiry may be the next one.
    pub(crate) expiry_moved: Notify,
    state: Mutex<State>,
    links: Mutex<Vec<Weak<Link>>>,
}

impl Service {
    pub(crate) fn new(name: String, clock: Clock) -> Self {
        Self {
            name,
            clock,
            faults: Faults::default(),
            tap: Tap::default(),
            running: watch::Sender::new(true),
            expiry_moved: Notify::new(),
            state: Mutex::default(),
            links: Mutex::default(),
        }
    }

    /// One transaction: what has expired is gone before, and who is concerned is told and woken after it.
    pub(crate) fn transact<T>(&self, transaction: impl FnOnce(&mut State, Timestamp) -> T) -> T {
        let (answer, changes, wakes) = {
            let mut state = self.lock();
            let now = self.clock.now();
            state.expire(now);
            let answer = transaction(&mut state, now);
            let changes = state.changes.as_mut().map(std::mem::take).unwrap_or_default();
            (answer, changes, std::mem::take(&mut state.wakes))
        };
        self.tap.tell(&changes);
        wakes.fire();
        answer
    }

    /// The state as it is. A panic of somebody's `look` leaves it sound: that only reads.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_running(&self) -> bool {
        *self.running.borrow()
    }

    pub(crate) async fn until_running(&self) {
        // The sender is in `self`, so the channel cannot close meanwhile.
        let _ = self.running.subscribe().wait_for(|running| *running).await;
    }

    pub(crate) fn new_link(&self) -> Arc<Link> {
        let link = Arc::new(Link::new());
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|link| link.strong_count() > 0);
        links.push(Arc::downgrade(&link));
        link
    }

    pub(crate) fn interrupt_links(&self) {
        let links: Vec<_> = {
            let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
            links.iter().filter_map(Weak::upgrade).collect()
        };
        links.iter().for_each(|link| link.interrupt());
    }
}

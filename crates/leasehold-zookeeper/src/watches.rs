//! One-shot watches that waiters share.
//!
//! # Implementation
//!
//! The watches of a session stand in one table, weakly: a watch lives as long as somebody waits for it. It is two shared
//! futures, one behind the other, that any of its waiters drives: *armed* sends the request that registers the
//! watch and brings what was seen there and then; *fired* resolves with the first change after that. A waiter that joins
//! later compares what it knows with what was seen at the arming; it may find a difference that is
//! itself old, and then looks again, but a change after the arming cannot escape it.
//!
//! Dropping a waiter drops its share. With the last share the client's watcher falls, and the client removes the watch at
//! the server; also when that happens while the request is under way. The client restores one-shot watches when
//! it reconnects, and tells them when the session ends for good. (Its persistent watches are not restored,
//! so they are not used.)

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use zookeeper_client::{Client, Error, EventType, OneshotWatcher, StateWatcher};

use crate::layout::Layout;
use crate::listing::{Children, as_unsigned};
use crate::version;

/// What is watched at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    /// The data of a node that exists; nothing is left behind if it does not.
    Data,
    /// The children of a node that exists, by a layout; nothing is left behind if it does not.
    Children(Layout),
    /// A node that does not exist yet.
    Creation,
}

/// What was seen when a watch was armed.
#[derive(Debug, Clone)]
pub(crate) enum Seen {
    /// There is no such node.
    Absent,
    /// The node, by the zxid of its last change and the version of its data.
    Node {
        changed: u64,
        version: u64,
    },
    Children(Arc<Children>),
}

/// What a watch fired for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fired {
    /// The node was created or changed.
    Changed,
    /// The node was deleted, without a change before that.
    Deleted,
    /// The node is gone, and it may have changed before: the connection was another meanwhile, and a server that a watch
    /// is restored at tells only the outcome.
    Vanished,
    /// The session is over.
    SessionOver,
}

/// A watch that is registered, or the news that there was nothing to register it at.
#[derive(Clone)]
pub(crate) struct Armed {
    pub(crate) seen: Seen,
    fired: Option<Shared<BoxFuture<'static, Fired>>>,
}

impl Armed {
    /// Resolves with the first change after the arming; at once if nothing is watched.
    pub(crate) async fn fired(self) -> Fired {
        match self.fired {
            Some(fired) => fired.await,
            None => Fired::Changed,
        }
    }

    fn is_spent(&self) -> bool {
        self.fired.as_ref().is_none_or(|fired| fired.peek().is_some())
    }
}

type Key = (Subject, String);

/// The watches of one session.
#[derive(Default)]
pub(crate) struct Watches {
    shared: Mutex<HashMap<Key, Weak<Watch>>>,
}

/// One watch; its waiters share it.
pub(crate) struct Watch {
    key: Key,
    table: Weak<Watches>,
    armed: Shared<BoxFuture<'static, Result<Armed, Error>>>,
}

impl Watches {
    fn table(&self) -> MutexGuard<'_, HashMap<Key, Weak<Watch>>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The watch of a subject at a path that has not fired yet, as far as is known.
    pub(crate) fn watch(self: &Arc<Self>, client: &Arc<Client>, subject: Subject, path: &str) -> Arc<Watch> {
        let key = (subject, path.to_owned());
        let mut table = self.table();
        let shared = table.get(&key).and_then(Weak::upgrade);
        if let Some(shared) = shared.as_ref().filter(|watch| !watch.is_spent()) {
            return shared.clone();
        }
        let armed = arm(client.clone(), subject, path.to_owned()).boxed().shared();
        let watch = Arc::new(Watch { key: key.clone(), table: Arc::downgrade(self), armed });
        table.insert(key, Arc::downgrade(&watch));
        drop(table);
        // Only now: dropping the last share of a spent watch takes the table's lock.
        drop(shared);
        watch
    }
}

impl Watch {
    /// Registers the watch, or joins it.
    pub(crate) async fn armed(&self) -> Result<Armed, Error> {
        self.armed.clone().await
    }

    fn is_spent(&self) -> bool {
        match self.armed.peek() {
            None => false,
            Some(Ok(armed)) => armed.is_spent(),
            Some(Err(_)) => true,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(watches) = self.table.upgrade() {
            let mut table = watches.table();
            if table.get(&self.key).is_some_and(|entry| entry.strong_count() == 0) {
                table.remove(&self.key);
            }
        }
    }
}

async fn arm(client: Arc<Client>, subject: Subject, path: String) -> Result<Armed, Error> {
    // Before the request is sent, so that any disconnection after it shows.
    let states = client.state_watcher();
    let armed = |seen, watcher: Option<OneshotWatcher>| {
        let fired = watcher.map(|watcher| fire(watcher, states).boxed().shared());
        Ok(Armed { seen, fired })
    };
    let node = |stat: &zookeeper_client::Stat| Seen::Node {
        changed: as_unsigned(stat.mzxid),
        version: version::of_data(stat.version),
    };
    match subject {
        Subject::Data => match client.get_and_watch_data(&path).await {
            Ok((_, stat, watcher)) => armed(node(&stat), Some(watcher)),
            Err(Error::NoNode) => armed(Seen::Absent, None),
            Err(error) => Err(error),
        },
        Subject::Children(layout) => match client.get_and_watch_children(&path).await {
            Ok((children, stat, watcher)) => {
                let children = Children::new(layout, &children, stat.pzxid);
                armed(Seen::Children(Arc::new(children)), Some(watcher))
            }
            Err(Error::NoNode) => armed(Seen::Absent, None),
            Err(error) => Err(error),
        },
        Subject::Creation => match client.check_and_watch_stat(&path).await {
            Ok((Some(stat), watcher)) => armed(node(&stat), Some(watcher)),
            Ok((None, watcher)) => armed(Seen::Absent, Some(watcher)),
            Err(error) => Err(error),
        },
    }
}

async fn fire(watcher: OneshotWatcher, mut states: StateWatcher) -> Fired {
    // The client's watcher panics if the task that serves the session is dropped without ending the session, as
    // happens when the runtime that the client was made on is shut down.
    match AssertUnwindSafe(watcher.changed()).catch_unwind().await {
        Ok(event) => match event.event_type {
            EventType::NodeDeleted if states.changed().now_or_never().is_none() => Fired::Deleted,
            EventType::NodeDeleted => Fired::Vanished,
            EventType::Session => Fired::SessionOver,
            EventType::NodeCreated | EventType::NodeDataChanged | EventType::NodeChildrenChanged => {
                Fired::Changed
            }
        },
        Err(_) => Fired::SessionOver,
    }
}

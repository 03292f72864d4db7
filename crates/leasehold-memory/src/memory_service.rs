//! The service, as applications and their tests hold it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use leasehold_core::{AttemptId, Clock, Entry, KeyPath, Versioned};

use crate::backend::MemoryBackend;
use crate::change::{Change, Removal};
use crate::fault::{Call, Fault};
use crate::past::Past;
use crate::queue_table::QueueRecord;
use crate::service::Service;

/// The services that have a name in this process.
static NAMED: LazyLock<Mutex<HashMap<String, MemoryService>>> = LazyLock::new(Mutex::default);

/// An in-process coordination service: sessions with a TTL, queues, registers.
///
/// A cheap handle; clones are the same service. It lives as long as a handle, a backend or a session of it.
/// Each [`backend`](MemoryService::backend) is a connection of its own, so several coordinators can meet on one service.
///
/// The service is exact: a session that is not renewed ends precisely its TTL after the last renewal. The local deadline
/// of the session's owner passes before that.
#[derive(Clone)]
pub struct MemoryService(Arc<Service>);

impl Default for MemoryService {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryService {
    /// A service of its own, that counts on [`Clock::system`].
    pub fn new() -> Self {
        Self::with(String::new(), Clock::system())
    }

    /// A service of its own, that counts on the time of the tokio runtime which it is made in, and which a test can pause.
    /// Its sessions must then be driven by that runtime.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn with_tokio_time() -> Self {
        Self::with(String::new(), Clock::tokio())
    }

    /// The service of this name in this process, which exists until the process ends: where all coordinators of
    /// `memory://NAME` meet.
    pub fn named(name: &str) -> Self {
        let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
        named.entry(name.into()).or_insert_with(|| Self::with(name.into(), Clock::system())).clone()
    }

    fn with(name: String, clock: Clock) -> Self {
        Self(Arc::new(Service::new(name, clock)))
    }

    /// A new connection to the service.
    pub fn backend(&self) -> MemoryBackend {
        MemoryBackend::new(Arc::clone(&self.0))
    }

    /// Lets `hook` decide what happens to each call from now on, and counts the calls anew.
    ///
    /// The hook is called before the call is sent and holds no lock, so it may use the service.
    pub fn on_call(&self, hook: impl Fn(&Call) -> Fault + Send + Sync + 'static) {
        self.0.transact(|state, _| state.past = Some(Past::default()));
        self.0.faults.set(Some(Arc::new(hook)));
    }

    /// Takes the hook away.
    pub fn clear_on_call(&self) {
        self.0.faults.set(None);
        self.0.transact(|state, _| state.past = None);
    }

    /// How many looks that were to be [stale](Fault::Stale) showed another state than the present one, since there is a hook for calls: where
    /// nothing has changed, nothing can be old.
    pub fn stale_looks(&self) -> u64 {
        self.0.transact(|state, _| state.past.as_ref().map_or(0, |past| past.stale_looks))
    }

    /// Tells `hook` of each change of a queue's entries from now on, in their order, before whoever made it hears that it was made.
    ///
    /// The hook is called without a lock, but must not change the service.
    pub fn on_change(&self, hook: impl Fn(&Change) + Send + Sync + 'static) {
        self.0.tap.set(Arc::new(hook));
        self.0.transact(|state, _| state.changes = Some(Vec::new()));
    }

    /// The service answers nobody until [`resume`](MemoryService::resume), like a process that was stopped. Who calls
    /// meanwhile waits up to the request time-out and is told `Indeterminate`; the request is delivered on resume. TTLs run on.
    pub fn pause(&self) {
        self.0.running.send_replace(false);
    }

    /// Ends a pause.
    pub fn resume(&self) {
        self.0.running.send_replace(true);
    }

    /// Breaks every connection once, as a restart of the service that keeps its data. Requests under way
    /// are indeterminate; sessions are suspect until they have renewed themselves, which they try at once.
    pub fn restart(&self) {
        self.0.interrupt_links();
    }

    /// Breaks every connection and forgets all sessions, queues and registers, as a restart of a service that had not stored them. Orders and
    /// versions go on to rise, so that tokens do.
    pub fn restart_without_data(&self) {
        self.0.transact(|state, _| state.lose_data());
        self.0.interrupt_links();
    }

    /// Gives every session at least its whole TTL and `more` from now on, and breaks every connection: a new leader does not know when sessions were last
    /// renewed.
    pub fn change_leader(&self, more: Duration) {
        self.0.transact(|state, now| state.extend_sessions(now, more));
        self.0.interrupt_links();
    }

    /// Whether renewals are carried out (as they are from the start) or merely acknowledged.
    ///
    /// The latter is no fault that the contract allows: a service that acknowledges what it has not done, as a follower that is cut off from its
    /// leader. A session then expires while its owner believes in it, and nothing but a fence at the resource keeps the owner from harm.
    pub fn relay_renewals(&self, relay: bool) {
        self.0.transact(|state, _| state.renews_nothing = !relay);
    }

    /// The ids of the sessions that live.
    pub fn sessions(&self) -> Vec<String> {
        self.0.transact(|state, _| state.sessions.keys().map(u64::to_string).collect())
    }

    /// Ends the session of this id as if its TTL had passed; whether there was one.
    pub fn expire_session(&self, id: &str) -> bool {
        let Ok(id) = id.parse() else { return false };
        self.0.transact(|state, _| state.end_session(id, Removal::Forced))
    }

    /// The entries of a queue in order.
    pub fn entries(&self, path: &KeyPath) -> Vec<Entry> {
        self.0.transact(|state, _| state.queues.get(path).map(QueueRecord::entries).unwrap_or_default())
    }

    /// Removes an entry, as an administrator does; whether there was one. Its session lives on.
    pub fn remove_entry(&self, path: &KeyPath, attempt: AttemptId) -> bool {
        let path = Arc::new(path.clone());
        self.0.transact(|state, _| state.remove_entry(&path, attempt, Removal::Forced).is_some())
    }

    /// Removes all of a queue, as an administrator does: the entries, and what keeps withdrawn attempts out.
    pub fn remove_queue(&self, path: &KeyPath) {
        let path = Arc::new(path.clone());
        self.0.transact(|state, _| state.remove_queue(&path));
    }

    /// The registers and their values.
    pub fn registers(&self) -> Vec<(KeyPath, Versioned)> {
        self.0.transact(|state, _| {
            state.registers.iter().map(|(path, value)| (KeyPath::clone(path), value.clone())).collect()
        })
    }

    /// All that is stored and begins with `prefix`, as sorted keys: entries and tombstones as
    /// `<queue>/entries/<attempt>` and `<queue>/tombstones/<attempt>`, registers as `<register>`.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let mut keys: Vec<String> = self.0.transact(|state, _| {
            let entries = state.queues.iter().flat_map(|(path, queue)| {
                queue.contenders.iter().map(move |entry| format!("{path}/entries/{}", entry.attempt))
            });
            let tombstones =
                state.tombstones.keys().map(|(path, attempt)| format!("{path}/tombstones/{attempt}"));
            let registers = state.registers.keys().map(|path| path.to_string());
            entries.chain(tombstones).chain(registers).filter(|key| key.starts_with(prefix)).collect()
        });
        keys.sort_unstable();
        keys
    }

    /// Whether nothing is left: no session, no entry, no wait. Registers outlive sessions and do not count.
    pub fn is_empty(&self) -> bool {
        self.0.transact(|state, _| {
            state.sessions.is_empty()
                && state.queues.is_empty()
                && state.tombstones.is_empty()
                && state.waiters.is_empty()
        })
    }
}

impl fmt::Debug for MemoryService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryService").field("name", &self.0.name).finish_non_exhaustive()
    }
}

//! Who believes to hold what, and whether anybody else may.
//!
//! # Implementation
//!
//! Nothing here disturbs what it looks at. [`Held::is_held`] does: it ends a hold whose deadline has passed, which would tell the holder what its
//! own driver has to tell it. So a belief is looked at from outside: nobody has told the holder that it is over, and the deadline that its
//! session's cell shows has not passed.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use leasehold_core::{Clock, FencingToken, Held, Liveness, LivenessCell, Mode, Timestamp};
use leasehold_memory::{Change, Changed, Removal};

use crate::log::Log;

/// The beliefs of all processes.
pub(crate) struct Beliefs {
    clock: Clock,
    /// Whether processes break each other's locks, also those of their own other workers.
    breaks: bool,
    ttl: Duration,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    locks: BTreeMap<String, Lock>,
    cells: BTreeMap<String, Arc<LivenessCell>>,
    /// When each session tried to renew itself last.
    renewals: BTreeMap<String, Timestamp>,
    /// When the service had a new leader.
    leader_since: Option<Timestamp>,
    /// Whether the service has ever said that it renewed a session and did not.
    service_lies: bool,
}

#[derive(Default)]
struct Lock {
    /// The orders of the entries that there are, and the sessions of all that there ever were.
    entries: BTreeMap<String, u64>,
    orders: BTreeMap<u64, String>,
    beliefs: Vec<Belief>,
    /// The orders of entries that were taken from their owners, who cannot know it before they are told.
    forced: BTreeSet<u64>,
    highest: Option<FencingToken>,
    highest_exclusive: Option<FencingToken>,
}

#[derive(Clone)]
struct Belief {
    held: Held,
    mode: Mode,
    process: Arc<str>,
    cell: Option<Arc<LivenessCell>>,
}

impl Beliefs {
    pub(crate) fn new(clock: Clock, breaks: bool, ttl: Duration) -> Self {
        Self { clock, breaks, ttl, inside: Mutex::default() }
    }

    /// A session was opened.
    pub(crate) fn session(&self, id: &str, cell: &Arc<LivenessCell>) {
        self.lock().cells.insert(id.to_owned(), Arc::clone(cell));
    }

    /// From now on sessions may end while their owners rightly believe that they live.
    pub(crate) fn service_lies(&self) {
        self.lock().service_lies = true;
    }

    /// The service's queues have changed.
    pub(crate) fn changed(&self, change: &Change, log: &Log) {
        let mut inside = self.lock();
        let lies = inside.service_lies;
        let Inside { locks, renewals, leader_since, .. } = &mut *inside;
        let now = self.clock.now();
        // Nothing but the new leader can have kept it so long.
        let outlived = |session: Option<&String>| {
            let renewed = session.and_then(|session| renewals.get(session));
            std::iter::zip(renewed, *leader_since)
                .any(|(renewed, leader)| *renewed < leader && now.saturating_since(*renewed) > self.ttl)
        };
        let lock = locks.entry(change.path.to_string()).or_default();
        let attempt = change.attempt.to_string();
        match change.what {
            Changed::Created { order, session, .. } => {
                lock.orders.insert(order, session.to_string());
                lock.entries.insert(attempt, order);
            }
            Changed::Removed(why) => {
                let Some(order) = lock.entries.remove(&attempt) else { return };
                let believer = lock.believer(order, self.clock.now());
                match why {
                    Removal::Forced => {
                        lock.forced.insert(order);
                    }
                    Removal::SessionEnded => {
                        log.count("entry_expired");
                        if outlived(lock.orders.get(&order)) {
                            log.count("entry_outlived_ttl");
                        }
                    }
                    _ => {}
                }
                let Some(belief) = believer else { return };
                // Whoever withdraws has told its holder before. To the service, one who breaks a lock of its own process is its owner.
                let excused = match why {
                    Removal::SessionEnded => lies,
                    Removal::Withdrawn => self.breaks,
                    _ => true,
                };
                if excused {
                    lock.forced.insert(order);
                    log.count("removed_while_believed");
                    if why == Removal::SessionEnded {
                        log.count("expired_while_believed");
                    }
                } else {
                    let process = belief.process;
                    log.violated(
                        "S4",
                        format_args!("{} of {process} went while it was believed in", change.path),
                    );
                }
            }
            _ => {}
        }
    }

    /// A session tries to renew itself.
    pub(crate) fn renews(&self, session: &str) {
        let now = self.clock.now();
        self.lock().renewals.insert(session.to_owned(), now);
    }

    /// The service has a new leader, which gives all sessions more time.
    pub(crate) fn leader_changed(&self) {
        let now = self.clock.now();
        self.lock().leader_since = Some(now);
    }

    /// A process was given a hold that it believes in.
    pub(crate) fn granted(&self, path: &str, held: &Held, mode: Mode, process: &Arc<str>, log: &Log) {
        let mut inside = self.lock();
        let now = self.clock.now();
        let lies = inside.service_lies;
        let order = held.fencing_token().order();
        let session = inside.locks.get(path).and_then(|lock| lock.orders.get(&order).cloned());
        let cell = session.and_then(|session| inside.cells.get(&session).cloned());
        let lock = inside.locks.entry(path.to_owned()).or_default();
        let token = held.fencing_token();
        if lock.forced.contains(&order) {
            // It was removed when the grant was under way, of which its owner will hear.
            return log.count("granted_and_removed");
        }
        let before = if mode == Mode::Shared { lock.highest_exclusive } else { lock.highest };
        let must_rise = !matches!(mode, Mode::Permits { .. });
        if let Some(before) = before.filter(|before| must_rise && token <= *before) {
            log.violated("S3", format_args!("{path}: {process} got {token} after {before}"));
        }
        lock.highest = lock.highest.max(Some(token));
        if mode == Mode::Exclusive {
            lock.highest_exclusive = lock.highest_exclusive.max(Some(token));
        }
        lock.beliefs.retain(|belief| belief.is_believed(now));
        let others: Vec<_> =
            lock.beliefs.iter().filter(|belief| belief.held.fencing_token() != token).cloned().collect();
        let excused = |belief: &Belief| lies || lock.forced.contains(&belief.held.fencing_token().order());
        let against: Vec<_> = others.iter().filter(|other| excludes(other.mode, mode)).collect();
        let taken: u64 = others.iter().filter(|other| !excused(other)).map(|other| permits(other.mode)).sum();
        let over = match mode {
            Mode::Permits { limit, .. } => taken + permits(mode) > u64::from(limit),
            _ => false,
        };
        if let Some(other) = against.iter().find(|other| !excused(other)) {
            log.violated(
                "S2",
                format_args!(
                    "{path}: {process} holds {token} and {} believes in {}",
                    other.process,
                    other.held.fencing_token()
                ),
            );
        } else if over {
            log.violated("S2", format_args!("{path}: {process} got a permit too many, {taken} were taken"));
        } else if !against.is_empty() {
            log.count("two_believers_by_force");
        }
        lock.beliefs.push(Belief { held: held.clone(), mode, process: Arc::clone(process), cell });
    }

    /// The session that an entry is in.
    pub(crate) fn session_of(&self, path: &str, order: u64) -> Option<String> {
        let inside = self.lock();
        let entries = &inside.locks.get(path)?.orders;
        entries.get(&order).cloned()
    }

    /// A hold was taken over with its entry; whoever had it hears of it by its own deadline.
    pub(crate) fn superseded(&self, path: &str, held: &Held) {
        let mut inside = self.lock();
        if let Some(lock) = inside.locks.get_mut(path) {
            let order = held.fencing_token().order();
            lock.beliefs.retain(|belief| belief.held.fencing_token().order() != order);
        }
    }

    /// A hold goes on as a shared one.
    pub(crate) fn downgraded(&self, path: &str, held: &Held) {
        let mut inside = self.lock();
        let beliefs = inside.locks.get_mut(path).map(|lock| lock.beliefs.iter_mut());
        for belief in beliefs.into_iter().flatten() {
            if belief.held.fencing_token() == held.fencing_token() {
                belief.mode = Mode::Shared;
            }
        }
    }

    /// By how much the deadline of a hold has passed that nobody has told its holder of.
    pub(crate) fn overdue(&self, path: &str, held: &Held) -> Option<Duration> {
        let inside = self.lock();
        let token = held.fencing_token();
        let belief =
            inside.locks.get(path)?.beliefs.iter().find(|belief| belief.held.fencing_token() == token)?;
        let until = deadline(belief.cell.as_ref()?)?;
        (!is_told(held)).then(|| self.clock.now().saturating_since(until))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lock {
    fn believer(&self, order: u64, now: Timestamp) -> Option<Belief> {
        let is_it =
            |belief: &&Belief| belief.held.fencing_token().order() == order && belief.is_believed(now);
        self.beliefs.iter().find(is_it).cloned()
    }
}

impl Belief {
    fn is_believed(&self, now: Timestamp) -> bool {
        let lives = self.cell.as_ref().is_none_or(|cell| deadline(cell).is_some_and(|until| now < until));
        lives && !is_told(&self.held)
    }
}

/// Whether somebody has told the holder that it is over.
fn is_told(held: &Held) -> bool {
    matches!(pin!(held.lost()).poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(_))
}

/// The deadline of a session that nobody knows to be lost.
fn deadline(cell: &LivenessCell) -> Option<Timestamp> {
    match *cell.subscribe().borrow() {
        Liveness::Live { until } | Liveness::Suspect { until } => Some(until),
        Liveness::Lost(_) => None,
    }
}

fn excludes(one: Mode, other: Mode) -> bool {
    match (one, other) {
        (Mode::Permits { .. }, _) | (_, Mode::Permits { .. }) => false,
        (one, other) => one == Mode::Exclusive || other == Mode::Exclusive,
    }
}

fn permits(mode: Mode) -> u64 {
    match mode {
        Mode::Permits { count, .. } => count.into(),
        Mode::Exclusive | Mode::Shared => 0,
    }
}

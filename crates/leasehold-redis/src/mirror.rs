//! The copy of one queue.
//!
//! # Implementation
//!
//! A [`Mirror`] is *opening* until it was loaded, then *synced*, or it has *failed*. While the subscription is broken
//! it stays synced, at the revision it has; the next load shows what was missed, and wakes those whose entry it
//! concerns.
//!
//! Every change of an entry takes a number of its shard's counter and is published with it. `revision` is how far the
//! copy goes. `floor` is the number of the newest change of this session's own, or of the newest entry that it was
//! shown by other means: a look at the copy waits until it goes that far, so that nobody sees a state older than what
//! he knows. Both only concern this queue, so a subscription that is in order reaches the floor without further ado:
//! messages of one channel arrive in their order.
//!
//! A server that was restored, or took over from another one, may know less than we do. Then a load shows a counter
//! behind the floor that was known before it was asked, and the floor goes back to it: what is there now is all there
//! is.
//!
//! All of it lives under one lock, which is held for O(log n) steps by anybody but the load, and never across an await.
//! Waiters register under the lock and are woken after it was released ([`Waiters`]); a future that is dropped takes its
//! registration back.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use std::time::Duration;

use leasehold_core::{AttemptId, BackendError, Contender, Contenders, Interest};
use tokio::sync::futures::OwnedNotified;

use crate::error::{Effect, corrupt};
use crate::followed::{Failure, Replica};
use crate::keys::Place;
use crate::link::Call;
use crate::records::{self, Change, Row};
use crate::scripts;
use crate::session::Core;
use crate::waiters::{Registration, Topic, Waiters, Woken};

pub(crate) struct Mirror {
    place: Place,
    channel: String,
    state: Mutex<State>,
}

#[derive(Debug)]
enum Phase {
    Opening,
    Synced,
    Failed(Failure),
}

#[derive(Debug)]
struct State {
    phase: Phase,
    contenders: Contenders,
    /// The modification of each entry that is known.
    versions: HashMap<AttemptId, u64>,
    /// Events up to here are part of what was loaded.
    loaded: u64,
    revision: u64,
    floor: u64,
    waiters: Waiters,
}

/// The most entries that are asked for at once because somebody waits for them, and because they come first.
const MOST_WATCHED: usize = 1_000;
const FIRST_WATCHED: usize = 64;

/// One entry that was listed.
#[derive(Debug, Clone, Copy)]
struct Listed {
    contender: Contender,
    version: u64,
}

/// What a look at the state decides.
enum Step<T> {
    Done(T),
    Wait(Topic),
}

impl Mirror {
    pub(crate) fn new(place: Place, channel: String) -> Self {
        let state = State {
            phase: Phase::Opening,
            contenders: Contenders::default(),
            versions: HashMap::new(),
            loaded: 0,
            revision: 0,
            floor: 0,
            waiters: Waiters::default(),
        };
        Self { place, channel, state: Mutex::new(state) }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Entries that are worth asking for: those that somebody waits for, and the first of the queue.
    pub(crate) fn watched(&self) -> Vec<AttemptId> {
        let state = self.state();
        let mut watched: Vec<AttemptId> = state.waiters.entries().take(MOST_WATCHED).collect();
        watched.extend(state.contenders.iter().take(FIRST_WATCHED).map(|contender| contender.attempt));
        watched.retain(|attempt| state.contenders.get(*attempt).is_some());
        watched.sort_unstable();
        watched.dedup();
        watched
    }

    /// From now on nobody is shown a state older than `revision`, at which an entry of this queue changed.
    pub(crate) fn at_least(&self, revision: u64) {
        let mut state = self.state();
        state.floor = state.floor.max(revision);
    }

    /// The service says that this attempt has no entry. If the copy still shows one, the copy is older than that, and
    /// later than the removal it cannot show it: the attempt has one entry at most.
    pub(crate) fn is_gone(&self, attempt: AttemptId) {
        self.change(|state, woken| state.remove(attempt, 0, woken));
    }

    /// Shows the contenders once they are as new as everything this session knows.
    pub(crate) async fn look(&self, look: leasehold_core::Look<'_>) -> Result<(), BackendError> {
        let floor = self.state().floor;
        self.until(floor, |state| {
            look(&state.contenders);
            Step::Done(())
        })
        .await
    }

    /// Resolves once what the caller is interested in is no longer as it saw it.
    pub(crate) async fn changed(&self, interest: Interest) -> Result<(), BackendError> {
        let floor = self.state().floor;
        self.until(floor, |state| match interest {
            Interest::Entry { attempt, mode, version } => match state.contenders.get(attempt) {
                Some(entry)
                    if entry.mode == mode
                        && version.is_none_or(|seen| state.versions.get(&attempt) == Some(&seen)) =>
                {
                    Step::Wait(Topic::Entry(attempt))
                }
                _ => Step::Done(()),
            },
            Interest::Queue { revision } if state.contenders.revision() == revision => {
                Step::Wait(Topic::Queue)
            }
            Interest::Queue { .. } => Step::Done(()),
        })
        .await
    }

    /// Looks at every state from `floor` on that is worth a look, until `check` is done.
    async fn until<T>(
        &self,
        floor: u64,
        mut check: impl FnMut(&State) -> Step<T>,
    ) -> Result<T, BackendError> {
        // Without it, whoever looks in a loop at what is there already would keep the subscription from being read.
        tokio::task::coop::consume_budget().await;
        loop {
            let (_registered, changed) = {
                let mut state = self.state();
                let step = match &state.phase {
                    Phase::Failed(failure) => return Err(failure.error()),
                    Phase::Synced if state.revision >= floor => check(&state),
                    Phase::Synced | Phase::Opening => Step::Wait(Topic::Revision(floor)),
                };
                match step {
                    Step::Done(done) => return Ok(done),
                    Step::Wait(topic) => self.register(&mut state, topic),
                }
            };
            changed.await;
        }
    }

    fn register(&self, state: &mut State, topic: Topic) -> (Registered<'_>, OwnedNotified) {
        let (registration, changed) = state.waiters.register(topic);
        (Registered { mirror: self, registration }, changed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, then wakes those whom it concerns.
    fn change(&self, change: impl FnOnce(&mut State, &mut Woken)) {
        let mut woken = Woken::default();
        change(&mut self.state(), &mut woken);
        woken.wake();
    }
}

/// A registered waiter.
struct Registered<'a> {
    mirror: &'a Mirror,
    registration: Registration,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.mirror.state().waiters.unregister(&self.registration);
    }
}

impl State {
    fn put(&mut self, listed: Listed, woken: &mut Woken) {
        let Listed { contender, version } = listed;
        self.versions.insert(contender.attempt, version);
        if self.contenders.get(contender.attempt) != Some(contender) {
            self.contenders.insert(contender);
            self.advance(version, woken);
        }
        self.waiters.entry_changed(contender.attempt, woken);
    }

    fn remove(&mut self, attempt: AttemptId, revision: u64, woken: &mut Woken) {
        self.versions.remove(&attempt);
        if self.contenders.remove(attempt) {
            self.advance(revision, woken);
            self.waiters.entry_changed(attempt, woken);
        }
    }

    /// Membership or modes changed at `revision`, or at an unknown one. No two states have the same number.
    fn advance(&mut self, revision: u64, woken: &mut Woken) {
        let next = self.contenders.revision() + 1;
        self.contenders.set_revision(revision.max(next));
        self.waiters.queue_changed(woken);
    }

    /// Takes over what was listed after `known` had been the floor.
    fn load(&mut self, known: u64, revision: u64, listed: &[Listed], woken: &mut Woken) {
        if revision < known && self.floor == known {
            self.floor = revision;
        }
        self.replace(revision, listed, woken);
    }

    /// Takes over what was listed, and wakes those for whom it differs from what was known.
    fn replace(&mut self, revision: u64, listed: &[Listed], woken: &mut Woken) {
        let before = std::mem::take(&mut self.contenders);
        let versions = std::mem::take(&mut self.versions);
        self.contenders = listed.iter().map(|listed| listed.contender).collect();
        self.versions = listed.iter().map(|listed| (listed.contender.attempt, listed.version)).collect();
        for (attempt, version) in versions {
            if self.versions.get(&attempt) != Some(&version) {
                self.waiters.entry_changed(attempt, woken);
            }
        }
        self.contenders.set_revision(before.revision());
        if before.revision() == 0 || !before.iter().eq(self.contenders.iter()) {
            self.advance(revision, woken);
        }
        self.phase = Phase::Synced;
        self.loaded = revision;
        self.revision = revision;
        self.waiters.reached(revision, woken);
    }
}

impl Replica for Mirror {
    fn channel(&self) -> String {
        self.channel.clone()
    }

    fn begin(&self) {
        let mut state = self.state();
        state.phase = Phase::Opening;
        state.contenders = Contenders::default();
        state.versions = HashMap::new();
    }

    async fn load(&self, core: &Core) -> Result<Option<Duration>, BackendError> {
        const WHAT: &str = "listing of a queue";
        let known = self.state().floor;
        let keys = core.keyspace.shard(self.place.shard);
        let (script, args) = (&scripts::LOAD, core.args(&[self.place.name.as_bytes()]));
        let call = Call { what: WHAT, effect: Effect::Read, script, keys: &keys, args: &args };
        let reply = core.link.run(&call).await?;
        let [revision, next, rows @ ..] = reply.as_slice() else { return Err(corrupt(WHAT)) };
        let revision = records::number(revision).ok_or_else(|| corrupt(WHAT))?;
        let rows = records::rows(rows).ok_or_else(|| corrupt(WHAT))?;
        let listed: Vec<Listed> = rows.into_iter().map(Listed::from).collect();
        self.change(|state, woken| state.load(known, revision, &listed, woken));
        Ok(records::wait(next))
    }

    fn apply(&self, message: &[u8]) {
        let Some((revision, change)) = records::change(message) else { return };
        self.change(|state, woken| {
            if revision <= state.loaded {
                return;
            }
            state.revision = state.revision.max(revision);
            match change {
                Change::Put(row) => state.put(row.into(), woken),
                Change::Removed(attempt) => state.remove(attempt, revision, woken),
            }
            let reached = state.revision;
            state.waiters.reached(reached, woken);
        });
    }

    fn fail(&self, error: &BackendError) {
        self.change(|state, woken| {
            state.phase = Phase::Failed(error.into());
            state.waiters.all(woken);
        });
    }
}

impl From<Row> for Listed {
    fn from(row: Row) -> Self {
        let Row { attempt, order, version, mode } = row;
        Self { contender: Contender { attempt, position: order, mode }, version }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use leasehold_core::{AttemptIds, BackendErrorKind, Mode};

    use super::*;

    fn mirror() -> Mirror {
        Mirror::new(Place { shard: 0, name: "locks/a".to_owned() }, "channel".to_owned())
    }

    fn listed(attempt: AttemptId, position: u64, mode: Mode) -> Listed {
        Listed { contender: Contender { attempt, position, mode }, version: position }
    }

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn shown(mirror: &Mirror) -> Option<Vec<AttemptId>> {
        let mut seen = Vec::new();
        let mut look = |contenders: &Contenders| seen = contenders.iter().map(|c| c.attempt).collect();
        let looked = poll(pin!(mirror.look(&mut look)));
        matches!(looked, Poll::Ready(Ok(()))).then_some(seen)
    }

    fn entry(attempt: AttemptId, version: Option<u64>) -> Interest {
        Interest::Entry { attempt, mode: Mode::Exclusive, version }
    }

    #[test]
    fn nobody_is_shown_less_than_he_knows() {
        let (mirror, ids) = (mirror(), AttemptIds::new().unwrap());
        let [a, b] = [ids.next(), ids.next()];
        assert_eq!(shown(&mirror), None, "it is not open");
        mirror.change(|state, woken| state.replace(10, &[listed(a, 9, Mode::Exclusive)], woken));
        assert_eq!(shown(&mirror), Some(vec![a]));
        mirror.at_least(12);
        assert_eq!(shown(&mirror), None);
        let mut look = |contenders: &Contenders| assert_eq!(contenders.len(), 2);
        let mut looking = pin!(mirror.look(&mut look));
        assert!(poll(looking.as_mut()).is_pending());
        mirror.change(|state, woken| {
            state.put(listed(b, 12, Mode::Exclusive), woken);
            state.revision = 12;
            state.waiters.reached(12, woken);
        });
        assert!(poll(looking).is_ready());
    }

    #[test]
    fn a_server_that_knows_less_than_we_did_is_believed_and_one_that_was_asked_too_early_is_not() {
        let (mirror, ids) = (mirror(), AttemptIds::new().unwrap());
        let [a, b] = [ids.next(), ids.next()];
        let x = Mode::Exclusive;
        mirror.at_least(20);
        mirror.change(|state, woken| state.load(20, 10, &[listed(a, 9, x)], woken));
        assert_eq!(shown(&mirror), Some(vec![a]), "it has forgotten what we knew");
        // The listing was under way when our own change was answered.
        mirror.at_least(12);
        mirror.change(|state, woken| state.load(10, 11, &[listed(a, 9, x)], woken));
        assert_eq!(shown(&mirror), None);
        mirror.change(|state, woken| state.load(12, 12, &[listed(a, 9, x), listed(b, 12, x)], woken));
        assert_eq!(shown(&mirror), Some(vec![a, b]));
    }

    #[test]
    fn an_interest_in_an_entry_ends_with_it_or_its_mode_or_version() {
        let (mirror, ids) = (mirror(), AttemptIds::new().unwrap());
        let [a, b] = [ids.next(), ids.next()];
        let x = Mode::Exclusive;
        mirror.change(|state, woken| state.replace(10, &[listed(a, 8, x), listed(b, 9, x)], woken));
        let mut mode_of_a = pin!(mirror.changed(entry(a, None)));
        let mut version_of_a = pin!(mirror.changed(entry(a, Some(8))));
        let mut b_is_there = pin!(mirror.changed(entry(b, None)));
        for waiting in [&mut mode_of_a, &mut version_of_a, &mut b_is_there] {
            assert!(poll(waiting.as_mut()).is_pending());
        }
        mirror.change(|state, woken| {
            state.put(Listed { version: 11, ..listed(a, 8, x) }, woken);
        });
        assert!(poll(version_of_a).is_ready());
        assert!(poll(mode_of_a.as_mut()).is_pending());
        mirror.change(|state, woken| state.put(Listed { version: 12, ..listed(a, 8, Mode::Shared) }, woken));
        assert!(poll(mode_of_a).is_ready());
        assert!(poll(b_is_there.as_mut()).is_pending());
        mirror.change(|state, woken| state.remove(b, 13, woken));
        assert!(poll(b_is_there).is_ready());
        assert!(poll(pin!(mirror.changed(entry(b, None)))).is_ready(), "it is gone");
        assert_eq!(mirror.state().waiters.len(), 0);
    }

    #[test]
    fn an_interest_in_the_queue_ignores_values() {
        let (mirror, ids) = (mirror(), AttemptIds::new().unwrap());
        let a = ids.next();
        mirror.change(|state, woken| state.replace(10, &[listed(a, 9, Mode::Exclusive)], woken));
        let revision = mirror.state().contenders.revision();
        let mut changed = pin!(mirror.changed(Interest::Queue { revision }));
        assert!(poll(changed.as_mut()).is_pending());
        mirror
            .change(|state, woken| state.put(Listed { version: 11, ..listed(a, 9, Mode::Exclusive) }, woken));
        assert!(poll(changed.as_mut()).is_pending());
        mirror.is_gone(a);
        assert!(poll(changed).is_ready());
        assert_eq!(shown(&mirror), Some(vec![]));
    }

    #[test]
    fn a_gap_in_the_subscription_shows_in_the_next_listing() {
        let (mirror, ids) = (mirror(), AttemptIds::new().unwrap());
        let [a, b] = [ids.next(), ids.next()];
        let x = Mode::Exclusive;
        mirror.change(|state, woken| state.replace(10, &[listed(a, 8, x), listed(b, 9, x)], woken));
        let revision = mirror.state().contenders.revision();
        let mut a_gone = pin!(mirror.changed(entry(a, None)));
        let mut b_gone = pin!(mirror.changed(entry(b, None)));
        let mut queue = pin!(mirror.changed(Interest::Queue { revision }));
        for waiting in [&mut a_gone, &mut b_gone] {
            assert!(poll(waiting.as_mut()).is_pending());
        }
        assert!(poll(queue.as_mut()).is_pending());
        mirror.change(|state, woken| state.replace(20, &[listed(a, 8, x), listed(b, 9, x)], woken));
        assert!(poll(queue.as_mut()).is_pending(), "nothing was missed");
        mirror.change(|state, woken| state.replace(30, &[listed(b, 9, x)], woken));
        assert!(poll(a_gone).is_ready() && poll(queue).is_ready());
        assert!(poll(b_gone.as_mut()).is_pending());
    }

    #[test]
    fn a_failure_is_told_to_everybody_until_it_is_opened_again() {
        let (mirror, ids) = (mirror(), AttemptIds::new().unwrap());
        let mut waiting = pin!(mirror.changed(entry(ids.next(), None)));
        assert!(poll(waiting.as_mut()).is_pending());
        mirror.fail(&BackendError::new(BackendErrorKind::PermissionDenied, "no"));
        match poll(waiting) {
            Poll::Ready(Err(error)) => assert_eq!(error.kind(), BackendErrorKind::PermissionDenied),
            other => panic!("{other:?}"),
        }
        mirror.begin();
        assert!(poll(pin!(mirror.changed(entry(ids.next(), None)))).is_pending());
        assert_eq!(mirror.state().waiters.len(), 0, "what is dropped is not left behind");
    }
}

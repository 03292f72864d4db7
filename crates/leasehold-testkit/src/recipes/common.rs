//! What the suites of the locks with several holders share: who is inside, entries of strangers, and the proof of cancel safety.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use leasehold_core::{
    AttemptId, AttemptIds, Certainty, Coordinator, Enqueued, Held, Mode, NewEntry, Queue, Withdrawn,
};
use tokio::task::JoinHandle;

use crate::counting::{Counting, Counts};
use crate::polls::poll_times;
use crate::scene::{Scene, soon};

pub(super) use crate::scene::QUIET;

/// Counts how much is inside, and fails as soon as that is more than may be. A lock's writer is as much as all its
/// readers.
#[derive(Clone)]
pub(super) struct Gauge {
    limit: u32,
    /// Now, and at the most so far.
    counts: Arc<Mutex<(u32, u32)>>,
}

/// Somebody inside.
pub(super) struct Inside {
    gauge: Gauge,
    weight: u32,
}

impl Gauge {
    pub(super) fn new(limit: u32) -> Self {
        Self { limit, counts: Arc::default() }
    }

    pub(super) fn enter(&self, held: &Held, weight: u32) -> Inside {
        assert!(held.is_held(), "a grant is held");
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.0 += weight;
        counts.1 = counts.1.max(counts.0);
        assert!(counts.0 <= self.limit, "{} of {} are inside", counts.0, self.limit);
        Inside { gauge: self.clone(), weight }
    }

    /// The most that was ever inside.
    pub(super) fn most(&self) -> u32 {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.gauge.counts.lock().unwrap_or_else(PoisonError::into_inner).0 -= self.weight;
    }
}

/// A coordinator of which is counted what it asks of its backend.
pub(super) async fn counted(scene: &Scene) -> (Coordinator, Arc<Counts>) {
    let backend = Counting::new(scene.world.backend());
    let counts = backend.counts().clone();
    let connecting = scene.builder_over(backend).connect();
    (soon("a session is opened", connecting).await.expect("the service is reached"), counts)
}

/// An entry that no acquisition has made.
pub(super) struct Planted {
    queue: Arc<dyn Queue>,
    attempt: AttemptId,
}

impl Planted {
    pub(super) async fn into(queue: Arc<dyn Queue>, mode: Mode) -> Self {
        let attempt = AttemptIds::new().expect("randomness").next();
        let value = Bytes::from_static(b"\xff not a holder's");
        let entry = NewEntry { attempt, mode, value, only_if_free: false };
        let enqueued = queue.enqueue(entry).await.expect("the service is reached");
        assert!(matches!(enqueued, Enqueued::Placed { .. }), "{enqueued:?}");
        Self { queue, attempt }
    }

    pub(super) async fn remove(self) {
        let removed = self.queue.withdraw(self.attempt, Certainty::Placed).await;
        assert_eq!(removed.expect("the service is reached"), Withdrawn::Removed);
    }
}

/// The task has not ended and does not for a while.
pub(super) async fn still_waits<T>(what: &str, waiting: &mut JoinHandle<T>) {
    let ended = tokio::time::timeout(QUIET, waiting).await;
    assert!(ended.is_err(), "{what}");
}

/// For every k: an acquisition is dropped at its k-th poll, paced so that the polls fall into every stage of it, while
/// what it wants is free and while it is not. After each, `probe` needs everything for a moment and gets it.
pub(super) async fn dropped_at_every_poll<G, B>(
    scene: &Scene,
    acquire: impl Fn() -> BoxFuture<'static, G>,
    probe: impl Fn() -> BoxFuture<'static, ()>,
    block: impl Fn() -> BoxFuture<'static, B>,
) {
    let pace = Duration::from_micros(150);
    let mut polls = 0;
    loop {
        polls += 1;
        assert!(polls < 10_000, "it is free and yet not granted");
        let granted = poll_times(acquire(), polls, pace).await;
        let finished = granted.is_some();
        drop(granted);
        soon("nothing is in the way", probe()).await;
        if finished {
            break;
        }
        if polls % 16 == 1 {
            scene.nothing_is_left().await;
        }
    }
    scene.nothing_is_left().await;
    // Past the arming of every watch.
    for polls in (1..40).chain([80, 160, 320, 640]) {
        let blocking = block().await;
        assert!(poll_times(acquire(), polls, pace).await.is_none(), "granted while another holds");
        drop(blocking);
        soon("nothing is in the way", probe()).await;
    }
    scene.nothing_is_left().await;
}

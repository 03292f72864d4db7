//! Whether a session still lives, as far as this process may believe it.
//!
//! # Implementation
//!
//! One [`LivenessCell`] a session, written by the backend's renewals and read by everybody. States:
//! `Live{until}` ⇄ `Suspect{until}` → `Lost`, and never back out of `Lost`. `until` is the local deadline: the time
//! *before sending* the last acknowledged renewal, plus the TTL, less a margin for the drift of two clocks.
//! The service counts the TTL from when the renewal *arrived*, which is later, so the deadline passes here before
//! it passes there.
//!
//! Every transition happens under the lock of one `watch` channel and looks at the clock first. So a renewal
//! whose answer comes after the deadline does not revive the session, whichever of reader, timer and renewal
//! notices first; they all reach the same verdict.
//!
//! Two kinds wait for the end. [`LivenessCell::lost`] has a timer of its own and enforces the deadline: the session's keeper and the
//! backend's tasks do that, a few a session. [`LivenessCell::seen_lost`] has none and is woken by whoever notices, and by nothing
//! else: that is for the many who wait or hold in a session that somebody keeps.

use std::fmt;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Timestamp};

/// The longest that [`LivenessCell::lost`] sleeps: timers stop while the machine is suspended and the
/// deadline's clock does not, so a sleep is cut into pieces.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// What may be believed of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// The service answers. What the session holds is held at least until then.
    Live {
        /// The local deadline.
        until: Timestamp,
    },
    /// The service does not answer at the moment. What the session holds is still held until then.
    Suspect {
        /// The local deadline.
        until: Timestamp,
    },
    /// The session is over, for good.
    Lost(LossReason),
}

/// Why something that was held is held no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LossReason {
    /// The local deadline passed without an acknowledged renewal.
    DeadlinePassed,
    /// The service said that the session has ended: it expired there, or an administrator ended it.
    SessionEnded,
    /// Another process resumed the session with its [`Credentials`](crate::Credentials). What was held is that one's now.
    Superseded,
    /// The entry is gone from the service while its session seems to live: an administrator deleted it, changed it into one that
    /// claims something else, or ended the session a moment ago.
    EntryRemoved,
    /// An administrator, or another process of the application, released it by force.
    ForceReleased,
    /// It was held for as long as its holder may hold it at most.
    MaxHoldPassed,
    /// The coordinator was shut down, or its last handle dropped, while this was held.
    ShutDown,
    /// Its guard was released or dropped.
    Released,
    /// The runtime of the session's driver is gone.
    DriverGone,
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LossReason::DeadlinePassed => "the local deadline passed without a renewal",
            LossReason::SessionEnded => "the service ended the session",
            LossReason::Superseded => "another process resumed the session",
            LossReason::EntryRemoved => "the entry was removed from the service",
            LossReason::ForceReleased => "it was released by force",
            LossReason::MaxHoldPassed => "the maximum hold time has passed",
            LossReason::ShutDown => "the coordinator was shut down",
            LossReason::Released => "it was released",
            LossReason::DriverGone => "the session's driver is gone",
        })
    }
}

/// The liveness of one session: backends write it, everybody reads it.
#[derive(Debug)]
pub struct LivenessCell {
    clock: Clock,
    state: watch::Sender<Liveness>,
    /// Cancelled after the state has become lost.
    over: CancellationToken,
}

impl LivenessCell {
    /// Starts as live: the session was opened (or last renewed) by a request sent at `sent_at` and acknowledged with `ttl`.
    pub fn new(clock: Clock, sent_at: Timestamp, ttl: Duration) -> Self {
        let until = local_deadline(sent_at, ttl);
        let (state, over) = (watch::Sender::new(Liveness::Live { until }), CancellationToken::new());
        Self { clock, state, over }
    }

    /// The clock of the deadline.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// A renewal sent at `sent_at` was acknowledged with `ttl`. Answers whether the session lives: a renewal
    /// that comes after the deadline does not bring it back.
    pub fn renewed(&self, sent_at: Timestamp, ttl: Duration) -> bool {
        self.step(|state| match *state {
            Liveness::Live { until } | Liveness::Suspect { until } => {
                *state = Liveness::Live { until: until.max(local_deadline(sent_at, ttl)) };
            }
            Liveness::Lost(_) => {}
        });
        !matches!(*self.state.borrow(), Liveness::Lost(_))
    }

    /// The service stopped answering.
    pub fn suspect(&self) {
        self.step(|state| {
            if let Liveness::Live { until } = *state {
                *state = Liveness::Suspect { until };
            }
        });
    }

    /// The session is over. The first reason stays.
    pub fn end(&self, reason: LossReason) {
        self.step(|state| {
            if !matches!(state, Liveness::Lost(_)) {
                *state = Liveness::Lost(reason);
            }
        });
    }

    /// The state now. A deadline that has passed is noticed here, and for good.
    pub fn current(&self) -> Liveness {
        let seen = *self.state.borrow();
        match seen {
            Liveness::Live { until } | Liveness::Suspect { until } if self.clock.now() >= until => {
                self.step(|_| {});
                *self.state.borrow()
            }
            _ => seen,
        }
    }

    /// Whether the session may still be believed to live.
    pub fn is_alive(&self) -> bool {
        !matches!(self.current(), Liveness::Lost(_))
    }

    /// Follows the states.
    pub fn subscribe(&self) -> watch::Receiver<Liveness> {
        self.state.subscribe()
    }

    /// Resolves when the session is lost. Whoever awaits it also enforces the deadline, within milliseconds,
    /// or after a suspend of the machine within a second of its waking.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn lost(&self) -> LossReason {
        let mut states = self.state.subscribe();
        loop {
            let until = match self.current() {
                Liveness::Lost(reason) => return reason,
                Liveness::Live { until } | Liveness::Suspect { until } => until,
            };
            let rest = until.saturating_since(self.clock.now()).min(LONGEST_SLEEP);
            let _ = tokio::time::timeout(rest, states.wait_for(|s| matches!(s, Liveness::Lost(_)))).await;
        }
    }

    /// Resolves when somebody has noticed that the session is lost. It enforces nothing: somebody must await
    /// [`LivenessCell::lost`] meanwhile.
    pub(crate) async fn seen_lost(&self) -> LossReason {
        loop {
            if let Liveness::Lost(reason) = self.current() {
                return reason;
            }
            self.over.cancelled().await;
        }
    }

    /// Applies the deadline, then `transition`, as one step.
    fn step(&self, transition: impl FnOnce(&mut Liveness)) {
        self.state.send_if_modified(|state| {
            let before = *state;
            if let Liveness::Live { until } | Liveness::Suspect { until } = *state
                && self.clock.now() >= until
            {
                *state = Liveness::Lost(LossReason::DeadlinePassed);
            }
            transition(state);
            *state != before
        });
        if matches!(*self.state.borrow(), Liveness::Lost(_)) {
            self.over.cancel();
        }
    }
}

/// The time until which a renewal sent at `sent_at` and granted for `ttl` may be believed.
///
/// The margin, 1 % of the TTL and 10 ms, covers what two clocks drift apart in a TTL and the
/// resolution of timers.
pub fn local_deadline(sent_at: Timestamp, ttl: Duration) -> Timestamp {
    sent_at + ttl.saturating_sub(ttl / 100 + Duration::from_millis(10))
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::{Context, Wake, Waker};

    use super::*;

    const TTL: Duration = Duration::from_secs(10);

    #[test]
    fn a_late_renewal_does_not_revive() {
        let (clock, hand) = Clock::manual();
        let cell = LivenessCell::new(clock.clone(), clock.now(), TTL);
        hand.advance(Duration::from_secs(9));
        let sent_at = clock.now();
        hand.advance(Duration::from_secs(1));
        assert!(!cell.renewed(sent_at, TTL), "the answer came after the deadline");
        assert_eq!(cell.current(), Liveness::Lost(LossReason::DeadlinePassed));
        assert!(!cell.renewed(clock.now(), TTL), "lost is final");
    }

    #[test]
    fn renewals_only_ever_extend_and_count_from_the_sending() {
        let (clock, hand) = Clock::manual();
        let cell = LivenessCell::new(clock.clone(), clock.now(), TTL);
        let early = clock.now();
        hand.advance(Duration::from_secs(3));
        let late = clock.now();
        assert!(cell.renewed(late, TTL) && cell.renewed(early, TTL));
        assert_eq!(cell.current(), Liveness::Live { until: local_deadline(late, TTL) });
        cell.suspect();
        assert_eq!(cell.current(), Liveness::Suspect { until: local_deadline(late, TTL) });
        hand.advance(TTL - Duration::from_millis(111));
        assert!(cell.is_alive());
        hand.advance(Duration::from_millis(1));
        assert!(!cell.is_alive(), "1 % and 10 ms before the service's own expiry");
    }

    #[test]
    fn the_first_reason_stays() {
        let (clock, hand) = Clock::manual();
        let cell = LivenessCell::new(clock.clone(), clock.now(), TTL);
        cell.end(LossReason::SessionEnded);
        hand.advance(TTL * 2);
        cell.end(LossReason::ShutDown);
        assert_eq!(cell.current(), Liveness::Lost(LossReason::SessionEnded));
    }

    #[tokio::test(start_paused = true)]
    async fn the_loss_is_signalled_at_the_deadline_and_not_before() {
        let clock = Clock::tokio();
        let cell = LivenessCell::new(clock.clone(), clock.now(), TTL);
        let until = local_deadline(clock.now(), TTL);
        assert_eq!(cell.lost().await, LossReason::DeadlinePassed);
        let late = clock.now().saturating_since(until);
        assert!(clock.now() >= until && late <= Duration::from_millis(2), "{late:?}");
    }

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Wakes(AtomicU64);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_enforces_nothing_is_told_by_whoever_notices() {
        let (clock, hand) = Clock::manual();
        let cell = LivenessCell::new(clock.clone(), clock.now(), TTL);
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(wakes.clone());
        let mut told = pin!(cell.seen_lost());
        assert!(told.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert!(cell.renewed(clock.now(), TTL));
        cell.suspect();
        assert_eq!(wakes.0.load(Ordering::SeqCst), 0, "the session lives");
        hand.advance(TTL);
        assert!(!cell.is_alive());
        assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
        assert_eq!(told.await, LossReason::DeadlinePassed);
        assert_eq!(cell.seen_lost().await, LossReason::DeadlinePassed, "nor is it too late to ask");
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_ran_on_during_suspend_is_noticed_within_a_second_of_waking() {
        let (clock, hand) = Clock::manual();
        let cell = LivenessCell::new(clock.clone(), clock.now(), TTL);
        let awake = tokio::time::Instant::now();
        hand.advance(TTL);
        assert_eq!(cell.lost().await, LossReason::DeadlinePassed);
        let cell = LivenessCell::new(clock.clone(), clock.now(), TTL);
        let (reason, ()) = tokio::join!(cell.lost(), async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            hand.advance(TTL);
        });
        assert_eq!(reason, LossReason::DeadlinePassed);
        assert!(awake.elapsed() <= LONGEST_SLEEP + Duration::from_millis(20));
    }
}

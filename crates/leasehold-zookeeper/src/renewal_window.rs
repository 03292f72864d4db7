//! From which time a ZooKeeper session may be counted as renewed.

use std::collections::VecDeque;
use std::time::Duration;

use leasehold_core::Timestamp;

/// How many acknowledged renewals may wait for their proof within one tick. A renewal that follows another one
/// more closely is left out, which only makes the answer older.
const CANDIDATES_PER_TICK: u32 = 32;

/// Tells which acknowledged `sync` has provably reached the leader's session table.
///
/// An answer to a ping proves nothing: the server that the client is connected to gives it by itself. An answer to a
/// `sync` proves that this server was in contact with its leader, but the leader touches the session only when the
/// server's next relay of session touches arrives, which happens twice a tick. So a `sync` that was sent at *s*
/// has renewed the session once a `sync` that was sent a tick later or more is acknowledged: a relay that
/// includes *s* went ahead of the second `sync` on the same ordered connection to the leader.
#[derive(Debug)]
pub(crate) struct RenewalWindow {
    tick: Duration,
    proven: Option<Timestamp>,
    candidates: VecDeque<Timestamp>,
}

impl RenewalWindow {
    pub(crate) fn new(tick: Duration) -> Self {
        Self { tick, proven: None, candidates: VecDeque::new() }
    }

    /// A `sync` that was sent at `sent_at` was acknowledged; acknowledgements come in the order of sending.
    /// Answers the time that the TTL counts from, once there is one. It never goes back.
    pub(crate) fn acknowledged(&mut self, sent_at: Timestamp) -> Option<Timestamp> {
        while let Some(&candidate) = self.candidates.front() {
            if candidate + self.tick > sent_at {
                break;
            }
            self.proven = Some(candidate);
            self.candidates.pop_front();
        }
        let spaced = |last: &Timestamp| sent_at >= *last + self.tick / CANDIDATES_PER_TICK;
        if self.candidates.back().is_none_or(spaced) {
            self.candidates.push_back(sent_at);
        }
        self.proven
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_core::Clock;

    const TICK: Duration = Duration::from_millis(500);

    fn at(ms: u64) -> Timestamp {
        Clock::manual().0.now() + Duration::from_millis(ms)
    }

    #[test]
    fn a_renewal_counts_once_one_sent_a_tick_later_is_acknowledged() {
        let mut window = RenewalWindow::new(TICK);
        assert_eq!(window.acknowledged(at(0)), None, "one acknowledgement proves nothing");
        assert_eq!(window.acknowledged(at(200)), None);
        assert_eq!(window.acknowledged(at(499)), None);
        assert_eq!(window.acknowledged(at(500)), Some(at(0)));
        assert_eq!(window.acknowledged(at(698)), Some(at(0)));
        assert_eq!(window.acknowledged(at(999)), Some(at(499)), "the newest that is a tick older");
    }

    #[test]
    fn a_gap_is_not_covered_by_the_first_renewal_after_it() {
        let mut window = RenewalWindow::new(TICK);
        window.acknowledged(at(0));
        assert_eq!(window.acknowledged(at(600)), Some(at(0)));
        assert_eq!(window.acknowledged(at(5_000)), Some(at(600)));
        assert_eq!(window.acknowledged(at(5_400)), Some(at(600)), "5000 is proven only from 5500 on");
        assert_eq!(window.acknowledged(at(5_500)), Some(at(5_000)));
    }

    #[test]
    fn a_burst_neither_grows_the_window_nor_proves_too_much() {
        let mut window = RenewalWindow::new(TICK);
        for ms in 0..2_000 {
            let proven = window.acknowledged(at(ms));
            assert!(window.candidates.len() <= CANDIDATES_PER_TICK as usize + 2);
            match proven {
                Some(proven) => {
                    assert!(proven + TICK <= at(ms));
                    assert!(at(ms).saturating_since(proven) <= TICK + TICK / 8);
                }
                None => assert!(ms < 500),
            }
        }
    }
}

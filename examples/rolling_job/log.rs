//! The resource: a log of ticks behind a fence, and their schedule.

use std::time::{Duration, Instant};

use leasehold::FencingToken;
use leasehold::fencing::{FencedRegister, Stale};

/// From one tick to the next.
pub(crate) const PERIOD: Duration = Duration::from_millis(100);

pub(crate) struct TickLog {
    /// Tick 0 is due then.
    pub(crate) start: Instant,
    /// What leaders said that they had done, in the order in which they said it, right or wrong.
    ticks: FencedRegister<Vec<(u64, FencingToken)>>,
    /// How many ticks were due when a leader asked for the next one and that was not; to be taken by who waits for it.
    pub(crate) up_to_date: Option<u64>,
}

impl TickLog {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), ticks: FencedRegister::default(), up_to_date: None }
    }

    /// Which tick comes after the last one that is there, and in how long.
    pub(crate) fn next(&mut self, token: FencingToken) -> Result<(u64, Duration), Stale> {
        let last = self.ticks.update(token, |ticks| ticks.last().copied())?;
        let next = last.map_or(0, |(tick, _)| tick + 1);
        let (now, due) =
            (self.start.elapsed(), PERIOD.saturating_mul(u32::try_from(next).unwrap_or(u32::MAX)));
        if now < due {
            self.up_to_date = Some((now.as_millis() / PERIOD.as_millis()) as u64 + 1);
        }
        Ok((next, due.saturating_sub(now)))
    }

    pub(crate) fn done(&self, token: FencingToken, tick: u64) -> Result<(), Stale> {
        self.ticks.update(token, |ticks| ticks.push((tick, token)))
    }

    /// How many ticks are there, or what is wrong with them: `due` had been due before it was read.
    pub(crate) fn judge(self, due: u64) -> Result<u64, String> {
        let ticks = self.ticks.into_inner();
        for (expected, &(tick, _)) in (0..).zip(&ticks) {
            if tick != expected {
                let what = if tick < expected { "run twice" } else { "not run, or late" };
                return Err(format!("tick {} was {what}", tick.min(expected)));
            }
        }
        let count = ticks.len() as u64;
        if count < due {
            return Err(format!("{due} ticks were due, {count} run"));
        }
        if !ticks.is_sorted_by_key(|&(_, token)| token) {
            return Err("the tokens do not rise".into());
        }
        Ok(count)
    }
}

//! How long to wait before another try.

use std::time::Duration;

/// Doubling, jittered delays: what keeps many clients of a service that comes back from meeting at its door.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// Delays from `first` up to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first.min(longest), longest }
    }

    /// The next delay: between half of the current step and the whole of it.
    pub fn next_delay(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.longest);
        // Without randomness the delays are merely not jittered.
        let jitter = getrandom::u32().unwrap_or(u32::MAX);
        step / 2 + (step / 2).mul_f64(f64::from(jitter) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_longest() {
        let (first, longest) = (Duration::from_millis(10), Duration::from_millis(50));
        let mut backoff = Backoff::new(first, longest);
        for step in [10, 20, 40, 50, 50].map(Duration::from_millis) {
            let delay = backoff.next_delay();
            assert!(delay >= step / 2 && delay <= step, "{delay:?} of {step:?}");
        }
    }
}

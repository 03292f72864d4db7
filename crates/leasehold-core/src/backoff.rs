//! How long to wait before another try.

use std::time::Duration;

use crate::entropy::Entropy;

/// Doubling, jittered delays: what keeps many clients of a service that comes back from meeting at its door.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
    longest: Duration,
    entropy: Entropy,
}

impl Backoff {
    /// Delays from `first` up to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self::with_entropy(first, longest, Entropy::system())
    }

    /// The same, with the jitter of that source.
    pub fn with_entropy(first: Duration, longest: Duration, entropy: Entropy) -> Self {
        Self { next: first.min(longest), longest, entropy }
    }

    /// The next delay: between half of the current step and the whole of it.
    pub fn next_delay(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.longest);
        // Without randomness the delays are merely not jittered.
        step / 2 + (step / 2).mul_f64(self.entropy.fraction())
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

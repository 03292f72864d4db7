//! Where random numbers come from.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The source of the random numbers that a coordinator draws: the nonces of its sessions and writes, and the jitter of its
/// delays.
///
/// [`Entropy::system`] asks the operating system, and is what applications use. A coordinator of a [seed](Entropy::seeded), on paused tokio
/// time, goes the same way each time.
#[derive(Debug, Clone)]
pub struct Entropy(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Seeded(Arc<AtomicU64>),
}

/// What the state of a seeded source is raised by: that of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014).
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Entropy {
    /// The operating system's.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// The same numbers each time, for tests. Clones draw from one sequence.
    ///
    /// Two coordinators that meet at one service must not have the same seed: their attempt ids would be the same.
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(AtomicU64::new(seed))))
    }

    /// The next number.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn draw(&self) -> io::Result<u64> {
        match &self.0 {
            Source::System => getrandom::u64().map_err(io::Error::from),
            Source::Seeded(state) => {
                Ok(scrambled(state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP)))
            }
        }
    }

    /// A number from 0 to 1; 1 if there is no randomness.
    pub(crate) fn fraction(&self) -> f64 {
        const BITS: u32 = 53;
        let most = (1_u64 << BITS) - 1;
        self.draw().map_or(1.0, |number| (number >> (u64::BITS - BITS)) as f64 / most as f64)
    }
}

fn scrambled(mut state: u64) -> u64 {
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_published_sequence_and_the_system_another_one() {
        // The first numbers of SplitMix64 from the seed 1234567, as in the reference implementation.
        let seeded = Entropy::seeded(1_234_567);
        let drawn: Vec<_> = std::iter::repeat_with(|| seeded.draw().unwrap()).take(3).collect();
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
        let system = Entropy::system();
        assert_ne!(system.draw().unwrap(), system.draw().unwrap());
    }

    #[test]
    fn fractions_are_spread_from_0_to_1() {
        let seeded = Entropy::seeded(1);
        let drawn: Vec<_> = std::iter::repeat_with(|| seeded.fraction()).take(1000).collect();
        assert!(drawn.iter().all(|fraction| (0.0..=1.0).contains(fraction)));
        let mean = drawn.iter().sum::<f64>() / 1000.0;
        assert!((0.45..0.55).contains(&mean), "{mean}");
    }
}

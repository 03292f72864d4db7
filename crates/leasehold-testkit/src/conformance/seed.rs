//! Chance that can be had again.

use std::num::ParseIntError;

/// The environment variable with the seed of the randomised cases.
pub const SEED: &str = "LEASEHOLD_SEED";

/// A source of chance: splitmix64, the same numbers for the same seed everywhere.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Those of [`SEED`], or of a fresh seed; it says which, so that a failure can be had again.
    ///
    /// # Panics
    /// If the variable holds no number.
    pub fn of_the_environment(case: &str) -> Self {
        let seed = match std::env::var(SEED) {
            Ok(text) => text.parse().unwrap_or_else(|error: ParseIntError| panic!("{SEED}={text}: {error}")),
            Err(_) => getrandom::u64().expect("randomness"),
        };
        println!("{case}: to run it again, {SEED}={seed}");
        Self::of(seed)
    }

    /// Those of a seed.
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number below `bound`, which is greater than 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    /// One of these, of which there is at least one.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_and_they_are_spread() {
        let numbers = |seed| {
            let mut dice = Dice::of(seed);
            (0..1_000).map(|_| dice.below(10)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
        for number in 0..10 {
            let count = numbers(7).iter().filter(|drawn| **drawn == number).count();
            assert!((60..140).contains(&count), "{number}: {count}");
        }
    }
}

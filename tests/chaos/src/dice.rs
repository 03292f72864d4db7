//! Chance that a seed repeats.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Random numbers of one actor of a run. What the actor asks for follows from the seed of the run and its own name alone.
#[derive(Debug)]
pub struct Dice(fastrand::Rng);

impl Dice {
    /// Those of an actor.
    pub fn of(seed: u64, actor: &str) -> Self {
        // FNV-1a: the same on every machine and with every compiler.
        let name = actor.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(fastrand::Rng::with_seed(name ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0.usize(..end)
    }

    /// Any number that a JSON number holds everywhere.
    pub fn number(&mut self) -> u64 {
        self.0.u64(..1 << 53)
    }

    /// Whether it is one of so many percent.
    pub fn percent(&mut self, percent: u32) -> bool {
        self.0.u32(..100) < percent
    }

    /// So many milliseconds.
    pub fn millis(&mut self, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.0.u64(range))
    }

    /// One of them; there is one.
    pub fn one_of<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_actors_differ() {
        let rolls = |seed, actor| {
            let mut dice = Dice::of(seed, actor);
            (0..8).map(|_| dice.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(rolls(7, "nemesis"), rolls(7, "nemesis"));
        assert_ne!(rolls(7, "nemesis"), rolls(7, "a"));
        assert_ne!(rolls(7, "nemesis"), rolls(8, "nemesis"));
    }
}

//! The dice of a seed.

use leasehold_core::Entropy;

/// A sequence of throws that a seed decides.
#[derive(Debug, Clone)]
pub(crate) struct Dice(Entropy);

impl Dice {
    /// Dice of their own for one purpose of a seed, so that what one purpose draws shifts nothing of another's.
    pub(crate) fn new(seed: u64, purpose: u64) -> Self {
        let mixed = Entropy::seeded(seed ^ purpose.wrapping_mul(0x2545_f491_4f6c_dd1d));
        Self(Entropy::seeded(draw(&mixed)))
    }

    /// What a coordinator draws from.
    pub(crate) fn entropy(&self) -> Entropy {
        self.0.clone()
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&self, end: u64) -> u64 {
        draw(&self.0) % end
    }

    /// A number from `first` to `last`.
    pub(crate) fn between(&self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    /// Whether something happens that does so in `permille` of a thousand cases.
    pub(crate) fn chance(&self, permille: u64) -> bool {
        self.below(1000) < permille
    }

    /// One of these.
    pub(crate) fn pick<T: Copy>(&self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).expect("below the length")]
    }
}

fn draw(entropy: &Entropy) -> u64 {
    entropy.draw().expect("a seeded source always has a number")
}

//! Runs a target over many inputs.

use std::fmt;
use std::panic;

use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};

use crate::mutation::inputs;
use crate::targets::Target;

/// An input that a target does not stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The target.
    pub target: &'static str,
    /// With this seed and as many iterations it is found again.
    pub seed: u64,
    /// The input, as small as it could be made.
    pub input: Vec<u8>,
    /// What the target says of it.
    pub reason: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, seed, input, reason } = self;
        write!(f, "{target} with seed {seed}: b\"{}\"\n{reason}", input.escape_ascii())
    }
}

/// Runs `target` over its corpus and `iterations` inputs near it, the same ones for the same seed.
///
/// # Errors
/// The first input that it panics over, minimised.
pub fn fuzz(target: &Target, iterations: u32, seed: u64) -> Result<(), Failure> {
    let failure = |input, reason: String| Failure { target: target.name, seed, input, reason };
    for input in target.corpus {
        if let Err(panicked) = panic::catch_unwind(|| (target.check)(input)) {
            let reason =
                panicked.downcast::<String>().map_or_else(|_| "it panicked".to_owned(), |reason| *reason);
            return Err(failure(input.to_vec(), reason));
        }
    }
    let config = Config {
        cases: iterations,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    let ran = TestRunner::new(config).run(&inputs(target), |input| {
        let _ours = (target.check)(&input);
        Ok(())
    });
    match ran {
        Ok(()) => Ok(()),
        Err(TestError::Fail(reason, input)) => Err(failure(input, reason.to_string())),
        Err(TestError::Abort(reason)) => Err(failure(Vec::new(), reason.to_string())),
    }
}

//! Fuzzes every decoder of bytes that come from a service, or from where an application kept them.
//!
//! A [`Target`] is a plain function over bytes that panics if something does not hold, and some inputs to begin with; the
//! function is as good for another fuzzer. [`fuzz`] changes those inputs at random from a seed, on stable Rust, and minimises what fails:
//!
//! ```text
//! cargo run --release -p leasehold-fuzz -- --iterations 1000000 --seed 7 redis/change
//! ```

mod mutation;
mod runner;
mod targets;

pub use runner::{Failure, fuzz};
pub use targets::{TARGETS, Target};

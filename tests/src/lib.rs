//! What the tests of processes share with the worker processes.

mod fenced_file;
mod witness;

pub use fenced_file::{FencedFile, Record};
pub use witness::{Gauge, Witness, Witnessed};

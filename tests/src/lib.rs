//! What the tests of processes share with the worker processes.

pub mod certificates;
mod fenced_file;
mod witness;
mod zookeeper_snapshot;

pub use fenced_file::{FencedFile, Record};
pub use witness::{Gauge, Witness, Witnessed};
pub use zookeeper_snapshot::set_counter;

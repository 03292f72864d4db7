//! What the tests of processes share with the worker process.

mod fenced_file;

pub use fenced_file::{FencedFile, Record};

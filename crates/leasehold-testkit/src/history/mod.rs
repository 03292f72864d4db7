//! Histories of runs, and what must hold in them.

mod as_text;
mod call;
mod event;
mod lines;
mod recorder;

pub use call::{CANCELLED, Call, Outcome, STALE};
pub use event::{Event, OpId, Removal, What};
pub use lines::{ReadError, parse_lines, read_files};
pub use recorder::Recorder;

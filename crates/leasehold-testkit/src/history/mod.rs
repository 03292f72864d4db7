//! Histories of runs, and what must hold in them.
//!
//! A run of workers, simulated or real, is recorded as [`Event`]s by a [`Recorder`] in each process: what the workers ask for and are told,
//! what holders believe, what a tap sees the service do, and what was disturbed. A [`Checker`] judges the [`History`] and answers with a
//! [`Report`], whose [`Violation`]s name the promise that was broken and the events that show it. `leasehold-check-history FILE…` does
//! the same from the command line.
//!
//! | promise | what is checked | from |
//! |---|---|---|
//! | [S1](Invariant::S1) | accesses to a fenced resource, reads included, come in the order of their tokens (an exclusive mark and a shared one); each accepted write is based on the version it replaced, each answered one is applied once, each unanswered one at most once; effective sections are disjoint | `read`, `write`, `verdict` |
//! | [S2](Invariant::S2) | nobody believes beside another whom that excludes, but around a pause; no grant without an entry | `acquire`, `lost`, `session_live`, tap |
//! | [S3](Invariant::S3) | tokens strictly increase over the grants of a name | `acquire`, tap |
//! | [S4](Invariant::S4) | a loss is told by the deadline; no grant is born stale; what is over stays over | `session_live`, `session_lost`, `lost`, tap |
//! | [L1](Invariant::L1) | nothing is left | `quiescent`, tap |
//! | [L2](Invariant::L2) | nobody waits beyond a bound while nothing is disturbed | faults, pauses, kills |
//! | [L3](Invariant::L3) | first come, first served in the service's order; a try overtakes nobody | tap |
//! | [E1](Invariant::E1) | errors are documented, nothing panics | `fail`, `info`, `panicked` |
//! | [linearizability](Invariant::Linearizability) | an order of the operations explains what a versioned register showed | `register_read`, `register_write` |

mod as_text;
mod call;
mod checker;
mod checks;
mod event;
mod holds;
mod lines;
mod operations;
mod recorder;
mod report;
mod tap;
mod timeline;
mod violation;
pub mod wgl;

pub use call::{CANCELLED, Call, Outcome, STALE};
pub use checker::Checker;
pub use event::{Event, OpId, Removal, What};
pub use lines::{ReadError, parse_lines, read_files};
pub use operations::History;
pub use recorder::Recorder;
pub use report::Report;
pub use timeline::timeline;
pub use violation::{Invariant, Kind, Violation};

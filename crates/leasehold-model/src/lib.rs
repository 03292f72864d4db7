//! A model of the contract between a session and its service, of the contention engine over it, and of a fenced resource, for
//! the model checker `stateright`: every order of every step and of a bounded number of faults is tried.
//!
//! It models the mutex, whose protocol the other recipes share, by the same steps as the code: an enqueue that is repeated until it is
//! answered, a look at the queue, a watch of the entry next ahead, a look again, a grant, a hold in which the resource is read
//! and written, a withdrawal that is repeated until it is confirmed. Between any two steps of a client any steps of the others and of the
//! service can come: this is how slow networks, stale looks and paused processes are in it without being named.
//!
//! # What is in it
//! - [`State`]: the service (entries, orders, tombstones, sessions, requests on their way), the clients and the resource.
//! - [`Step`]: what can happen; a fault is a step that takes from a [`Budget`].
//! - [`ALWAYS`] and [`SOMETIMES`]: what always holds, and what must happen in some state, so that the runs are known to reach the bad cases.
//! - [`Flaw`]: wrong clients and services, each of which must break a property that is named: the properties can fail.
//! - [`RUNS`] and [`CONTROLS`]: the bounds that are checked.
//!
//! # What is not in it
//! Time is an order of events, not a number. A local deadline has passed or not, and a service that keeps its word ends a session
//! only after that. Renewals succeed until they do not. Modes other than exclusive, values and registers are left out.

mod engine;
mod flaw;
mod properties;
mod protocol;
mod resource;
mod run;
mod service;
mod state;
mod step;

pub use flaw::Flaw;
pub use properties::{ALWAYS, SOMETIMES};
pub use protocol::{Budget, Protocol};
pub use run::{CONTROLS, Checked, Control, RUNS, Run};
pub use state::{Client, Phase, Seen, State, Wrong};
pub use step::Step;
